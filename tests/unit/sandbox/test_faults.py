"""What an address orders, and what chance does under a seed."""

from collections.abc import Sequence

import pytest

from worker.sandbox.faults import Faults, Subject


def _subject(address: str, key: str = "mail") -> Subject:
    return Subject(frozenset({address}), key)


@pytest.mark.parametrize(
    ("address", "operation", "struck"),
    [
        ("a+busy@x", "CreateItem", ["busy", "busy", "busy"]),
        ("a+busy@x", "FindItem", [None, None, None]),
        ("a+busy-once@x", "SendItem", ["busy", None, None]),
        ("a+busy-2@x", "SendItem", ["busy", "busy", None]),
        ("a+busy-0@x", "SendItem", [None, None, None]),
        ("a+busy-send@x", "CreateItem", [None, None, None]),
        ("a+busy-send-once@x", "SendItem", ["busy", None, None]),
        ("a+busy-once-send@x", "SendItem", ["busy", None, None]),
        ("a+lost-find-once@x", "FindItem", ["lost", None, None]),
        ("a+busy-once+lost-once+17@x", "CreateItem", ["busy", "lost", None]),
        ("a+nonsense-word@x", "CreateItem", [None, None, None]),
        ("a+busy-nonsense@x", "CreateItem", [None, None, None]),
        ("a+Busy@x", "CreateItem", [None, None, None]),
        ("busy@x+busy", "CreateItem", [None, None, None]),
        ("a+quota@x", "CreateItem", [None, None, None]),
    ],
)
def test_of_a_request(address: str, operation: str, struck: Sequence[str | None]) -> None:
    faults = Faults()
    assert [faults.of_request(operation, [_subject(address)]) for _ in range(3)] == struck


def test_of_an_item() -> None:
    faults = Faults()
    assert faults.of_item("CreateItem", _subject("a+quota-once@x"), "item") == "quota"
    assert faults.of_item("CreateItem", _subject("a+quota-once@x"), "item") is None
    assert faults.of_item("CreateItem", _subject("a+quota-once@x", "another mail"), "item") == "quota"
    assert faults.of_item("SendItem", _subject("a+timeout@x"), "item") is None
    assert faults.of_item("SendItem", _subject("a+timeout@x"), "done") == "timeout"


def test_chance_of_one_operation_does_not_hang_on_the_others() -> None:
    def fates(faults: Faults, others: int) -> list[str | None]:
        found = []
        for _ in range(200):
            found.append(faults.of_request("SendItem", []))
            for _ in range(others):
                faults.of_request("FindItem", [])
        return found

    rates = {"lost": {"*": 0.05}, "cut": {"SendItem": 0.1, "FindItem": 0.9}}
    first = fates(Faults(7, rates), 0)
    assert first == fates(Faults(7, rates), 3)
    assert 2 <= first.count("lost") <= 25
    assert 8 <= first.count("cut") <= 40
