"""scripts/check-links passes the project's pages, and finds each kind of dead link."""

import runpy
import subprocess

import pytest
from lib.process import ROOT

SCRIPT = ROOT / "scripts/check-links"
CHECK = runpy.run_path(str(SCRIPT))["check"]
OTHER = """# Other page

## A heading, with `code` & more
## Twice
## Twice
<a id="by-hand"></a>
```
# not a heading
```
"""


def check(tree):
    return list(CHECK(str(tree)))


def run(tree):
    done = subprocess.run([SCRIPT, tree], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(name="tree")
def _tree(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/other.md").write_text(OTHER)
    (tmp_path / "docs/program.c").touch()
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/foreign.md").write_text("[dead](dead.md)\n")
    return tmp_path


def test_pages_of_the_project_pass():
    assert run(ROOT) == (0, "")


def test_script_fails_and_names_the_line(tree):
    (tree / "docs/page.md").write_text("# Here\n[a](dead.md)\n")
    assert run(tree) == (1, "docs/page.md:2: dead.md does not exist\n")


@pytest.mark.parametrize("text", [
    "[a](other.md)", "[a](./other.md)", "[a](../docs/)", "[a](../docs/program.c)", "[a](other.md#twice)",
    "[a](other.md#twice-1)", "[a](other.md#a-heading-with-code--more)", "[a](other.md#by-hand)", "[a](#here)",
    '[a](other.md "title")', "[a](<other.md>)", "[a]: other.md", "![a](program.c)", '<a href="other.md">',
    "[a](https://example.org/dead.md)", "[a](mailto:a@example.org)", "[a](other.md) `[b](dead.md)`",
    "[a](other.md)\n```\n[b](dead.md)\n```", "[a](other.md) `docs/program.c` `docs/*.c` `docs/<name>.c` `dead/x.c`",
    "[a](other.md) `docs/{program,<name>}.{c,[ch]}` `docs/**/*.c`",
])
def test_living_link_passes(tree, text):
    (tree / "docs/page.md").write_text(f"# Here\n{text}\n")
    assert check(tree) == []


@pytest.mark.parametrize("text, complaint", [
    ("[a](dead.md)", "dead.md does not exist"),
    ("[a](docs/other.md)", "docs/other.md does not exist"),
    ("    * [a](dead.md)", "dead.md does not exist"),
    ("[a](other.md), [b](dead.md)", "dead.md does not exist"),
    ('[a](dead.md "title")', "dead.md does not exist"),
    ("[a](<dead.md>)", "dead.md does not exist"),
    ("[a]: dead.md", "dead.md does not exist"),
    ("![a](dead.svg)", "dead.svg does not exist"),
    ('<img src="dead.svg">', "dead.svg does not exist"),
    ("[a](other.md#dead)", "other.md#dead has no such heading"),
    ("[a](other.md#not-a-heading)", "has no such heading"),
    ("[a](other.md#twice-2)", "has no such heading"),
    ("[a](#dead)", "#dead has no such heading"),
    ("[a](program.c#L1)", "is not a Markdown page"),
    ("[a](../../other.md)", "leads out of the repository"),
    ("[a](/docs/other.md)", "leads out of the repository"),
    ("[a]()", "does not exist"),
    ("[a](other.md) `docs/dead.c`", "`docs/dead.c` does not exist"),
    ("[a](other.md) `docs/*.h`", "`docs/*.h` does not exist"),
    ("[a](other.md) `docs/program.{c,h}`", "`docs/program.{c,h}` does not exist"),
])
def test_dead_link_is_found(tree, text, complaint):
    (tree / "docs/page.md").write_text(f"# Here\n{text}\n")
    found = check(tree)
    assert len(found) == 1 and found[0].startswith("docs/page.md:2: ") and complaint in found[0], found


def test_no_links_at_all_is_no_pass(tree):
    assert check(tree) == ["no page has a link"]
