"""scripts/check-layers passes the tree as it is, and names the file of every fault that is put in.

The faults are put into trees of links to the sources and objects; only the files that a test changes are
compiled."""

import functools
import runpy
import subprocess

import pytest
from lib.process import BUILD, ROOT

SCRIPT = ROOT / "scripts/check-layers"
CHECK = runpy.run_path(str(SCRIPT))["check"]
COMPILED = ("shared", "services", "outbox-relay")
LIBRARIES = ("libmicrohttpd", "jansson", "libpq", "libcurl", "libcrypto")

# Calls a function by its symbol, so that this compiles beside any declaration of it.
CALL = """
extern void mutant_target(void) __asm__("{symbol}");
void mutant(void);
void mutant(void)
{{
    mutant_target();
}}
"""


@functools.cache
def compiler_flags():
    found = subprocess.run(["pkg-config", "--cflags", *LIBRARIES], check=True, capture_output=True, text=True)
    return ["-std=gnu11", "-D_GNU_SOURCE", '-DVERSION="0"', "-I.", *found.stdout.split()]


class Tree:
    """The project's sources and objects, as links."""

    def __init__(self, folder):
        self.root, self.objects = folder / "tree", folder / "obj"
        for top in (*COMPILED, "tests/support"):
            for source in (ROOT / top).rglob("*.[ch]"):
                self._link(source, self.root / source.relative_to(ROOT))
        for source in self.root.rglob("*.c"):
            path = source.relative_to(self.root).with_suffix(".o")
            if path.parts[0] in COMPILED:
                self._link(BUILD / "obj" / path, self.objects / path)

    @staticmethod
    def _link(target, link):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def paths(self, folder, suffix):
        """The files of a folder, as paths from the root."""
        found = sorted(self.root.glob(f"{folder}/*{suffix}"))
        assert found, f"no {suffix} in {folder}"
        return [str(path.relative_to(self.root)) for path in found]

    def header(self, folder):
        return next(path for path in self.paths(folder, ".h") if not path.endswith("_internal.h"))

    def symbols(self, path, letters):
        """What nm marks with one of the letters in the file's object."""
        output = subprocess.run(["nm", "-P", "-g", (self.objects / path).with_suffix(".o")], check=True,
                                capture_output=True, text=True).stdout
        return [line.split()[0] for line in output.splitlines() if line.split()[1] in letters]

    def including_pair(self, folder):
        """Two headers of a folder, the first of which includes the second."""
        headers = self.paths(folder, ".h")
        return next((a, b) for a in headers for b in headers
                    if f'#include "{b}"' in (self.root / a).read_text() and "_internal" not in a + b)

    def calling_pair(self, folder):
        """Two files of a folder, the first of which calls the second."""
        files = self.paths(folder, ".c")
        return next((a, b) for a in files for b in files
                    if set(self.symbols(a, "U")) & set(self.symbols(b, "T")))

    def append(self, path, text):
        """Adds to a file, or makes it."""
        file = self.root / path
        old = file.read_text() if file.exists() else "/* A mutant. */\n"
        file.unlink(missing_ok=True)
        file.parent.mkdir(exist_ok=True)
        file.write_text(old + text + "\n")

    def include(self, path, included):
        self.append(path, f'#include "{included}"')

    def call(self, path, used):
        """Makes `path` call a function of `used`."""
        self.append(path, CALL.format(symbol=self.symbols(used, "T")[0]))
        self.compile(path)

    def compile(self, path):
        made = (self.objects / path).with_suffix(".o")
        made.unlink(missing_ok=True)
        made.parent.mkdir(exist_ok=True)
        subprocess.run(["cc", *compiler_flags(), "-c", path, "-o", made], cwd=self.root, check=True)

    def check(self):
        """What the check has to say, as its lines."""
        return "\n".join(CHECK(str(self.root), str(self.objects)))

    def assert_refused(self, *words):
        assert_line(self.check(), *words)


def assert_line(output, *words):
    """A line of the output has all the words."""
    assert any(all(word in line for word in words) for line in output.splitlines()), (words, output)


@pytest.fixture(name="tree")
def _tree(tmp_path):
    return Tree(tmp_path)


