"""What is kept of rollouts: measured, decided, said; bounded however long and however many they are."""

from __future__ import annotations

import base64
import random
from typing import Any

from builders.seen import NOW, later

from fathom_api import RecModelStatus
from fathom_operator.analysis.trail import EARLIER, LOOKS, Point, Trail, fewer
from fathom_operator.owner import Owner
from fathom_operator.recmodel.record import desired
from fathom_operator.times import text


def going(candidate: str, minute: int, **more: Any) -> RecModelStatus:
    result = {
        "metric": "errors", "verdict": "Pass", "delta": 0.001 * minute, "samples": minute,
        "time": text(later(minutes=minute)),
    }  # fmt: skip
    return RecModelStatus.model_validate(
        {
            "stable": {"name": "v-old"},
            "candidate": {"name": candidate},
            "rollout": {"phase": "Stepping", "weight": 10, "startedAt": text(NOW)},
            "analysis": [result],
            **more,
        }
    )


def over(**more: Any) -> RecModelStatus:
    return RecModelStatus.model_validate({"stable": {"name": "v-old"}, **more})


def see(trail: Trail, minute: int, status: RecModelStatus) -> Trail:
    return trail.see(status, text(later(minutes=minute)))


def test_a_rollout_that_is_over_is_kept_beside_the_next() -> None:
    trail = see(see(Trail(), 0, going("v-1", 0)), 1, going("v-1", 1))
    refused = {"name": "v-1", "reason": "AnalysisFailed", "message": "errors", "at": text(later(minutes=2))}
    trail = see(see(trail, 2, over(rejected=[refused])), 3, going("v-2", 3))
    [before] = trail.earlier
    assert (trail.candidate, before.candidate) == ("v-2", "v-1")
    assert (before.ending, before.ended_at) == ("AnalysisFailed: errors", text(later(minutes=2)))
    assert [p.samples for p in before.points["errors"]] == [0, 1]
    assert [p.samples for p in trail.points["errors"]] == [3]


def test_a_candidate_that_another_takes_the_place_of_has_an_end() -> None:
    trail = see(see(Trail(), 0, going("v-1", 0)), 5, going("v-2", 5))
    [before] = trail.earlier
    assert (before.ended_at, before.ending) == (text(later(minutes=5)), "replaced by another candidate")


def test_the_latest_rollouts_are_kept_oldest_first() -> None:
    trail = Trail()
    for n in range(EARLIER + 3):
        trail = see(trail, n, going(f"v-{n}", n))
    assert [t.candidate for t in trail.earlier] == [f"v-{n}" for n in range(2, EARLIER + 2)]
    assert all(not t.earlier for t in trail.earlier)


def test_what_people_say_is_kept_with_its_time() -> None:
    trail = see(Trail(), 0, going("v-1", 0, obeyed={"pause": "of before"}))
    trail = see(trail, 1, going("v-1", 1, obeyed={"pause": "1"}))
    trail = see(trail, 2, going("v-1", 2, obeyed={"pause": "1", "resume": "1"}))
    trail = see(trail, 3, over(obeyed={"pause": "1", "resume": "1", "abort": "1"}))
    assert [(t.time, t.command) for t in trail.told] == [
        (text(later(minutes=1)), "pause"),
        (text(later(minutes=2)), "resume"),
        (text(later(minutes=3)), "abort"),
    ]


def test_fewer_points_keep_the_ends_of_each_run() -> None:
    verdicts = ["Inconclusive"] * 50 + ["Pass"] * 50 + ["Fail"]
    points = [Point(time=text(later(minutes=n)), verdict=v) for n, v in enumerate(verdicts)]  # type: ignore[arg-type]
    kept = fewer(points, 30)
    assert len(kept) <= 30
    times = [p.time for p in kept]
    assert {points[n].time for n in (0, 49, 50, 99, 100)} <= set(times)
    assert times == sorted(times)


def test_the_record_of_the_largest_rollouts_fits_beside_the_evidence() -> None:
    chance = random.Random(1)

    def look(n: int) -> Point:
        numbers = {k: chance.random() for k in ("stable", "candidate", "delta", "low", "high")}
        return Point(
            time=text(later(seconds=10 * n)), verdict="Inconclusive", samples=n, message="x" * 300, **numbers
        )

    points = {f"check-{m}": [look(n) for n in range(LOOKS)] for m in range(16)}
    trail = Trail(candidate="v-0", stable="v-old", started_at=text(NOW), points=points)
    for n in range(EARLIER + 1):
        trail = see(trail, n, going(f"v-{n + 1}", n)).model_copy(update={"points": points})
    [record] = desired(Owner("RecModel", "shop", "movies", "uid"), None, trail, {}, NOW)
    size = len(record["binaryData"]["trail.json.gz"])
    assert base64.b64decode(record["binaryData"]["trail.json.gz"])
    assert size < 500_000
