"""Every mail of the corpus goes its whole way; of the hand-made ones it is known what comes of them."""

import random
from typing import Final

import pytest

from tests.unit.inbound.corpus import SEED, corpus, hand_made, mutated
from tests.unit.inbound.way import holds, way
from worker.inbound.mime import parse
from worker.inbound.parts import MOST_PARTS

MUTATIONS: Final = 1500

NONE, IN_REPLY_TO, REFERENCES, TOKEN = "none", "in-reply-to", "references", "tracking-token"
ONE, TWO = "mail-1", "mail-2"
X, Y = "x@customer.example", "y@customer.example"

MAILS: Final = {
    # name: kind, automatic, by which method, which e-mail or token
    "arf-complaint": ("message", True, NONE, ""),
    "auto-boxtrapper": ("auto-reply", True, NONE, ""),
    "auto-chinese": ("auto-reply", True, NONE, ""),
    "auto-communigate": ("auto-reply", True, NONE, ""),
    "auto-cpanel": ("auto-reply", True, NONE, ""),
    "auto-dtc": ("auto-reply", True, NONE, ""),
    "auto-exchange": ("auto-reply", True, IN_REPLY_TO, ONE),
    "auto-exchange-bare": ("auto-reply", True, TOKEN, "CRM:0001042"),
    "auto-french": ("auto-reply", True, NONE, ""),
    "auto-german": ("auto-reply", True, NONE, ""),
    "auto-gmail": ("auto-reply", True, IN_REPLY_TO, ONE),
    "auto-japanese": ("auto-reply", True, NONE, ""),
    "auto-mailtraq": ("auto-reply", True, NONE, ""),
    "auto-null-sender": ("auto-reply", True, IN_REPLY_TO, ONE),
    "auto-qmail": ("auto-reply", True, NONE, ""),
    "auto-sieve": ("auto-reply", True, IN_REPLY_TO, ONE),
    "auto-ticket": ("message", True, NONE, ""),
    "auto-vacation": ("auto-reply", True, NONE, ""),
    "calendar-published": ("message", False, NONE, ""),
    "cron": ("message", True, NONE, ""),
    "dsn-delayed": ("receipt", True, IN_REPLY_TO, ONE),
    "dsn-delayed-exim": ("receipt", True, IN_REPLY_TO, ONE),
    "dsn-delayed-silent": ("receipt", True, IN_REPLY_TO, ONE),
    "dsn-delivered": ("receipt", True, IN_REPLY_TO, ONE),
    "echo": ("message", True, NONE, ""),
    "echo-by-id": ("message", True, NONE, ""),
    "encrypted": ("message", False, NONE, ""),
    "forwarded-as-attachment": ("message", False, NONE, ""),
    "fresh": ("message", False, NONE, ""),
    "machine": ("message", True, NONE, ""),
    "mailing-list": ("message", True, IN_REPLY_TO, ONE),
    "mbox-line": ("message", False, NONE, ""),
    "mdn-deleted": ("receipt", True, IN_REPLY_TO, ONE),
    "mdn-read": ("receipt", True, IN_REPLY_TO, ONE),
    "meeting-alone": ("meeting", False, NONE, ""),
    "meeting-cancel": ("meeting", False, IN_REPLY_TO, ONE),
    "meeting-reply": ("meeting", False, IN_REPLY_TO, ONE),
    "meeting-request": ("meeting", False, IN_REPLY_TO, ONE),
    "newsletter": ("message", True, NONE, ""),
    "not-submitted-by-machine": ("message", False, NONE, ""),
    "other-router": ("message", False, IN_REPLY_TO, ONE),
    "reply": ("message", False, IN_REPLY_TO, ONE),
    "reply-folded-id": ("message", False, IN_REPLY_TO, ONE),
    "reply-forged": ("message", False, NONE, ""),
    "reply-forged-token": ("message", False, TOKEN, "CRM:0001042"),
    "reply-newest-reference": ("message", False, REFERENCES, TWO),
    "reply-not-a-token": ("message", False, NONE, ""),
    "reply-old-form": ("message", False, IN_REPLY_TO, ONE),
    "reply-references": ("message", False, REFERENCES, TWO),
    "reply-token": ("message", False, TOKEN, "CRM:0001042"),
    "says-out-of-office": ("message", False, IN_REPLY_TO, ONE),
    "says-undeliverable": ("message", False, NONE, ""),
    "signed": ("message", False, NONE, ""),
    "suppressing": ("message", True, NONE, ""),
    "suppressing-receipts": ("message", False, NONE, ""),
    "winmail": ("message", False, NONE, ""),
    "without-anything": ("message", False, NONE, ""),
    "without-sender": ("message", False, NONE, ""),
}

