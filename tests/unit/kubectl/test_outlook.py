"""What is said of a rollout in one line each."""

from __future__ import annotations

from typing import Any

import pytest
from builders.seen import NOW, later

from fathom_api import RecModelStatus
from fathom_api.rollout import Rollout, RolloutStatus
from fathom_operator.analysis.trail import Point
from fathom_operator.kubectl.outlook import next_words, soonest_end, trend
from fathom_operator.times import text

ROLLOUT = Rollout.model_validate(
    {
        "steps": [{"weight": 10, "pause": "10m"}, {"weight": 50, "pause": "20m"}],
        "bake": "5m",
        "shadow": {"duration": "2m"},
    }
)


def points(*deltas: float | None, step: int = 0, margin: float | None = 0.1) -> list[Point]:
    return [Point(time=text(NOW), step=step, verdict="Pass", delta=d, margin=margin) for d in deltas]


@pytest.mark.parametrize(
    ("looks", "harm", "bars"),
    [
        pytest.param([], 1, "", id="nothing yet"),
        pytest.param(points(0.0, 0.05, 0.0999, 0.3), 1, "▁▅██", id="the height is the share of the margin"),
        pytest.param(points(-0.3, 0.3), -1, "█▁", id="less is worse"),
        pytest.param(points(-0.05, 0.05), 0, "▅▅", id="which way is worse is not known"),
        pytest.param(points(None, 0.05), 1, "·▅", id="nothing was measured"),
        pytest.param(points(0.0, 0.001, margin=0), 1, "▁█", id="nothing is put up with"),
        pytest.param([*points(0.3), *points(0.0, step=1)], 1, "▁", id="of this step only"),
    ],
)
def test_a_trend(looks: list[Point], harm: int, bars: str) -> None:
    assert trend(looks, harm) == bars


def test_a_trend_is_of_the_latest_looks() -> None:
    assert len(trend(points(*[0.0] * 50), 1)) == 16


def at(phase: str, step: int, begun: int | None = None) -> RolloutStatus:
    started = None if begun is None else text(later(minutes=-begun))
    return RolloutStatus.model_validate({"phase": phase, "step": step, "stepStartedAt": started})


@pytest.mark.parametrize(
    ("status", "minutes"),
    [
        pytest.param(at("Starting", -1), 37, id="all of it is to come"),
        pytest.param(at("Shadowing", -1, 1), 36, id="a part of the shadow is over"),
        pytest.param(at("Stepping", 0, 4), 31, id="a part of a step is over"),
        pytest.param(at("Stepping", 1, 90), 5, id="the step takes longer than its pause"),
        pytest.param(at("Baking", 2, 1), 4, id="it bakes"),
        pytest.param(at("Paused", 1, 1), None, id="it waits for people"),
    ],
)
def test_the_soonest_end(status: RolloutStatus, minutes: int | None) -> None:
    assert soonest_end(ROLLOUT, status, NOW) == (None if minutes is None else minutes * 60)


@pytest.mark.parametrize(
    ("document", "verbs"),
    [
        pytest.param(
            {"stage": "RollingOut", "rollout": {"phase": "Stepping"}}, "pause|promote|abort", id="goes"
        ),
        pytest.param(
            {"stage": "RollingOut", "rollout": {"phase": "Paused"}}, "resume|promote|abort", id="waits"
        ),
        pytest.param({"stage": "Rejected"}, "retry", id="was rejected"),
    ],
)
def test_what_can_be_said_next(document: dict[str, Any], verbs: str) -> None:
    said = next_words("movies", RecModelStatus.model_validate(document))
    assert said == f"kubectl fathom {verbs} movies"


def test_nothing_is_to_be_said_of_what_serves() -> None:
    assert next_words("movies", RecModelStatus.model_validate({"stage": "Serving"})) is None
