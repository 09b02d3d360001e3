"""docs/events.md read as the contract it is: check(event_type, payload) tells whether an event has
exactly the members written there, each of the type written there."""

import functools
import re

from .process import ROOT

MONEY = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]?[1-9])?")


def _is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**63


TYPES = {
    "id": _is_integer,
    "version": _is_integer,
    "quantity": _is_integer,
    "money": lambda value: isinstance(value, str) and MONEY.fullmatch(value) is not None,
    "text": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
}


def _type_check(text):
    if text.startswith("one of "):
        words = [word.strip() for word in text.removeprefix("one of ").split(",")]
        return lambda value: value in words
    return TYPES[text]


@functools.cache
def documented():
    """{event type: {member: check}}, members of a list's objects as "items[].total"."""
    events, current = {}, None
    for line in (ROOT / "docs" / "events.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            current = re.findall(r"`([a-z.]+)`", line) if line.startswith("### ") else []
            events.update({event_type: {} for event_type in current})
        elif line.startswith("|") and current:
            name, type_text = (cell.strip() for cell in line.split("|")[1:3])
            if name != "field" and not name.startswith("-"):
                for event_type in current:
                    events[event_type][name] = _type_check(type_text)
    return events


def _flatten(payload):
    """Pairs of documented name and value."""
    for name, value in payload.items():
        yield name, value
        if isinstance(value, list):
            for item in value:
                yield from ((f"{name}[].{member}", part) for member, part in item.items())


def check(event_type, payload):
    """Asserts that the event is as documented."""
    fields = documented().get(event_type)
    assert fields is not None, f"{event_type} is not in docs/events.md"
    lists = {name.split("[")[0] for name in fields if "[" in name}
    for name, value in _flatten(payload):
        assert name in fields, f"{event_type}: {name} is not in docs/events.md"
        assert fields[name](value), f"{event_type}: {name} is {value!r}, not as documented"
    required = {name for name in fields if "[" not in name}
    assert required <= set(payload), f"{event_type}: {required - set(payload)} missing"
    for name in lists:
        members = {field.split("].")[1] for field in fields if field.startswith(name + "[]")}
        for item in payload[name]:
            assert set(item) == members, f"{event_type}: {name} has {item}"
