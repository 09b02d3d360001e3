"""docs/events.md names every event there is, and no other; the checker of payloads does check."""

import re

import pytest
from lib import event_docs
from lib.process import ROOT

EVENT_TYPE = re.compile(r"""["']((?:user|admin|billing|order|product|price)\.[a-z]+)["']""")


def test_documented_events_are_those_in_the_sources():
    sources = [*ROOT.glob("services/*/*.c"), *ROOT.glob("sql/*/*.sql")]
    named = {name for path in sources for name in EVENT_TYPE.findall(path.read_text("utf-8"))}
    assert named == set(event_docs.documented())


@pytest.mark.parametrize("change", [
    {"billId": None}, {"billId": 0}, {"billId": "1"}, {"billId": True}, {"total": "1.0"},
    {"total": "01"}, {"total": 1}, {"total": "-1"}, {"more": 1}, {"orderVersion": ...},
])
def test_deviating_payload_is_found(change):
    good = {"userId": 1, "accountId": 2, "billId": 3, "orderId": 4, "total": "9.9",
            "orderVersion": 1}
    event_docs.check("billing.paymentcompleted", good)
    bad = {name: value for name, value in {**good, **change}.items() if value is not ...}
    with pytest.raises(AssertionError):
        event_docs.check("billing.paymentcompleted", bad)


def test_deviating_list_is_found():
    event_docs.check("price.changed", {"productId": 1, "version": 1,
                                       "prices": [{"quantity": 1, "value": "1"}]})
    for tier in ({"quantity": 1}, {"quantity": 0, "value": "1"}, {"quantity": 1, "value": "1.00"}):
        with pytest.raises(AssertionError):
            event_docs.check("price.changed", {"productId": 1, "version": 1, "prices": [tier]})
