"""scripts/check-sources passes what is as it should be, and names the file that is not."""

import shutil
import subprocess

import pytest
from lib.process import ROOT

GUARDED = "/* A header. */\n#ifndef {0}\n#define {0}\n#endif\n"
KEY = "-----BEGIN PRIVATE" + " KEY-----"


def run(tree):
    done = subprocess.run([tree / "scripts/check-sources"], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(name="tree")
def _tree(tmp_path):
    """A checkout with the script and one file of each kind."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/check-sources", tmp_path / "scripts")
    for name, text in {"a.c": "/* A. */\n", "a.h": GUARDED.format("A_H"), "a.sql": "-- A.\n", "a.py": '"""A."""\n',
                       "a.js": "// A.\n", "a.sh": "#!/bin/sh\n# A.\n", "a.mk": "# A.\n", "empty.py": "",
                       "long.c": "/* Long. */\n" + "int x;\n" * 499, "a.md": "two spaces  \n"}.items():
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def test_tree_as_it_should_be_passes(tree):
    assert run(tree) == (0, "")


@pytest.mark.parametrize("name, text, complaint", [
    ("b.c", "int x;\n/* B. */\n", "b.c: does not begin with a comment"),
    ("b.sql", "select 1;\n", "b.sql: does not begin with a comment"),
    ("b.py", "import os\n", "b.py: does not begin with a comment"),
    ("b.sh", "#!/bin/sh\nset -eu\n# B.\n", "b.sh: does not begin with a comment"),
    ("scripts/b", "#!/bin/sh\nset -eu\n", "scripts/b: does not begin with a comment"),
    ("b.c", "/* B. */\n" + "int x;\n" * 500, "b.c: has 501 lines"),
    ("b.c", "/* B. */\nint x; \n", "b.c:2: has spaces at its end"),
    ("b.c", "/* B. */\nint x;\t\n", "b.c:2: has spaces at its end"),
    ("b.h", "/* B. */\n#include <a.h>\n", "b.h: has no include guard"),
    ("b.h", "/* B. */\nint x;\n", "b.h: has no include guard"),
    ("b.h", "/* B. */\n#ifndef B_H\n#define C_H\n#endif\n", "b.h: has no include guard"),
    ("b.h", GUARDED.format("A_H"), "b.h: has the include guard of a.h: A_H"),
    ("b.txt", KEY + "\n", "the files above hold a private key"),
])
def test_fault_is_found(tree, name, text, complaint):
    (tree / name).write_text(text)
    status, output = run(tree)
    assert status == 1 and complaint in output, output


def test_folder_without_git_is_no_pass(tree):
    shutil.rmtree(tree / ".git")
    status, output = run(tree)
    assert status != 0 and output