BOUNCES: Final = {
    # name: who was not reached, with the code, the scope and a word of the cause; and whether it is known which mail
    "dsn-base64-status": ([(X, "5.4.1", "recipient", "unknown")], True),
    "dsn-blocked": ([(X, "5.7.606", "profile", "blocked")], True),
    "dsn-cut-off": ([(X, "5.1.1", "recipient", "unknown")], False),
    "dsn-domino": ([(X, "5.1.1", "recipient", "unknown")], True),
    "dsn-exchange-online": ([(X, "5.1.10", "recipient", "unknown")], True),
    "dsn-exchange-server": ([(X, "5.3.4", "message", "too large")], True),
    "dsn-exim": ([(X, "5.0.0", "recipient", "unknown")], True),
    "dsn-exim-old": ([(X, "5.7.1", "recipient", "refuses")], True),
    "dsn-foreign-key": ([(X, "5.1.1", "recipient", "unknown")], False),
    "dsn-gmail": ([(X, "4.0.0", "recipient", "domain")], True),
    "dsn-groupwise": ([(X, "undeliverable", "recipient", "unknown")], True),
    "dsn-html-only": ([(X, "5.7.509", "profile", "DMARC")], True),
    "dsn-one-paragraph": ([(X, "5.1.2", "recipient", "domain"), (Y, "5.1.3", "recipient", "not a valid one")], True),
    "dsn-original-recipient": ([("sales+north@customer.example", "5.7.133", "recipient", "certain senders")], True),
    "dsn-postfix": ([(X, "5.1.1", "recipient", "unknown")], True),
    "dsn-qmail": ([(X, "5.2.1", "recipient", "closed")], True),
    "dsn-sendmail": ([(X, "5.2.2", "recipient", "full")], True),
    "dsn-sendmail-old": ([(X, "undeliverable", "recipient", "unknown")], True),
    "dsn-ses": ([(X, "4.4.7", "recipient", "reached in time")], True),
    "dsn-several": ([(X, "5.1.1", "recipient", "unknown"), (Y, "5.7.26", "profile", "DMARC")], True),
    "dsn-utf-8": ([("jörg@customer.example", "5.6.7", "recipient", "script")], True),
    "dsn-without-original": ([(X, "5.1.1", "recipient", "unknown")], True),
    "dsn-without-recipient": ([("", "5.0.0", "recipient", "full")], True),
    "dsn-yahoo": ([(X, "undeliverable", "recipient", "unknown")], True),
}


def test_each_file_is_in_one_of_the_tables() -> None:
    assert sorted((*MAILS, *BOUNCES)) == sorted(hand_made())


def test_the_corpus_is_large_and_the_same_each_time() -> None:
    assert len(corpus()) >= 400
    again = corpus.__wrapped__()
    assert again == corpus()


@pytest.mark.parametrize("ends", ["", ", CRLF"])
@pytest.mark.parametrize("name", MAILS)
def test_mails(name: str, ends: str) -> None:
    kind, automatic, method, found = MAILS[name]
    gone = way(corpus()[name + ends])

    assert (gone.kind, gone.automatic) == (kind, automatic)
    assert gone.correlation.method == method
    assert found == (gone.correlation.tracking_token if method == TOKEN else gone.correlation.email_id)
    assert gone.correlation.verified == (method in (IN_REPLY_TO, REFERENCES))
    assert not gone.bounces


@pytest.mark.parametrize("ends", ["", ", CRLF"])
@pytest.mark.parametrize("name", BOUNCES)
def test_bounces(name: str, ends: str) -> None:
    expected, known = BOUNCES[name]
    gone = way(corpus()[name + ends])

    assert (gone.kind, gone.automatic) == ("bounce", True)
    assert gone.report is not None
    found = [(each.recipient, each.reason.code, each.reason.scope.value) for each in gone.report.failures]
    assert found == [each[:3] for each in expected]
    for failure, (*_, word) in zip(gone.report.failures, expected, strict=True):
        assert word in failure.reason.message.partition("(")[0] + failure.reason.message
        assert failure.reason.remedy
    assert (gone.correlation.email_id == ONE) == known
    assert len(gone.bounces) == (len(expected) if known else 0)


@pytest.mark.parametrize("name", sorted(corpus()))
def test_all_go_their_way(name: str) -> None:
    holds(way(corpus()[name]))


@pytest.mark.parametrize("name", ["both large", "large html", "large text"])
def test_a_large_body_is_whole_among_the_files(name: str) -> None:
    gone = way(corpus()[name])

    assert "the body goes on in the attachment" in gone.data["incomplete"]
    for form, ending in (("html", "html"), ("text", "txt")):
        short = gone.data["body"].get(form)
        if short is not None:
            (file,) = [each for each in gone.mail.files if each.name == f"body.{ending}"]
            assert file.content is not None
            assert file.content.decode().startswith(short)
            assert len(file.content) > len(short) > 200_000


def test_parts_beyond_the_limit_are_told() -> None:
    assert not parse(corpus()["999 parts"], "", None).incomplete
    for name in ("1001 parts", "20000 parts", "empty parts"):
        gone = way(corpus()[name])
        assert "more parts" in gone.data["incomplete"]
        assert len(gone.mail.files) <= MOST_PARTS
    assert "there are more than" in way(corpus()["999 parts"]).data["incomplete"]  # attachments than one event tells


@pytest.mark.parametrize("seed", range(10))
def test_mutations_go_their_way(seed: int) -> None:
    """Fails with a seed, and the seed fails again."""
    chance = random.Random(f"{SEED} {seed}")
    sources = list(corpus().values())
    for _ in range(MUTATIONS // 10):
        source = mutated(chance.choice(sources), chance)
        gone = way(source)
        if chance.random() < 0.2:  # the schemas' judge is slow
            holds(gone)
