"""Every sentence of the manual page and of each --help is proved by a test.

manual_proofs.txt has the sentences, word for word, each with the tests that show it to be true. A
sentence without a test, a sentence that is not in the manual any more, and a test that does not
exist fail here. Whoever changes a sentence changes it there as well, and names the test of what it
says now."""

import functools
import re
import subprocess
from pathlib import Path

from lib import process

PROGRAM = str(process.binary("outbox-relay"))
TEMPLATE = process.ROOT / "packaging" / "outbox-relay.1.in"
# What states nothing: how to type it, and where else to read.
NO_STATEMENTS = ("SYNOPSIS", "QUICK START", "SEE ALSO")


def output(*words):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=True).stdout


def sentences(text, item=None):
    """`item` is the option, file or status that they are about."""
    found = re.split(r"(?<=\.)\s+", " ".join(text.split()))
    return [f"{item}: {sentence}" if item else sentence for sentence in found if sentence]


def _sentence(text):
    """Of an entry of a list, as the manual has it."""
    return text[0].upper() + text[1:] + "."


# The manual page, of which the commands are printed by the program. Only what it uses of mdoc(7) is
# understood.

_PLAIN = ("Ar", "Cm", "Ev", "Pa", "Fl")


def _words(arguments):
    """The text of the arguments of a macro: names of further macros are not printed, punctuation
    joins the word before."""
    text, dash = "", ""
    for word in arguments:
        if word in _PLAIN:
            dash = "-" if word == "Fl" else ""
        elif re.fullmatch(r"[.,;:)]", word):
            text += word
        else:
            text += " " + dash + word
            dash = ""
    return text.strip()


def _line_text(line):
    line = re.sub(r"\\f[BP]", "'", line).replace("\\-", "-").replace("\\&", "")
    if not line.startswith("."):
        return line
    macro, *arguments = line[1:].split()
    if macro == "Nm":
        return "outbox-relay"
    if macro == "Fn":
        return arguments[0] + "()" + "".join(arguments[1:])
    if macro == "Nd":
        return _sentence(" ".join(arguments))
    if macro == "Ql":
        return "'" + _words(arguments) + "'"
    assert macro in _PLAIN, line
    return _words([macro, *arguments])


def manual():
    """The sentences of the page."""
    page = TEMPLATE.read_text(encoding="utf-8").replace("@COMMANDS@\n", output("--man"))
    found, block, item, section = [], [], None, None

    def end_block():
        if section not in NO_STATEMENTS:
            found.extend(sentences(" ".join(block), item))
        block.clear()

    for line in page.splitlines():
        macro = line[1:3] if line.startswith(".") else None
        if macro in ("Sh", "Ss", "Pp", "It", "El", "Bl", "Bd", "Ed"):
            end_block()
            if macro in ("Sh", "Ss", "El"):
                item = None
            if macro == "Sh":
                section = line[4:]
            if macro == "It":
                item = _item(line)
        elif section and section not in NO_STATEMENTS and line != ".Nm outbox-relay":
            block.append(_line_text(line))
    end_block()
    return found


def _item(line):
    """The option of an .It, without its value; else the name, of a file without its folder."""
    words = _words(line.replace("\\-", "-").split()[1:])
    names = [word for word in words.split() if word.startswith("--")]
    return names[0] if names else words.rsplit("/", 1)[-1]


# --help

def help_text(*command):
    """The sentences of a --help: paragraphs, and lists of which an entry may take several lines."""
    found = []
    for paragraph in output(*command, "--help").split("\n\n"):
        if paragraph.startswith("usage:"):
            continue
        if not re.match(r"\w+:\n", paragraph):
            found += sentences(paragraph)
            continue
        head, entries = paragraph.split("\n", 1)
        for entry in re.split(r"\n(?=  \S)", entries):
            name, text = re.match(r"  (\S.*?)(?:  +|\n +)(.*)", entry, re.S).groups()
            options = [word for word in name.split() if word.startswith("--")]
            found += sentences(_sentence(text), options[0] if head == "Options:" else None)
    return found


def commands():
    listed = output("--help").split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


@functools.cache
def stated():
    """Every sentence, once, in the order of the manual."""
    found = manual() + help_text()
    for command in commands():
        found += help_text(command)
    return list(dict.fromkeys(found))


# The table

@functools.cache
def proofs():
    """{sentence: tests}"""
    text = (Path(__file__).parent / "manual_proofs.txt").read_text(encoding="utf-8")
    found = {}
    for entry in text.split("\n\n"):
        lines = entry.splitlines()
        sentence = " ".join(line for line in lines if not line.startswith("    "))
        assert sentence not in found, f"twice: {sentence}"
        found[sentence] = [line.strip() for line in lines if line.startswith("    ")]
    return found


@functools.cache
def functions_of(module):
    """The names of the functions of a module of tests, in Python or in C."""
    tests = process.ROOT / "tests"
    [file] = [*tests.glob(f"integration/relay/{module}.py"), *tests.glob(f"integration/c/{module}.c"),
              *tests.glob(f"unit/{module}.c")]
    text = file.read_text(encoding="utf-8")
    return set(re.findall(r"^(?:def |static void )(\w+)\(", text, re.M))


def test_every_sentence_is_proved():
    assert [sentence for sentence in stated() if sentence not in proofs()] == []


def test_every_proof_is_of_a_sentence():
    assert [sentence for sentence in proofs() if sentence not in stated()] == []


def test_every_proof_is_a_test():
    for sentence, tests in proofs().items():
        assert tests, f"without a test: {sentence}"
        for module, name in (test.split(".") for test in tests):
            assert name in functions_of(module), f"there is no {module}.{name}: {sentence}"


def test_common_options_are_taken_by_all_other_commands():
    for option in ("source", "json"):
        [exceptions] = [sentence for sentence in stated() if sentence.startswith(f"--{option}: Not for ")]
        without = set(re.findall(r"\w+", exceptions.split("Not for ")[1])) - {"and"}
        assert without == {command for command in commands()
                           if f"  --{option}" not in output(command, "--help") or command == "run"}
