"""A status is written at once where it says something new; progress at most every five seconds."""

from __future__ import annotations

from typing import Any

import pytest

from fathom_operator.pace import Pace
from fathom_operator.plan import Key

JOB = Key("CaptionJob", "shop", "catalog")
STATUS: dict[str, Any] = {
    "stage": "Captioning",
    "percent": 1,
    "run": {"number": 1, "tokens": 5},
    "conditions": [{"type": "Ready", "status": "False", "reason": "Captioning", "message": "1 of 9"}],
}
DONE = [{"type": "Ready", "status": "True", "reason": "Complete", "message": "9 of 9"}]
COUNTED = [{"type": "Ready", "status": "False", "reason": "Captioning", "message": "2 of 9"}]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("news", "waits"),
    [
        pytest.param({"percent": 2}, True, id="a percent more"),
        pytest.param({"conditions": COUNTED}, True, id="a message with another count"),
        pytest.param({"run": {"number": 1, "tokens": 9}}, True, id="more tokens"),
        pytest.param({"usage": {"cpuSeconds": 60}, "shards": {"active": 1}}, True, id="use and shards"),
        pytest.param({"stage": "Featurising"}, False, id="another stage"),
        pytest.param({"conditions": DONE}, False, id="a condition that changes"),
        pytest.param({"run": {"number": 2, "tokens": 5}}, False, id="a new run"),
        pytest.param({"features": {"uri": "pvc://f"}}, False, id="something was made"),
    ],
)
def test_what_waits(news: dict[str, Any], waits: bool) -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.wait(JOB, {}, STATUS) is None
    clock.now += 2
    assert pace.wait(JOB, STATUS, STATUS | news) == (3.0 if waits else None)


def test_progress_is_written_every_five_seconds_however_often_it_comes() -> None:
    clock = Clock()
    pace = Pace(clock)
    written: list[float] = []
    for tick in range(300):
        clock.now = 100.0 + tick / 10
        if pace.wait(JOB, STATUS, STATUS | {"percent": tick}) is None:
            written.append(clock.now)
    assert written == [100.0, 105.0, 110.0, 115.0, 120.0, 125.0]


def test_resources_do_not_wait_for_each_other() -> None:
    pace = Pace(Clock())
    assert pace.wait(JOB, STATUS, STATUS | {"percent": 2}) is None
    assert pace.wait(JOB._replace(name="other"), STATUS, STATUS | {"percent": 2}) is None


def test_one_that_is_made_anew_under_the_same_name_does_not_wait() -> None:
    pace = Pace(Clock())
    pace.wait(JOB, {}, STATUS)
    pace.forget(JOB)
    assert pace.wait(JOB, STATUS, STATUS | {"percent": 2}) is None
