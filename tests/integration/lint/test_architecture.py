"""scripts/check-architecture passes docs/ARCHITECTURE.md as it is, and finds each way to be wrong."""

import re
import runpy
import subprocess

import pytest
from lib.process import ROOT

SCRIPT = ROOT / "scripts/check-architecture"
CHECK = runpy.run_path(str(SCRIPT))["check"]
PAGE = ROOT / "docs/ARCHITECTURE.md"
SECTION = "## Where does X happen?"
ROW = re.compile(r"^\| (?P<question>[^|]*\?) \| `(?P<file>[^|]*)` \| `(?P<name>[^|]*)` \|$", re.M)


@pytest.fixture(name="tree")
def _tree(tmp_path):
    """A tree with the page as a copy and links to the folders that it names."""
    for folder in ("outbox-relay", "shared", "services", "sql"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/ARCHITECTURE.md").write_text(PAGE.read_text())
    return tmp_path


def check(tree):
    return list(CHECK(str(tree)))


def run(tree):
    done = subprocess.run([SCRIPT, tree], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def rows():
    return [match for match in ROW.finditer(PAGE.read_text()) if match["question"] != "question"]


def row_of(suffix):
    return next(row for row in rows() if row["file"].endswith(suffix))


def replace(tree, old, new):
    page = tree / "docs/ARCHITECTURE.md"
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new, 1))


def assert_refused(tree, old, new, words):
    """With `old` replaced by `new`, the check finds one thing, the line and the words in it."""
    replace(tree, old, new)
    found = check(tree)
    assert len(found) == 1 and re.match(r"docs/ARCHITECTURE.md:\d+: ", found[0]) and words in found[0], found


def test_page_as_it_is_passes(tree):
    assert run(tree) == (0, "")
    assert len(rows()) >= 30


def test_engine_is_listed_in_the_order_that_is_checked():
    order = runpy.run_path(str(ROOT / "scripts/check-layers"))["ENGINE_ORDER"]
    section = PAGE.read_text().split("### Inside the relay's engine")[1].split("\n## ")[0]
    lines = re.findall(r"^    (\w+(?: · \w+)*)(?:  |$)", section, re.M)  # from the top to the bottom
    assert [name for line in lines for name in line.split(" · ")] == list(reversed(order))


def test_script_fails_and_names_the_line(tree):
    row = row_of(".c")
    replace(tree, row[0], row[0].replace(".c`", "_gone.c`"))
    status, output = run(tree)
    assert status == 1 and re.fullmatch(r"docs/ARCHITECTURE.md:\d+: \S+_gone.c does not exist\n", output)


def test_file_that_is_gone_is_found(tree):
    row = row_of(".c")
    assert_refused(tree, row[0], row[0].replace(".c`", "_gone.c`"), "_gone.c does not exist")


@pytest.mark.parametrize("suffix", [".c", ".sql", ".template"])
def test_function_that_is_gone_is_found(tree, suffix):
    row = row_of(suffix)
    name = row["name"] + "_gone"
    assert_refused(tree, row[0], row[0].replace(f"`{row['name']}`", f"`{name}`"),
                   f"{row['file']} does not define {name}")


@pytest.mark.parametrize("text", [
    "int wanted(void);", "    wanted();", "/* wanted() {} */", "static int (*wanted)(void);", "int unwanted(void)\n{\n}",
    "int other(void)\n{\n    return wanted(1);\n}", "#define wanted() {",
])
def test_declaration_or_call_is_no_definition(tree, text):
    (tree / "made").mkdir()
    (tree / "made/made.c").write_text(text + "\n")
    row = row_of(".c")
    assert_refused(tree, row[0], f"| {row['question']} | `made/made.c` | `wanted` |", "does not define wanted")


@pytest.mark.parametrize("text", [
    "int wanted(void)\n{\n}", "static struct a *wanted(\n    int x, int y)\n{\n}", "const char *wanted(void (*f)(int))\n{",
])
def test_definition_is_found(tree, text):
    (tree / "made").mkdir()
    (tree / "made/made.c").write_text(text + "\n")
    row = row_of(".c")
    replace(tree, row[0], f"| {row['question']} | `made/made.c` | `wanted()` |")
    assert check(tree) == []


def test_sql_function_that_a_later_migration_replaces_is_found(tree):
    (tree / "made").mkdir()
    for number in (1, 2, 3):
        (tree / f"made/00{number}_made.sql").write_text("create or replace function a.wanted() returns int\n")
    row = row_of(".sql")
    assert_refused(tree, row[0], f"| {row['question']} | `made/001_made.sql` | `a.wanted` |",
                   "defined anew by 003_made.sql")


def test_repeated_question_is_found(tree):
    first, second = rows()[:2]
    assert_refused(tree, second[0], second[0].replace(second["question"], first["question"]), "already listed")


def test_repeated_function_is_found(tree):
    first, second = rows()[:2]
    assert_refused(tree, second[0], f"| {second['question']} | `{first['file']}` | `{first['name']}` |",
                   "already listed")


@pytest.mark.parametrize("change", [
    lambda row: row.replace("?", "."), lambda row: row.replace("`", ""), lambda row: row[:row.rindex("| `") + 1],
])
def test_malformed_row_is_found(tree, change):
    assert_refused(tree, rows()[0][0], change(rows()[0][0]), "is not a question")


def test_short_table_is_found(tree):
    text = (tree / "docs/ARCHITECTURE.md").read_text()
    head, few = text[:rows()[0].start()], "\n".join(row[0] for row in rows()[:29])
    (tree / "docs/ARCHITECTURE.md").write_text(f"{head}{few}\n")
    assert check(tree) == ["docs/ARCHITECTURE.md: the table has 29 rows, fewer than 30"]


def test_missing_table_is_found(tree):
    replace(tree, SECTION, "## Something else")
    status, output = run(tree)
    assert status == 1 and "has no section" in output
