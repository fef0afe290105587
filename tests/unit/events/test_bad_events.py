import dataclasses

import orjson
import pytest

from tests.unit.events.bad_events import BAD, OVERSIZE, Bad
from tests.unit.events.sample import changed, decoded, full, refused
from worker.events.decode import Invalid


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_event_is_refused_for_what_is_wrong_with_it(bad: Bad) -> None:
    invalid = refused(bad.body)

    assert invalid.field == bad.field
    assert bad.says in invalid.message
    assert invalid.email_id == bad.email_id


def test_names_are_unique() -> None:
    assert len({bad.name for bad in BAD}) == len(BAD)


def test_too_large_an_event_is_told_of_all_the_same() -> None:
    invalid = decoded(OVERSIZE, max_bytes=4096)

    assert isinstance(invalid, Invalid)
    assert invalid.message == f"the event is {len(OVERSIZE)} bytes long; the limit is 4096 bytes"
    assert (invalid.email_id, invalid.source) == ("a3f09c1e-7d5b-4f1c-8a55-3b8f5d1f0e21", "/crm/contoso")


def test_what_is_larger_than_any_broker_takes_is_not_even_read() -> None:
    invalid = decoded(orjson.dumps(changed({})) + bytes(16 * 2**20))

    assert isinstance(invalid, Invalid)
    assert "the limit is 12582912 bytes" in invalid.message
    assert invalid.email_id == ""


def test_where_it_came_from_is_told_as_far_as_it_can_be_read() -> None:
    invalid = refused(changed({"data.subject": 7, "id": "line\nbreak", "data.to": 1}))

    assert invalid == Invalid(
        "id",
        "must not hold control characters, line breaks or U+FFFD (and 2 more faults in this event)",
        email_id="a3f09c1e-7d5b-4f1c-8a55-3b8f5d1f0e21",
        source="/crm/contoso",
        event_id="",
        mailbox="anna@contoso.example",
    )


@pytest.mark.parametrize(
    "place", ["data.subject", "data.from.address", "data.to[0].name", "data.tracking_token", "time"]
)
def test_nothing_of_the_event_is_repeated(place: str) -> None:
    invalid = refused(changed({place: "swordfish\r\n"}))

    assert "swordfish" not in "".join(dataclasses.astuple(invalid))


def test_a_header_name_that_is_no_plain_name_stays_out_of_the_field() -> None:
    invalid = refused(changed({"data.headers": {"X-Swordfish\r\n": ""}}))

    assert invalid.field == "data.headers"


def test_a_list_of_thousands_of_faults_is_left_at_its_limit() -> None:
    assert "more fault" not in refused(changed({"data.to": [1] * 100_000})).message
    assert "(and 999 more faults" in refused(changed({"data.to": [1] * 1000})).message


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents-batch+json", "application/cloudevents+avro", "text/plain"]
)
def test_content_types_that_are_not_taken(content_type: str) -> None:
    invalid = refused(orjson.dumps(changed({})), content_type)

    assert invalid.field == ""
    assert "application/cloudevents+json" in invalid.message
    assert invalid.email_id == full()["data"]["email_id"], "and the CRM is told"


def test_an_email_id_that_is_too_long_is_told_of_all_the_same() -> None:
    invalid = refused(changed({"data.email_id": "e" * 200}))

    assert (invalid.field, invalid.email_id) == ("data.email_id", "e" * 200)
