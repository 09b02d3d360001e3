"""docs/relay read as what it promises: its blocks of code, and its table of answers."""

import re

from lib.process import ROOT

PAGES = ROOT / "docs" / "relay"


def blocks(page, language):
    """The fenced blocks of a page in this language, in order."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


def _statuses(cell):
    """The statuses that a cell such as "408, 3xx, 501 to 599" names."""
    named = set()
    for first, last in re.findall(r"(\d{3}) to (\d{3})", cell):
        named |= set(range(int(first), int(last) + 1))
    for hundred in re.findall(r"\b(\d)xx", cell):
        named |= set(range(int(hundred) * 100, int(hundred) * 100 + 100))
    return named | {int(status) for status in re.findall(r"\b\d{3}\b", cell)}


def meanings():
    """{status: what the first table of receiving.md says in bold}; a later row is the exception to
    an earlier one."""
    text = (PAGES / "receiving.md").read_text(encoding="utf-8")
    table = text.split("| you answer | it means |")[1].split("\n\n")[0]
    told = {}
    for row in table.splitlines()[2:]:
        answer, meaning = row.strip("| ").split(" | ")
        [bold] = re.findall(r"\*\*(.*?)\*\*", meaning)
        told.update(dict.fromkeys(_statuses(answer), bold))
    return told
