"""Limits hold for the fleet, whatever workers come and go and whatever news is lost; and the line moves."""

from itertools import pairwise

import pytest

from tests.simulation.pacing import Fleet
from worker.mail.transport import WorkingMailbox

ANNA = WorkingMailbox("P", "anna@contoso.example")
SLOW = WorkingMailbox("P", "slow@contoso.example")
BEA = WorkingMailbox("P", "bea@contoso.example")


@pytest.mark.parametrize("workers", [1, 4, 12])
def test_a_limit_holds_for_all_workers_together_and_is_used(workers: int) -> None:
    for seed in range(2):
        fleet = Fleet(seed, workers, {ANNA: 30, SLOW: 6})
        fleet.run(5)
        fleet.publish(ANNA, 600)
        fleet.publish(SLOW, 100)
        fleet.run(600)
        assert fleet.most_in_a_minute(ANNA) <= 30
        assert fleet.most_in_a_minute(SLOW) <= 6
        assert len(fleet.sent[ANNA]) >= 0.85 * 300
        assert len(fleet.sent[SLOW]) >= 0.75 * 60


@pytest.mark.parametrize("workers", [2, 4])
def test_a_limit_is_used_although_one_worker_took_in_everything(workers: int) -> None:
    """It reckons with those alone that have begun to take mail: the others may have no line."""
    for seed in range(3):
        fleet = Fleet(seed, workers, {ANNA: 30})
        fleet.hold(workers - 1)
        fleet.publish(ANNA, 400)
        fleet.run(1)
        fleet.release()
        fleet.run(600)
        assert fleet.most_in_a_minute(ANNA) <= 30
        assert len(fleet.sent[ANNA]) >= 0.75 * 300


@pytest.mark.parametrize(("loss", "churn", "most"), [(0.2, 0.0, 33), (0.0, 0.02, 36), (0.2, 0.05, 45)])
def test_lost_news_and_dying_workers_cost_little(loss: float, churn: float, most: int) -> None:
    """A tenth over the limit at most with a fifth of the news lost. A worker that dies takes with it what it sent in
    its last second and had not told yet: a fifth over where one dies every 50 seconds, half where it is every twenty.
    """
    for seed in range(5):
        fleet = Fleet(seed, 4, {ANNA: 30}, loss=loss, churn=churn)
        fleet.run(5)
        fleet.publish(ANNA, 600)
        fleet.run(600)
        assert fleet.most_in_a_minute(ANNA) <= most
        assert len(fleet.sent[ANNA]) >= 0.6 * 300


@pytest.mark.parametrize("bulk", [False, True])
def test_a_raised_limit_holds_for_what_comes_after_it(*, bulk: bool) -> None:
    fleet = Fleet(1, 2, {ANNA: 30})
    fleet.run(5)
    fleet.publish(ANNA, 600, bulk=bulk)
    fleet.run(120)
    fleet.limits[ANNA] = 300
    began = fleet.clock.seconds
    fleet.publish(ANNA, 10, bulk=bulk)
    fleet.run(240)
    new = [at for at, mail in fleet.sent[ANNA] if mail.number >= 600]
    assert len(new) == 10
    assert max(new) - began < 200
    assert fleet.most_in_a_minute(ANNA) <= 300


def test_first_come_is_about_first_served() -> None:
    fleet = Fleet(1, 4, {ANNA: 30})
    fleet.run(5)
    fleet.publish(ANNA, 900)
    fleet.run(40 * 60)
    order = [mail.number for _, mail in fleet.sent[ANNA]]
    assert len(order) == 900
    assert max(abs(place - number) for place, number in enumerate(order)) <= 150


def test_a_long_campaign_does_not_spin() -> None:
    fleet = Fleet(1, 2, {ANNA: 60})
    fleet.run(5)
    fleet.publish(ANNA, 3000, bulk=True)
    fleet.run(3600)
    passes = sum(count * number for number, count in fleet.passes.items()) / sum(fleet.passes.values())
    assert len(fleet.sent[ANNA]) >= 2900
    assert passes <= 20


def test_other_mail_of_the_same_mailbox_goes_before_its_campaign() -> None:
    fleet = Fleet(1, 4, {ANNA: 30})
    fleet.run(5)
    fleet.publish(ANNA, 2000, bulk=True)
    fleet.run(300)
    began = fleet.clock.seconds
    fleet.publish(ANNA, 5)
    fleet.run(60)
    assert sum(not mail.bulk for at, mail in fleet.sent[ANNA] if at >= began) == 5
    assert fleet.most_in_a_minute(ANNA) <= 30
    fleet.run(300)
    last = [at for at, mail in fleet.sent[ANNA] if mail.bulk][-60:]
    assert all(later - earlier < 30 for earlier, later in pairwise(last)), "the campaign goes on"
