"""Runs of a CaptionJob: by schedule, on request, at rest, against the clock, to the end of its life."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.courses import begin, begun, captioned_and, completed, name_of, plan_of, planning, step, task_of
from builders.outcomes import captioned, featurised, planned
from builders.seen import (
    broken,
    captioning,
    carried_out,
    condition,
    ended,
    halted,
    job,
    later,
    pod,
    report,
    stage_of,
    suspended,
    with_job_status,
)

from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.plan import Plan, Ref

NIGHTLY: dict[str, Any] = {"spec__refresh": {"schedule": "0 3 * * *"}}


def again(seen: CaptionJobSeen, **changes: Any) -> CaptionJobSeen:
    """Return the same world with another spec, annotation or time."""
    fresh = captioning(seen.obj["status"], **changes)
    return replace(fresh, children=seen.children, jobs=seen.jobs, pods=seen.pods, reports=seen.reports)


def jobs_deleted(plan: Plan) -> list[str]:
    return [ref.name for ref in plan.delete if ref.kind == "Job"]


def test_a_schedule_says_when_the_next_run_is_due() -> None:
    seen = completed(**NIGHTLY)
    plan = plan_of(seen)
    assert plan.status["run"]["nextTime"] == "2026-02-01T03:00:00Z"
    assert plan.look_again == 15 * 3600
    assert stage_of(plan_of(replace(seen, now=later(hours=14)))) == ("Complete", "Complete")


def test_a_new_run_looks_at_the_source_again_and_the_old_features_stay_in_use() -> None:
    seen = replace(completed(**NIGHTLY), now=later(hours=15))
    plan = plan_of(seen)
    assert stage_of(plan) == ("Planning", "Planning")
    assert task_of(plan)["run"] == 2
    assert plan.status["run"]["number"] == 2
    assert plan.status["features"]["uri"] == "pvc://features/catalog/features"
    assert condition(plan, "Ready")["status"] == "True"
    assert condition(plan, "Reconciling")["status"] == "True"
    assert condition(plan, "Ready")["message"].startswith("run 2: ")
    assert len(jobs_deleted(plan)) == 3
    assert plan.status["items"]["done"] == 0


def test_every_task_of_a_new_run_is_new_and_its_end_brings_new_features() -> None:
    seen = replace(completed(**NIGHTLY), now=later(hours=15))
    seen = step(seen, planned(total=60))
    assert (task_of(plan_of(seen))["kind"], task_of(plan_of(seen))["run"]) == ("CaptionTask", 2)
    seen = step(seen, captioned(done=60, reused=50))
    assert (task_of(plan_of(seen))["kind"], task_of(plan_of(seen))["run"]) == ("FeaturiseTask", 2)
    other = featurised(f"sha256:{'b' * 64}")
    plan = plan_of(step(seen, other))
    assert stage_of(plan) == ("Complete", "Complete")
    assert plan.status["features"]["digest"] == other.digest
    assert plan.status["items"] == {"total": 60, "done": 60, "failed": 0, "reused": 50}
    assert plan.status["run"]["nextTime"] == "2026-02-02T03:00:00Z"


def test_times_that_were_missed_are_made_up_for_by_one_run() -> None:
    seen = replace(completed(**NIGHTLY), now=later(days=10))
    for outcome in (planned(), captioned(), featurised()):
        seen = step(seen, outcome)
    plan = plan_of(seen)
    assert plan.status["run"]["number"] == 2
    assert plan.status["run"]["nextTime"] == "2026-02-11T03:00:00Z"


def test_what_failed_at_night_is_tried_again_the_next_night() -> None:
    seen = captioning(**NIGHTLY)
    plan = plan_of(seen)
    seen = ended(carried_out(seen, plan), name_of(plan), "Failed", [broken(name_of(plan))])
    plan = plan_of(seen)
    assert stage_of(plan)[0] == "Failed"
    assert plan.look_again == 15 * 3600
    plan = plan_of(replace(carried_out(seen, plan), now=later(hours=15)))
    assert (stage_of(plan)[0], plan.status["run"]["number"]) == ("Planning", 2)


def test_nothing_begins_while_suspended_and_one_run_afterwards() -> None:
    seen = completed(**NIGHTLY)
    resting = again(seen, now=later(days=3), spec__suspend=True, **NIGHTLY)
    plan = plan_of(resting)
    assert (stage_of(plan)[0], plan.desired, plan.look_again) == ("Complete", (), None)
    assert "nextTime" not in plan.status["run"]
    assert plan_of(again(seen, now=later(days=3), **NIGHTLY)).status["run"]["number"] == 2


@pytest.mark.parametrize(
    "refresh",
    [
        pytest.param({"schedule": "61 3 * * *"}, id="minute 61"),
        pytest.param({"schedule": "@daily", "timeZone": "Mars/Olympus"}, id="a zone far away"),
    ],
)
def test_a_schedule_that_is_none_is_refused_at_once_with_the_fix(refresh: dict[str, str]) -> None:
    plan = plan_of(captioning(spec__refresh=refresh))
    assert stage_of(plan) == ("Pending", "InvalidSpec")
    assert "spec.refresh." in condition(plan, "Ready")["message"]
    assert plan.desired == ()


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(completed(captioned(done=98, failed=2)), id="complete, with failures"),
        pytest.param(completed(), id="complete: perhaps there are new items"),
    ],
)
def test_the_retry_annotation_begins_a_run_that_tries_what_failed(seen: CaptionJobSeen) -> None:
    plan = plan_of(again(seen, retry="please"))
    assert stage_of(plan) == ("Planning", "Planning")
    seen = step(again(seen, retry="please"), planned())
    assert task_of(plan_of(seen))["retryFailed"] is True


def test_too_many_failed_items_can_be_tried_again_once_mended() -> None:
    seen = captioned_and(captioned(done=90, failed=10))
    plan = plan_of(seen)
    assert stage_of(plan) == ("Failed", "TooManyFailedItems")
    asked = again(carried_out(seen, plan), retry="please")
    plan = plan_of(asked)
    assert (stage_of(plan)[0], task_of(plan)["run"]) == ("Planning", 2)
    plan = plan_of(step(asked, planned()))
    assert (task_of(plan)["kind"], task_of(plan)["retryFailed"]) == ("CaptionTask", True)


def test_an_annotation_begins_one_run_only_and_one_that_was_there_before_none() -> None:
    seen = again(completed(), retry="please")
    for outcome in (planned(), captioned(), featurised()):
        seen = step(seen, outcome)
    plan = plan_of(seen)
    assert (stage_of(plan)[0], plan.status["run"]["number"]) == ("Complete", 2)
    early = captioning(retry="from-the-manifest")
    for outcome in (planned(), captioned(), featurised()):
        early = step(early, outcome)
    assert plan_of(early).status["run"]["number"] == 1


def test_an_annotation_of_any_length_begins_one_run() -> None:
    seen = again(completed(), retry="x" * 1000)
    for outcome in (planned(), captioned(), featurised()):
        seen = step(seen, outcome)
    plan = plan_of(seen)
    assert (stage_of(plan)[0], plan.status["run"]["number"]) == ("Complete", 2)
    assert len(plan.status["run"]["retry"]) == 253


def test_a_failed_lesson_is_tried_again_and_a_good_one_is_not_repeated() -> None:
    lesson = {"spec__fineTune": {"uri": "pvc://media/pairs.parquet"}}
    seen, name = begun(**lesson)
    seen = ended(seen, name, "Failed", [broken(name)])
    seen = carried_out(seen, plan_of(seen))
    seen = step(again(seen, retry="please", **lesson), planned())
    plan = plan_of(seen)
    assert name_of(plan).startswith("catalog-finetune-")
    assert name_of(plan) != name
    seen = step(step(step(seen, featurised()), captioned()), featurised())
    seen = step(again(carried_out(seen, plan_of(seen)), retry="once more", **lesson), planned())
    assert name_of(plan_of(seen)).startswith("catalog-caption-")


@pytest.mark.parametrize("policy", [False, True], ids=["only on request", "always"])
def test_what_failed_before_is_tried_again_by_policy(policy: bool) -> None:
    seen, plan = begin(spec__failurePolicy={"retryFailed": policy})
    assert task_of(plan)["retryFailed"] is policy
    # A change of mind is for the next run: the Job at work stays what it is.
    changed = again(carried_out(seen, plan), spec__failurePolicy={"retryFailed": not policy})
    assert name_of(plan_of(changed)) == name_of(plan)


def test_suspension_stops_the_pods_and_keeps_the_job_and_the_counts() -> None:
    seen, name = begun(planned(total=100))
    seen = with_job_status(seen, name, [pod(name)], active=1)
    seen = replace(seen, reports={f"uid-{name}-0": report(total=100, done=40, per_second=2.0)})
    plan = plan_of(again(seen, spec__suspend=True))
    assert stage_of(plan) == ("Suspended", "Suspended")
    assert job(plan)["spec"]["suspend"] is True
    assert name_of(plan) == name
    assert plan.status["items"]["done"] == 40
    assert "itemsPerSecond" not in plan.status
    assert "estimatedCompletionTime" not in plan.status
    assert {condition(plan, kind)["status"] for kind in ("Ready", "Reconciling", "Stalled")} == {"False"}

    resumed = halted(again(carried_out(seen, plan)), name)
    plan = plan_of(resumed)
    assert stage_of(plan) == ("Captioning", "Captioning")
    assert "suspend" not in job(plan)["spec"]
    assert plan.status["items"]["done"] == 40


def test_a_job_that_a_queue_admits_goes_and_comes_back_since_the_queue_owns_its_suspension() -> None:
    seen, name = begun(planned(total=100), spec__queueName="gpus")
    seen = with_job_status(seen, name, [pod(name)], active=1)
    seen = replace(seen, reports={f"uid-{name}-0": report(total=100, done=40)})
    plan = plan_of(again(seen, spec__queueName="gpus", spec__suspend=True))
    assert stage_of(plan) == ("Suspended", "Suspended")
    assert plan.desired == ()
    assert {Ref("Job", name), Ref("ConfigMap", name)} <= {*plan.delete}

    resumed = again(carried_out(seen, plan), spec__queueName="gpus")
    plan = plan_of(replace(resumed, pods=()))
    assert (stage_of(plan)[0], name_of(plan)) == ("Captioning", name)
    assert "suspend" not in job(plan)["spec"]
    assert plan.status["items"]["done"] == 40


def test_one_that_begins_suspended_makes_nothing() -> None:
    plan = plan_of(captioning(spec__suspend=True))
    assert stage_of(plan) == ("Suspended", "Suspended")
    assert plan.desired == ()
    assert "startTime" not in plan.status["run"]


def test_a_rest_between_two_versions_leaves_the_old_one_ready() -> None:
    seen = replace(completed(**NIGHTLY), now=later(hours=15))
    seen = carried_out(seen, plan_of(seen))
    plan = plan_of(again(seen, spec__suspend=True, now=later(hours=15), **NIGHTLY))
    assert stage_of(plan)[0] == "Suspended"
    assert condition(plan, "Ready")["status"] == "True"


DEADLINE: dict[str, Any] = {"spec__activeDeadlineSeconds": 3600}


def at_work(**changes: Any) -> tuple[CaptionJobSeen, str]:
    seen, name = begun(planned(total=100), **DEADLINE, **changes)
    return with_job_status(seen, name, [pod(name)], active=1), name


def test_a_run_that_takes_too_long_is_stopped_and_goes_on_with_more_time() -> None:
    seen, name = at_work()
    assert plan_of(replace(seen, now=later(minutes=59))).look_again == 60
    seen = replace(seen, now=later(minutes=60))
    plan = plan_of(seen)
    assert stage_of(plan) == ("Failed", "DeadlineExceeded")
    assert job(plan)["spec"]["suspend"] is True
    stopped = halted(carried_out(seen, plan), name)
    assert stage_of(plan_of(replace(stopped, now=later(hours=9))))[1] == "DeadlineExceeded"
    # The hours in which it stood still are not held against it.
    more = again(stopped, now=later(hours=9), spec__activeDeadlineSeconds=3700)
    plan = plan_of(more)
    assert stage_of(plan) == ("Captioning", "Captioning")
    assert "endTime" not in plan.status["run"]


def test_the_time_of_all_stages_counts_and_a_rest_does_not() -> None:
    """Kubernetes' own deadline of a Job begins anew with every stage and every resumption."""
    seen, name = at_work()
    resting = again(seen, now=later(minutes=50), spec__suspend=True, **DEADLINE)
    plan = plan_of(resting)
    assert plan.status["run"]["suspendedTime"] == "2026-01-31T12:50:00Z"
    resting = halted(carried_out(resting, plan), name)
    woken = again(resting, now=later(hours=5), **DEADLINE)
    plan = plan_of(woken)
    assert stage_of(plan)[0] == "Captioning"
    # The Job is seen running again a moment later.
    running = replace(carried_out(woken, plan), now=later(hours=5))
    running = replace(running, children={k: _running(c) for k, c in running.children.items()}, jobs=seen.jobs)
    plan = plan_of(running)
    assert plan.status["run"]["suspendedSeconds"] == 4 * 3600 + 10 * 60
    assert plan.look_again == 600


