"""What the conversation tells, what is our own, what a token is. What ids and subjects tell: test_corpus.py, too."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from worker.events.received import Correlation
from worker.inbound.correlate import asks_conversation, by_conversation, correlate, is_own, tracking_token
from worker.mail.incoming import IncomingMail, SentCopy
from worker.mail.message_id import compose
from worker.mail.stamp import stamp_of

KEY = b"key"
STAMP = stamp_of("/crm", "event-1")
ONE, TWO = (compose(name, STAMP, "contoso.example", KEY) for name in ("mail-1", "mail-2"))
UNSIGNED = compose("mail-1", STAMP, "contoso.example", None)
FORGED = compose("mail-1", STAMP, "contoso.example", b"another key")
AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MAIL = IncomingMail("1", AT, message_id="<1@c.example>", conversation_id="conversation-1", subject="A question")


def correlated(mail: IncomingMail, key: bytes | None = KEY) -> Correlation:
    return correlate(mail, key=key, prefix="CRM:")


def test_in_reply_to_before_references_before_the_subject() -> None:
    mail = replace(MAIL, subject="Re: CRM:0001042")
    assert correlated(mail) == Correlation("tracking-token", tracking_token="CRM:0001042")
    mail = replace(mail, references=f"{ONE} <x@c.example>")
    assert correlated(mail) == Correlation("references", "mail-1", "CRM:0001042", verified=True)
    mail = replace(mail, in_reply_to=TWO)
    assert correlated(mail) == Correlation("in-reply-to", "mail-2", "CRM:0001042", verified=True)


@pytest.mark.parametrize("claimed", [FORGED, UNSIGNED])
def test_a_forged_id_counts_for_nothing(claimed: str) -> None:
    assert correlated(replace(MAIL, in_reply_to=claimed)) == Correlation()
    assert correlated(replace(MAIL, in_reply_to=claimed, references=ONE)).method == "references"


def test_without_a_key_ids_count_and_are_not_verified() -> None:
    assert correlated(replace(MAIL, in_reply_to=UNSIGNED), None) == Correlation("in-reply-to", "mail-1")


def test_an_id_that_no_event_could_carry_is_nobodys() -> None:
    for odd in ("a\r\nb", "x" * 200, "\x00"):
        assert correlated(replace(MAIL, in_reply_to=compose(odd, STAMP, "c.example", None)), None) == Correlation()


def test_mail_of_our_own_answers_nothing() -> None:
    marked = (("X-CRM-Mail-Router", ONE[1:].partition("@")[0]),)
    for own in (replace(MAIL, message_id=ONE), replace(MAIL, headers=marked)):
        reply = replace(own, in_reply_to=TWO, references=TWO, subject="Re: CRM:1")
        assert is_own(reply, KEY)
        assert correlated(reply) == Correlation()
        assert by_conversation(reply, (SentCopy(TWO, TWO),), key=KEY) == Correlation()


def test_mail_of_another_companys_router_is_not_our_own() -> None:
    theirs = replace(MAIL, message_id=FORGED, headers=(("X-CRM-Mail-Router", FORGED[1:].partition("@")[0]),))

    assert not is_own(theirs, KEY)
    assert not is_own(theirs, None)
    assert is_own(replace(theirs, message_id=UNSIGNED), None)
    assert correlated(replace(theirs, in_reply_to=ONE)).email_id == "mail-1"


@pytest.mark.parametrize(
    ("subject", "prefix", "token"),
    [
        ("Re: offer CRM:0001042", "CRM:", "CRM:0001042"),
        ("CRM:1 then CRM:2", "CRM:", "CRM:2"),
        ("(CRM:0001042)", "CRM:", "CRM:0001042"),
        ("CRM:AB-12_c.", "CRM:", "CRM:AB-12_c"),
        ("CRM:rollout", "CRM:", ""),
        ("CRM: 0001042", "CRM:", ""),
        ("xCRM:0001042", "CRM:", ""),
        ("case crm:1", "CRM:", ""),
        ("[#4711]", "[#", "[#4711"),
        ("anything 1", "", ""),
        ("CRM:" + "9" * 5000, "CRM:", "CRM:" + "9" * 80),
    ],
)
def test_tokens(subject: str, prefix: str, token: str) -> None:
    assert tracking_token(subject, prefix) == token


@pytest.mark.parametrize(
    ("reply", "asks"),
    [
        (MAIL, False),
        (replace(MAIL, subject="Re: Your request"), True),
        (replace(MAIL, subject="AW: Your request"), True),
        (replace(MAIL, subject="回复：您好"), True),
        (replace(MAIL, subject="Regarding: your request"), False),
        (replace(MAIL, in_reply_to="<x@c.example>"), True),
        (replace(MAIL, references="<x@c.example>"), True),
        (replace(MAIL, conversation_index=b"x" * 22), False),
        (replace(MAIL, conversation_index=b"x" * 27), True),
        (replace(MAIL, subject="Re: x", conversation_id=""), False),
        (replace(MAIL, in_reply_to=ONE), False),
        (replace(MAIL, subject="Re: CRM:1"), False),
    ],
)
def test_only_what_looks_like_a_reply_asks_its_conversation(reply: IncomingMail, asks: bool) -> None:  # noqa: FBT001 - a row
    assert asks_conversation(reply, correlated(reply)) == asks


def test_by_conversation() -> None:
    copies = (SentCopy("<new@server.example>", TWO), SentCopy("<old@server.example>", ONE))

    def found(mail: IncomingMail, copies: tuple[SentCopy, ...] = copies) -> Correlation:
        return by_conversation(mail, copies, key=KEY)

    assert found(replace(MAIL, subject="Re: x")) == Correlation("conversation", "mail-2")
    assert found(replace(MAIL, in_reply_to="<old@server.example>")) == Correlation("in-reply-to", "mail-1")
    assert found(replace(MAIL, references="<old@server.example> <x@y>")) == Correlation("references", "mail-1")
    assert found(MAIL, ()) == Correlation()
    assert found(MAIL, (SentCopy("<new@server.example>", FORGED),)) == Correlation()
