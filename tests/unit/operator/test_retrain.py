"""What begins a new version besides a changed spec: a schedule, new captions, and another gate an old one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from builders.outcomes import DIGEST, evaluated, succeeded
from builders.seen import (
    NOW,
    PLATFORM,
    broken,
    captions_complete,
    carried_out,
    condition,
    done,
    ended,
    job,
    later,
    ranking,
    stage_of,
)

from fathom_api.progress import Outcome, Progress
from fathom_operator.plan import Plan
from fathom_operator.recmodel.decide import decide
from fathom_operator.recmodel.observe import RecModelSeen

#: NOW is noon.
DAILY: dict[str, Any] = {"spec__schedule": "0 3 * * *"}
THREE = "2026-02-01T03:00:00Z"
CAPTIONS: dict[str, Any] = {"spec__features__captions": [{"captionJob": "catalog"}]}
NEWER = f"sha256:{'b' * 64}"


def plan_of(seen: RecModelSeen) -> Plan:
    return decide(seen, PLATFORM)


def version(plan: Plan) -> str:
    return plan.status["candidate"]["name"]


def step(seen: RecModelSeen, outcome: Outcome | None = None) -> RecModelSeen:
    """Return what is seen when the Job that is wanted now has been made and is complete."""
    plan = plan_of(seen)
    name = job(plan)["metadata"]["name"]
    return ended(carried_out(seen, plan), name, "Complete", [done(name, outcome or succeeded(digest=DIGEST))])


def complete(auc: float = 0.7, **changes: Any) -> RecModelSeen:
    """Return a RecModel whose version is trained and judged."""
    seen = step(step(ranking(**changes)), evaluated(Captions=auc))
    return carried_out(seen, plan_of(seen))


def respecified(seen: RecModelSeen, **changes: Any) -> RecModelSeen:
    """Return what is seen once the spec has been changed."""
    fresh = ranking(seen.obj["status"], captions=seen.captions, now=seen.now, **changes)
    return replace(fresh, children=seen.children, jobs=seen.jobs, pods=seen.pods)


class TestSchedule:
    """Every day at three."""

    def test_the_next_time_is_told(self) -> None:
        plan = plan_of(complete(**DAILY))
        assert plan.status["nextRetrain"] == THREE
        assert "lastRetrain" not in plan.status
        assert plan.look_again == 15 * 3600

    def test_a_version_begins_when_it_is_due(self) -> None:
        before = complete(**DAILY)
        plan = plan_of(replace(before, now=later(hours=16)))
        assert stage_of(plan) == ("Training", "Training")
        assert version(plan) != version(plan_of(before))
        assert plan.status["lastRetrain"] == "2026-02-01T04:00:00Z"
        assert plan.status["nextRetrain"] == "2026-02-02T03:00:00Z"

    def test_and_stays_the_one_that_began(self) -> None:
        seen = replace(complete(**DAILY), now=later(hours=16))
        begun = plan_of(seen)
        again = plan_of(replace(carried_out(seen, begun), now=later(hours=17)))
        assert version(again) == version(begun)

    def test_what_was_missed_is_made_up_for_once(self) -> None:
        plan = plan_of(replace(complete(**DAILY), now=later(days=9)))
        assert plan.status["nextRetrain"] == "2026-02-10T03:00:00Z"

    def test_it_waits_for_the_version_under_way(self) -> None:
        seen = ranking(**DAILY)
        seen = carried_out(seen, plan_of(seen))
        plan = plan_of(replace(seen, now=later(hours=16)))
        assert version(plan) == seen.obj["status"]["candidate"]["name"]
        assert (plan.status["nextRetrain"], plan.look_again) == (THREE, 30)

    def test_one_that_has_failed_is_under_way_no_more(self) -> None:
        seen = ranking(**DAILY)
        plan = plan_of(seen)
        name = job(plan)["metadata"]["name"]
        failed = ended(carried_out(seen, plan), name, "Failed", [broken(name)])
        failed = carried_out(failed, plan_of(failed))
        assert plan_of(failed).status["stage"] == "Failed"
        again = plan_of(replace(failed, now=later(hours=16)))
        assert again.status["stage"] == "Training"
        assert job(again)["metadata"]["name"] != name

    def test_a_schedule_taken_away_leaves_the_version(self) -> None:
        seen = replace(complete(**DAILY), now=later(hours=16))
        seen = carried_out(seen, plan_of(seen))
        plan = plan_of(respecified(seen))
        assert version(plan) == seen.obj["status"]["candidate"]["name"]
        assert "nextRetrain" not in plan.status

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            pytest.param(
                {"spec__schedule": "0 3 31 2 *"}, "spec.schedule: 0 3 31 2 *", id="a day that never is"
            ),
            pytest.param(
                DAILY | {"spec__timeZone": "Mars/Olympus"}, "spec.timeZone: there is no", id="no such zone"
            ),
        ],
    )
    def test_a_schedule_that_is_none_is_refused(self, changes: dict[str, Any], words: str) -> None:
        plan = plan_of(ranking(**changes))
        assert stage_of(plan)[1] == "InvalidSpec"
        assert words in condition(plan, "Ready")["message"]

    def test_its_time_zone(self) -> None:
        plan = plan_of(complete(**DAILY, spec__timeZone="America/New_York"))
        assert plan.status["nextRetrain"] == "2026-02-01T08:00:00Z"


def with_captions(digest: str = DIGEST, when: datetime = NOW, **changes: Any) -> RecModelSeen:
    captions = {"catalog": captions_complete(digest=digest)}
    return ranking(captions=captions, now=when, **CAPTIONS, **changes)


def made_from_captions(**changes: Any) -> RecModelSeen:
    """Return a RecModel whose version is made from captions and judged."""
    seen = with_captions(**changes)
    for _ in range(3):
        seen = step(seen)
    seen = step(seen, evaluated(Captions=0.7, WithoutCaptions=0.6, ShuffledCaptions=0.6))
    return carried_out(seen, plan_of(seen))


def newer(seen: RecModelSeen) -> RecModelSeen:
    return replace(seen, captions={"catalog": captions_complete(digest=NEWER)})


class TestNewCaptions:
    """A CaptionJob has other features than those the version was made from."""

    def test_a_version_begins_unless_told_otherwise(self) -> None:
        plan = plan_of(newer(made_from_captions()))
        assert plan.status["stage"] == "Training"
        assert plan.status["features"][0]["digest"] == NEWER

    def test_told_to_wait_the_version_stays(self) -> None:
        seen = made_from_captions(spec__onNewCaptions="Wait")
        plan = plan_of(newer(seen))
        assert plan.status["stage"] == "Complete"
        assert plan.status["features"][0]["digest"] == DIGEST

    def test_another_reason_for_a_version_takes_them(self) -> None:
        seen = newer(made_from_captions(spec__onNewCaptions="Wait"))
        plan = plan_of(
            respecified(seen, **CAPTIONS, spec__onNewCaptions="Wait", spec__training={"epochs": 3})
        )
        assert plan.status["stage"] == "Training"
        assert plan.status["features"][0]["digest"] == NEWER

    def test_so_does_the_schedule(self) -> None:
        seen = newer(made_from_captions(spec__onNewCaptions="Wait", **DAILY))
        plan = plan_of(replace(seen, now=later(days=1)))
        assert plan.status["stage"] == "Training"
        assert plan.status["features"][0]["digest"] == NEWER

    def test_a_version_in_training_takes_them_at_once(self) -> None:
        """What it had read is not there any more."""
        seen = with_captions(spec__onNewCaptions="Wait")
        seen = carried_out(seen, plan_of(seen))
        assert plan_of(newer(seen)).status["features"][0]["digest"] == NEWER


KNATIVE: dict[str, Any] = {"spec__serving": {"mode": "Knative"}}


def rejected() -> RecModelSeen:
    """Return a RecModel whose first version does not beat the model without captions by enough."""
    strict = {"gate": {"against": ["WithoutCaptions"], "minDelta": 0.5}}
    seen = made_from_captions(spec__evaluation=strict, **KNATIVE)
    assert plan_of(seen).status["stage"] == "Rejected"
    return seen


def regated(seen: RecModelSeen, **gate: Any) -> RecModelSeen:
    evaluation = {"gate": {"against": ["WithoutCaptions"], **gate}}
    return respecified(seen, spec__evaluation=evaluation, **CAPTIONS, **KNATIVE)


class TestAnotherGate:
    """The gate is changed after it has closed."""

    def test_the_same_gate_is_the_same_answer(self) -> None:
        plan = plan_of(regated(rejected(), minDelta=0.5))
        assert stage_of(plan) == ("Rejected", "GateFailed")

    def test_a_gate_that_opens_lets_the_version_in_without_training(self) -> None:
        plan = plan_of(regated(rejected(), minDelta=0.05))
        assert plan.status["stage"] == "Deploying"
        assert [child["kind"] for child in plan.desired] == ["InferenceService"]
        assert plan.status["gates"][0]["verdict"] == "Pass"

    def test_and_it_stays_in_while_it_is_deployed(self) -> None:
        seen = regated(rejected(), minDelta=0.05)
        seen = carried_out(seen, plan_of(seen))
        assert plan_of(seen).status["stage"] == "Deploying"

    def test_one_that_stays_closed_says_so_in_its_own_words(self) -> None:
        plan = plan_of(regated(rejected(), minDelta=0.2))
        assert stage_of(plan) == ("Rejected", "GateFailed")
        assert "less than +0.2" in condition(plan, "Ready")["message"]
        [rejection] = plan.status["rejected"]
        assert rejection["gate"]["minDelta"] == 0.2

    def test_without_serving_the_verdict_follows_the_gate(self) -> None:
        seen = made_from_captions(
            spec__evaluation={"gate": {"against": ["WithoutCaptions"], "minDelta": 0.5}}
        )
        assert condition(plan_of(seen), "GatePassed")["status"] == "False"
        open_gate = {"gate": {"against": ["WithoutCaptions"], "minDelta": 0.05}}
        plan = plan_of(respecified(seen, spec__evaluation=open_gate, **CAPTIONS))
        assert (plan.status["stage"], plan.desired) == ("Complete", ())
        assert condition(plan, "GatePassed")["status"] == "True"

    def test_a_comparison_that_was_not_measured_is_measured(self) -> None:
        only = {"controls": ["ShuffledCaptions"], "gate": {"against": ["Serving"]}}
        seen = step(step(with_captions(spec__evaluation=only)))
        seen = step(seen, evaluated(Captions=0.7, ShuffledCaptions=0.6))
        seen = carried_out(seen, plan_of(seen))
        more = only | {"gate": {"against": ["WithoutCaptions"]}}
        plan = plan_of(respecified(seen, spec__evaluation=more, **CAPTIONS))
        assert job(plan)["metadata"]["labels"]["fathom.dev/stage"] == "train-without"


def test_what_a_search_chose_is_told_with_the_version() -> None:
    told = Progress(metrics={"validation_auc": 0.7, "chosen.learningRate": 0.02, "chosen.dropout": 0.1})
    seen = step(ranking(), succeeded(progress=told))
    plan = plan_of(seen)
    assert plan.status["candidate"]["parameters"] == {"learningRate": 0.02, "dropout": 0.1}
