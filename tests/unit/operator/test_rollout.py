"""The walk of a candidate to all requests, with a clock of our own."""

from __future__ import annotations

from datetime import datetime

import pytest
from builders.manifests import steps
from builders.seen import NOW, later

from fathom_api.recmodel import Rollout, RolloutStatus
from fathom_operator.recmodel.rollout import Move, Sight, advance, at_once, begin

ROLLOUT = Rollout.model_validate({"steps": steps(10, 50, pause="30s"), "progressDeadline": "5m"})
READY = {percent: Sight(ready=True, percent=percent) for percent in (0, 10, 50, 100)}
NOT_READY = Sight(ready=False, percent=0, message="Insufficient memory")


class Walk:
    """A rollout over time."""

    def __init__(self, rollout: Rollout = ROLLOUT, *, canary: bool = True) -> None:
        self.rollout = rollout if canary else at_once(rollout)
        self.status: RolloutStatus = begin(self.rollout, NOW)

    def sees(self, sight: Sight, now: datetime) -> Move:
        move = advance(self.status, self.rollout, sight, now)
        self.status = move.status
        return move


def test_from_nothing_to_all_requests() -> None:
    walk = Walk()
    move = walk.sees(NOT_READY, later(seconds=1))
    assert (move.percent, move.status.phase, move.look_again) == (10, "Starting", 299)

    move = walk.sees(READY[10], later(seconds=20))
    assert (move.percent, move.status.phase, move.status.weight, move.look_again) == (10, "Stepping", 10, 30)

    move = walk.sees(READY[10], later(seconds=49))
    assert (move.percent, move.look_again) == (10, 1)

    move = walk.sees(READY[10], later(seconds=50))
    assert (move.percent, move.status.step, move.status.step_started_at) == (50, 1, None)

    move = walk.sees(READY[10], later(seconds=51))
    assert move.message == "waiting for 50 % of the requests to reach it"

    move = walk.sees(READY[50], later(seconds=53))
    assert (move.percent, move.look_again) == (50, 30)

    move = walk.sees(READY[50], later(seconds=83))
    assert (move.percent, move.status.phase) == (None, "Promoting")

    move = walk.sees(READY[50], later(seconds=84))
    assert move.verdict == "Going"
    assert walk.sees(READY[100], later(seconds=85)).verdict == "Promoted"


def test_the_pause_begins_when_the_requests_arrive_and_not_when_they_were_asked_for() -> None:
    walk = Walk()
    walk.sees(READY[0], later(seconds=100))
    assert walk.status.step_started_at is None
    assert walk.sees(READY[10], later(seconds=200)).look_again == 30


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        pytest.param(299, "Going", id="within the deadline it may still become ready"),
        pytest.param(300, "Rejected", id="at the deadline it is rejected"),
    ],
)
def test_deadline(seconds: int, verdict: str) -> None:
    move = Walk().sees(NOT_READY, later(seconds=seconds))
    assert move.verdict == verdict
    assert "Insufficient memory" in move.message


def test_losing_readiness_stops_the_walk_and_gives_a_new_deadline() -> None:
    walk = Walk()
    walk.sees(READY[10], later(minutes=4))
    move = walk.sees(NOT_READY, later(minutes=4, seconds=10))
    assert (move.status.phase, move.status.step_started_at, move.percent) == ("Starting", None, 10)
    assert walk.sees(NOT_READY, later(minutes=9, seconds=9)).verdict == "Going"
    assert walk.sees(NOT_READY, later(minutes=9, seconds=10)).verdict == "Rejected"


def test_coming_back_starts_the_pause_again() -> None:
    walk = Walk()
    walk.sees(READY[10], later(seconds=1))
    walk.sees(NOT_READY, later(seconds=20))
    assert walk.sees(READY[10], later(seconds=25)).look_again == 30


@pytest.mark.parametrize(
    ("rollout", "canary"),
    [
        pytest.param(Rollout(), True, id="no steps: all requests at once"),
        pytest.param(ROLLOUT, False, id="nothing served yet: there is nobody to spare"),
    ],
)
def test_without_steps(rollout: Rollout, *, canary: bool) -> None:
    walk = Walk(rollout, canary=canary)
    assert walk.sees(NOT_READY, later(seconds=1)).percent is None
    assert walk.sees(READY[100], later(seconds=2)).verdict == "Promoted"


@pytest.mark.parametrize("sight", [NOT_READY, READY[10], READY[50], READY[100]])
def test_a_restart_changes_nothing(sight: Sight) -> None:
    """A decision depends on the status and the sight only, so a new operator decides the same."""
    walk = Walk()
    walk.sees(READY[10], later(seconds=5))
    again = RolloutStatus.model_validate(walk.status.document())
    assert advance(again, ROLLOUT, sight, later(seconds=9)) == advance(
        walk.status, ROLLOUT, sight, later(seconds=9)
    )