def run(tree):
    """The script as make lint calls it: exit status and what it prints."""
    done = subprocess.run([SCRIPT, "--objects", tree.objects, tree.root], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_tree_as_it_is_passes(tree):
    assert run(tree) == (0, "")


def test_script_fails_and_names_the_file(tree):
    tree.include("shared/base/log.h", "shared/db/db.h")
    status, output = run(tree)
    assert status == 1
    assert_line(output, "shared/base/log.h:", "includes shared/db/db.h", "not allowed")


FORBIDDEN = [
    ("shared/base", "shared/db"),
    ("shared/db", "shared/http"),
    ("shared/http", "shared/service"),
    ("shared/base", "outbox-relay/base"),
    ("shared/service", "services/order"),
    ("services/order", "services/billing"),
    ("services/order", "outbox-relay/base"),
    ("outbox-relay/base", "outbox-relay/event"),
    ("outbox-relay/http", "outbox-relay/postgres"),
    ("outbox-relay/postgres", "outbox-relay/event"),
    ("outbox-relay/event", "outbox-relay/http"),
    ("outbox-relay/http", "outbox-relay/engine"),
    ("outbox-relay/engine", "outbox-relay/cli"),
    ("outbox-relay/engine", "shared/http"),
    ("outbox-relay/cli", "services/order"),
    ("outbox-relay/cli", "shared/service"),
]


@pytest.fixture(scope="module", name="all_forbidden")
def _all_forbidden(tmp_path_factory):
    """What the check says of a tree with all that FORBIDDEN lists at once, each in files of its own."""
    tree = Tree(tmp_path_factory.mktemp("forbidden"))
    for user, used in FORBIDDEN:
        header, source = mutants_of(user, used)
        tree.include(header, tree.header(used))
        tree.call(source, next(path for path in tree.paths(used, ".c")
                               if tree.symbols(path, "T") not in ([], ["main"])))
    return tree.check()


def mutants_of(user, used):
    """A new header and a new source file in the folder `user`."""
    name = f"{user}/mutant_{used.replace('/', '_').replace('-', '_')}"
    return f"{name}.h", f"{name}.c"


@pytest.mark.parametrize("user, used", FORBIDDEN)
def test_forbidden_include_is_refused(all_forbidden, user, used):
    assert_line(all_forbidden, f"{mutants_of(user, used)[0]}:2: includes {used}/", "not allowed")


@pytest.mark.parametrize("user, used", FORBIDDEN)
def test_forbidden_call_without_an_include_is_refused(all_forbidden, user, used):
    assert_line(all_forbidden, f"{mutants_of(user, used)[1]}: uses ", f"() of {used}/", "not allowed")


def test_engine_includes_nothing_above(tree):
    pairs = [("core", "source"), ("breaker", "subscription"), ("reader", "lane"), ("lease", "source")]
    for low, high in pairs:
        tree.include(f"outbox-relay/engine/{low}.h", f"outbox-relay/engine/{high}.h")
    output = tree.check()
    for low, high in pairs:
        assert_line(output, f"engine/{low}.h:", f"includes outbox-relay/engine/{high}.h", "not allowed")


def test_engine_calls_nothing_above(tree):
    low, high = "outbox-relay/engine/wake.c", "outbox-relay/engine/source.c"
    tree.call(low, high)
    tree.assert_refused(f"{low}:", f"of {high}", "not allowed")


@pytest.mark.parametrize("folder", ["outbox-relay/engine", "shared/http"])
def test_circular_includes_are_refused(tree, folder):
    user, used = tree.including_pair(folder)
    tree.include(used, user)
    tree.assert_refused("circular includes:", user.removesuffix(".h"), used.removesuffix(".h"))


def test_longer_circle_is_shown_as_the_way_round(tree):
    for step in ("ab", "bc", "ca"):
        tree.append(f"shared/db/mutant_{step[0]}.h", f'#include "shared/db/mutant_{step[1]}.h"')
    tree.assert_refused("circular includes: " + " -> ".join(f"shared/db/mutant_{x}" for x in "abca"))
    tree.assert_refused("shared/db/mutant_c.h:2: includes shared/db/mutant_a.h")


@pytest.mark.parametrize("folder", ["outbox-relay/engine", "outbox-relay/cli", "shared/db", "shared/http"])
def test_circular_calls_without_an_include_are_refused(tree, folder):
    caller, called = tree.calling_pair(folder)
    tree.call(called, caller)
    tree.assert_refused("circular calls:", f"{caller} -> {called}")


def test_internal_header_is_private_to_its_folder(tree):
    internal = next(path for path in tree.paths("shared/db", ".h") if path.endswith("_internal.h"))
    user = tree.header("shared/http")
    tree.include(user, internal)
    tree.assert_refused(f"{user}:", f"includes {internal}", "private to shared/db")


def test_nobody_uses_the_tests(tree):
    user, used = tree.header("shared/base"), tree.header("tests/support")
    tree.include(user, used)
    tree.assert_refused(f"{user}:", f"includes {used}", "not allowed")


def test_tests_may_use_everything(tree):
    for used in (tree.header("outbox-relay/engine"), "shared/db/db_internal.h", tree.header("services/order")):
        tree.include(tree.header("tests/support"), used)
    assert tree.check() == ""


def test_includes_are_written_from_the_root(tree):
    user = tree.header("shared/base")
    for written in ("log.h", "shared/base/nosuch.h"):
        tree.include(user, written)
    output = tree.check()
    for written in ("log.h", "shared/base/nosuch.h"):
        assert_line(output, f"{user}:", f'"{written}" is not the path')


def test_file_without_a_place_is_refused(tree):
    places = {"outbox-relay/mutant.h": "MAY_USE", "shared/mutant.h": "MAY_USE",
              "outbox-relay/mutant/mutant.h": "MAY_USE", "outbox-relay/engine/mutant.h": "ENGINE_ORDER"}
    for path in places:
        tree.append(path, "")
    output = tree.check()
    for path, table in places.items():
        assert_line(output, f"{path}: {table}", "does not list")


def test_order_names_no_module_that_is_gone(tree):
    for path in tree.paths("outbox-relay/engine", ".[ch]"):
        if "/metrics." in path:
            (tree.root / path).unlink()
    tree.assert_refused("outbox-relay/engine/metrics.c: does not exist", "ENGINE_ORDER")


def test_objects_of_before_are_refused(tree):
    path = tree.paths("shared/base", ".c")[0]
    tree.append(path, "")
    status, output = run(tree)
    assert status == 1 and f"older than {path}: run make first" in output