def _running(child: Any) -> Any:
    return child | {"spec": child["spec"] | {"suspend": False}} if child["kind"] == "Job" else child


def test_waiting_in_a_queue_is_a_rest_too() -> None:
    seen, name = at_work(spec__queueName="gpus")
    seen = suspended(seen, name)
    plan = plan_of(seen)
    assert stage_of(plan)[1] == "Queued"
    plan = plan_of(replace(carried_out(seen, plan), now=later(hours=9)))
    assert stage_of(plan)[1] == "Queued"


@pytest.mark.parametrize("how", ["Complete", "Failed"])
def test_it_is_deleted_so_long_after_its_end(how: str) -> None:
    life = {"spec__ttlSecondsAfterFinished": 600}
    if how == "Complete":
        seen = completed(**life)
    else:
        seen, name = begun(**life)
        seen = ended(seen, name, "Failed", [broken(name)])
        seen = carried_out(seen, plan_of(seen))
    plan = plan_of(seen)
    assert (plan.status["stage"], plan.expired, plan.look_again) == (how, False, 600)
    assert plan_of(replace(seen, now=later(seconds=599))).look_again == 1
    assert plan_of(replace(seen, now=later(seconds=600))).expired


def test_its_end_is_told_before_it_is_deleted() -> None:
    life = {"spec__ttlSecondsAfterFinished": 0}
    seen = step(captioned_and(captioned(), **life), featurised())
    plan = plan_of(seen)
    assert (plan.status["stage"], plan.expired, plan.look_again) == ("Complete", False, 0)
    assert plan_of(carried_out(seen, plan)).expired


def test_what_still_works_or_waits_is_not_deleted() -> None:
    seen, plan = planning(planned(), spec__ttlSecondsAfterFinished=0)
    assert not plan.expired
    assert not plan_of(replace(carried_out(seen, plan), now=later(days=9))).expired
