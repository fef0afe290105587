"""What is published: kept as written, with those before as long as they matter."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.profiles import document
from worker.profiles.book import SETTLING
from worker.profiles.document import Document
from worker.profiles.edition import edition_of
from worker.settings import ConfigurationError

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
OWN = """
[[profile]]
name = "Out"
direction = "outgoing"
server = "exchange"
location = "https://mail.contoso.example/EWS/Exchange.asmx"
username = "router@contoso.example"
password = "env:PATH"

[[mailbox]]
address = "*@contoso.example"
outgoing = "Out"
"""
ACCOUNT = OWN.replace('password = "env:PATH"', 'password = "env:PATH"\naccess = "send-as"')
PACED = OWN.replace('password = "env:PATH"', 'password = "env:PATH"\nmessages_per_minute = 7')


def followed(before: Document, text: str, now: datetime) -> Document:
    return before.followed_by(edition_of(text, "test"), now, "tests", WEEK)


FIRST = Document(OWN, NOON, "tests")


def test_comes_back_as_it_was_written() -> None:
    second = followed(FIRST, ACCOUNT, NOON)
    assert document.read(document.write(second)) == second


def test_one_that_moves_mail_is_remembered_until_workers_have_heard_of_the_change() -> None:
    second = followed(FIRST, ACCOUNT, NOON)
    assert [(each.text, each.until) for each in second.earlier] == [(OWN, NOON + SETTLING)]
    assert [each.revision for each in second.book().earlier] == [edition_of(OWN, "test").revision]


def test_one_that_moves_nobody_is_not() -> None:
    assert followed(FIRST, PACED, NOON).earlier == ()


def test_what_no_request_can_be_under_way_by_any_more_is_forgotten() -> None:
    second = followed(FIRST, ACCOUNT, NOON)
    third = followed(second, OWN, NOON + timedelta(days=6))
    assert [each.text for each in third.earlier] == [OWN, ACCOUNT]
    assert [each.text for each in followed(third, PACED, NOON + timedelta(days=8)).earlier] == [ACCOUNT]


def test_secrets_are_for_the_worker_to_find() -> None:
    elsewhere = Document(OWN.replace("env:PATH", "env:ONLY_ON_THE_WORKERS"), NOON, "tests")
    assert followed(elsewhere, OWN, NOON).earlier == ()
    with pytest.raises(ConfigurationError, match="ONLY_ON_THE_WORKERS is not set"):
        elsewhere.book()


def test_too_large_is_refused_before_it_is_published() -> None:
    with pytest.raises(ConfigurationError, match="at most"):
        document.write(Document("#" * document.MOST_BYTES, NOON, "tests"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"profiles": "", "earlier": [1]}', b"\xff"])
def test_what_is_none_of_ours_is_refused(body: bytes) -> None:
    with pytest.raises(ConfigurationError, match="publish them again"):
        document.read(body)
