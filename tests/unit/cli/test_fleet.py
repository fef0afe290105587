"""What `mailrouter status` makes of the workers' answers."""

from datetime import UTC, datetime

import pytest

from worker.cli.fleet import FEW, Status, as_data, lasted, mailbox_rows, queue_rows, worker_rows
from worker.events.fleet import InboundState, MailboxState, OutboundState, WorkerState
from worker.rabbitmq.fleet import FleetState, QueueState
from worker.rabbitmq.topology import POLLS

NOW = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
ANNA = MailboxState(
    mailbox="anna@contoso.example",
    profile="Incoming",
    state="paused",
    since="2026-11-23T07:00:00.000Z",
    code="ErrorAccessDenied",
    cause="mail.contoso.example: ErrorAccessDenied",
    remedy="grant the right",
    next_at="2026-11-23T08:00:30.000Z",
)

READER = WorkerState(worker="a", roles=("inbound",), inbound=InboundState())


def status_of(*workers: WorkerState, queues: tuple[QueueState, ...] = (), silent: int = 0) -> Status:
    return Status(FleetState(workers, queues, silent), NOW)


def sender(name: str, *paused: MailboxState) -> WorkerState:
    return WorkerState(worker=name, roles=("outbound",), outbound=OutboundState(in_progress=7, paused=paused))


def scheduler(*trouble: MailboxState, **counts: int) -> WorkerState:
    inbound = InboundState(scheduler=True, polling=2, mailboxes=counts, trouble=trouble)
    reader = WorkerState(worker="reader", version="0.1.0", roles=("inbound",), profiles=4, inbound=inbound)
    return reader.model_copy(update={"started_at": "2026-11-23T06:00:00Z"})


def test_few_mailboxes_are_all_listed_of_many_those_in_trouble() -> None:
    def listed(count: int, *, everything: bool = False) -> int:
        mailboxes = tuple(ANNA.model_copy(update={"mailbox": f"{number}@contoso.example"}) for number in range(count))
        inbound = InboundState(scheduler=True, trouble=(ANNA,), all=mailboxes)
        fleet = FleetState((READER.model_copy(update={"inbound": inbound}),), (), 0)
        return len(mailbox_rows(Status(fleet, NOW, everything=everything)))

    assert (listed(FEW), listed(FEW + 1), listed(FEW + 1, everything=True)) == (FEW, 1, FEW + 1)


def test_a_worker_is_one_row() -> None:
    rows = worker_rows(status_of(scheduler(), sender("sender")))
    assert rows == [
        ("reader", "0.1.0", "inbound, scheduler", "2 h", "4", "-", "2"),
        ("sender", "", "outbound", "", "0", "7", "-"),
    ]


def test_workers_that_differ_in_their_profiles_are_not_fine() -> None:
    first, second = sender("first"), sender("second").model_copy(update={"revision": "b", "fault": "password: gone"})
    status = status_of(first.model_copy(update={"revision": "a"}), second)
    assert not status.fine
    assert [row[4] for row in worker_rows(status)] == ["0 (a)", "0 (b)"]
    faulty, different = status.complaints()
    assert "second does not work by the profiles it was given last: password: gone" in faulty
    assert "different profiles" in different


def test_a_mailbox_in_trouble_is_one_row_and_not_fine() -> None:
    status = status_of(scheduler(ANNA, ok=1998, paused=1))
    assert not status.fine
    assert mailbox_rows(status) == [
        (
            "anna@contoso.example",
            "in",
            "Incoming",
            "paused",
            "60 min",
            "",
            "in 30 s",
            "",
            "",
            "ErrorAccessDenied: mail.contoso.example: ErrorAccessDenied",
            "grant the right",
        )
    ]


def test_a_sender_that_several_workers_found_in_trouble_is_told_once() -> None:
    later = ANNA.model_copy(update={"since": "2026-11-23T07:30:00.000Z"})
    whole_profile = MailboxState(mailbox="", profile="Outgoing", state="paused")
    status = status_of(sender("a", later), sender("b", ANNA, whole_profile))
    assert [(row[0], row[1], row[4]) for row in mailbox_rows(status)] == [
        ("(all of the profile)", "out", ""),
        ("anna@contoso.example", "out", "60 min"),
    ]
    assert status.paused == 2
    assert not status.fine


def test_paused_ones_beyond_the_listed_count_too() -> None:
    status = status_of(scheduler(ANNA, paused=700))
    assert status.paused == 700
    assert list(status.complaints()) == [
        "699 more mailboxes are paused than are listed. Remedy: put right those listed first."
    ]


@pytest.mark.parametrize(
    ("status", "fine", "complaint"),
    [
        (status_of(), False, "no worker answers"),
        (status_of(sender("a")), True, ""),
        (status_of(scheduler(ok=3, new=1, polling=2)), True, ""),
        (status_of(READER, queues=(QueueState(POLLS, "tickets", 0, 1),)), False, "no worker says when"),
        (status_of(READER, queues=(QueueState(POLLS, "tickets", 0, 0),)), True, ""),  # no profile is incoming
        (status_of(sender("a"), silent=1), True, "no answer from 1 of the workers"),
    ],
)
def test_what_is_fine(status: Status, *, fine: bool, complaint: str) -> None:
    assert status.fine is fine
    assert "".join(status.complaints()).startswith(complaint)
    assert as_data(status)["fine"] is fine


def test_empty_delay_tiers_are_left_out() -> None:
    queues = (
        QueueState("crm.mail.dead", "dead letters", 0, 0),
        QueueState("crm.mail.retry.5s", "retries", 0, 0),
        QueueState("crm.mail.retry.30s", "retries", 4, 0),
    )
    assert [row[:2] for row in queue_rows(status_of(queues=queues))] == [
        ("crm.mail.dead", "0"),
        ("crm.mail.retry.30s", "4"),
    ]


def test_the_data_names_each_mailbox_once() -> None:
    data = as_data(status_of(scheduler(ANNA, paused=1), sender("a")))
    assert data["mailbox_counts"] == {"paused": 1}
    assert data["mailboxes"] == [{"direction": "in", **ANNA.model_dump()}]
    workers = data["workers"]
    assert isinstance(workers, list)
    assert [each.get("inbound") for each in workers] == [{"scheduler": True, "polling": 2}, None]
    assert [each.get("outbound") for each in workers] == [None, {"in_progress": 7}]


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-11-23T08:00:00Z", "0 s"),
        ("2026-11-23T07:58:30.500Z", "90 s"),
        ("2026-11-23T07:57:00Z", "3 min"),
        ("2026-11-23T05:00:00Z", "3 h"),
        ("2026-11-13T08:00:00Z", "10 d"),
        ("2026-11-23T08:05:00Z", "in 5 min"),
        ("", ""),
        ("yesterday", ""),
        ("2026-11-23T08:00:00", ""),
    ],
)
def test_times_are_told_as_spans(moment: str, told: str) -> None:
    assert lasted(moment, NOW) == told


def test_what_another_version_answers_is_read() -> None:
    newer = '{"worker": "new", "shoe_size": 43, "inbound": {"scheduler": true, "mood": "good"}}'
    state = WorkerState.model_validate_json(newer)
    assert state.inbound == InboundState(scheduler=True)
