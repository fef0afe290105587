"""Who is listened to, in which groups, and what becomes of those that end."""

from tests.unit.inbound.test_schedule import routes
from worker.inbound.listening import AGAIN_SECONDS, CONNECTIONS, DEAF_SECONDS, GROUP, LOST_SECONDS, Listening
from worker.inbound.ticket import Listened, ListenTicket


def ended(ticket: ListenTicket, *deaf: str) -> Listened:
    return Listened(ticket.number, ticket.profile, deaf)


def test_groups_are_bounded_and_of_one_profile() -> None:
    tickets = Listening(routes(GROUP + 1, 1), 0.0).take(0.0)
    assert sorted((each.profile, len(each.mailboxes)) for each in tickets) == [("P0", 1), ("P0", GROUP), ("P1", 1)]


def test_a_very_large_profile_has_so_many_connections_and_no_more() -> None:
    assert len(Listening(routes(GROUP * CONNECTIONS + 1), 0.0).take(0.0)) == CONNECTIONS


def test_a_group_that_ends_begins_again_but_not_in_a_hurry() -> None:
    plan = Listening(routes(2), 0.0)
    (ticket,) = plan.take(0.0)
    assert plan.take(1.0) == []
    plan.ended(ended(ticket), 1.0)
    assert plan.take(AGAIN_SECONDS - 0.1) == []
    assert plan.next_at(1.0) == AGAIN_SECONDS
    (again,) = plan.take(AGAIN_SECONDS)
    assert again.mailboxes == ticket.mailboxes
    plan.ended(ended(again), 1200.0)
    assert len(plan.take(1200.0)) == 1


def test_the_deaf_are_tried_again_later() -> None:
    plan = Listening(routes(3), 0.0)
    (ticket,) = plan.take(0.0)
    plan.ended(ended(ticket, *ticket.mailboxes), 1.0)
    assert plan.take(DEAF_SECONDS) == []
    (again,) = plan.take(1.0 + DEAF_SECONDS)
    assert again.mailboxes == ticket.mailboxes


def test_groups_do_not_fall_to_pieces() -> None:
    plan = Listening(routes(10), 0.0)
    (ticket,) = plan.take(0.0)
    for turn in range(20):
        plan.ended(ended(ticket, ticket.mailboxes[turn % 10]), (turn + 1) * 1200.0)
        tickets = plan.take((turn + 1) * 1200.0)
        assert sum(len(each.mailboxes) for each in tickets) == 10
        (ticket,) = tickets


def test_what_is_not_heard_of_again_is_forgotten_and_strangers_mean_nothing() -> None:
    plan = Listening(routes(1), 0.0, first=100)
    (ticket,) = plan.take(0.0)
    plan.ended(Listened(1, "P0"), 1.0)
    plan.ended(Listened(ticket.number, "P1"), 1.0)
    assert plan.take(LOST_SECONDS - 1) == []
    assert len(plan.take(LOST_SECONDS)) == 1


def test_nobody_to_listen_to() -> None:
    plan = Listening((), 0.0)
    assert plan.take(0.0) == []
    assert plan.next_at(5.0) > 5.0
