"""What is decided about a CaptionJob, stage by stage, from what is seen and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.courses import begin, begun, captioned_and, name_of, plan_of, planning, task_of
from builders.outcomes import captioned, featurised, invalid, planned, succeeded
from builders.seen import (
    broken,
    captioning,
    carried_out,
    condition,
    done,
    ended,
    halted,
    job,
    later,
    pod,
    report,
    stage_of,
    stuck,
    suspended,
    with_job_status,
)

from fathom_api.progress import Progress
from fathom_operator.captionjob.decide import refuse
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.plan import Ref

PAIRS = {"uri": "pvc://media/pairs.parquet"}


def test_the_first_look_makes_a_plan_of_one_pod() -> None:
    plan = plan_of(captioning(spec__shards=3, spec__parallelism=2))
    config_map, made = plan.desired
    assert stage_of(plan) == ("Planning", "Planning")
    assert config_map["metadata"]["name"] == made["metadata"]["name"]
    assert made["metadata"]["name"].startswith("catalog-plan-")
    assert made["metadata"]["ownerReferences"][0]["uid"] == "0000-uid"
    assert (made["spec"]["completions"], made["spec"]["parallelism"]) == (1, 1)
    assert made["spec"]["template"]["spec"]["containers"][0]["args"][0] == "plan"
    task = task_of(plan)
    assert (task["kind"], task["shards"], task["run"]) == ("PlanTask", 3, 1)


def test_what_the_spec_says_of_the_source_may_change_until_the_plan_is_done() -> None:
    """The API server refuses such changes once `startTime` is set."""
    plan = plan_of(captioning())
    assert "startTime" not in plan.status
    seen, _ = begun()
    assert seen.obj["status"]["startTime"] == "2026-01-31T12:00:00Z"


def test_the_plan_comes_before_the_captions_and_says_how_many_items_there_are() -> None:
    seen, name = begun(plan=planned(total=90, failed=2), spec__shards=3, spec__parallelism=2)
    [made] = [child for child in seen.children.values() if child["metadata"]["name"] == name][1:]
    spec = made["spec"]
    assert name.startswith("catalog-caption-")
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (3, 2, "Indexed")
    assert spec["backoffLimitPerIndex"] == 4
    assert seen.status.stage == "Captioning"
    assert (seen.status.items.total, seen.status.items.failed) == (90, 2)


def test_pods_that_were_told_to_go_or_preempted_do_not_count_and_wrong_input_ends_the_job() -> None:
    rules = job(plan_of(captioning()))["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "Ignore", "FailJob"]
    assert rules[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert [rule["onExitCodes"]["values"] for rule in rules[1:]] == [[143], [65]]


def test_a_source_that_is_wrong_fails_before_any_gpu_is_asked_for() -> None:
    seen = captioning(spec__template={"resources": {"limits": {"nvidia.com/gpu": 1}}})
    plan = plan_of(seen)
    assert job(plan)["spec"]["template"]["spec"]["containers"][0]["resources"] == {}
    name = name_of(plan)
    plan = plan_of(ended(carried_out(seen, plan), name, "Failed", [broken(name, invalid(), code=65)]))
    assert stage_of(plan) == ("Failed", "MissingColumn")
    assert "may still change" in condition(plan, "Ready")["message"]
    assert "startTime" not in plan.status


def test_more_unusable_rows_than_may_fail_stop_it_before_the_first_caption() -> None:
    _, plan = planning(planned(total=100, failed=6))
    assert stage_of(plan) == ("Failed", "TooManyFailedItems")
    assert plan.desired == ()


def test_the_longest_name_leaves_room_for_the_pods() -> None:
    _, name = begun(name="x" * 40, spec__shards=10_000)
    assert len(f"{name}-9999") <= 63


def test_more_pods_than_shards_make_no_sense() -> None:
    assert job(begin(spec__shards=2, spec__parallelism=8)[1])["spec"]["parallelism"] == 2


def test_parallelism_follows_the_spec_while_the_job_stays_the_same() -> None:
    one, two = (begin(spec__shards=4, spec__parallelism=p)[1] for p in (1, 2))
    assert name_of(one) == name_of(two)
    assert job(two)["spec"]["parallelism"] == 2


def test_a_queue_is_named_on_the_job_and_suspend_left_to_it() -> None:
    made = job(begin(spec__queueName="gpus")[1])
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "suspend" not in made["spec"]


def test_fine_tuning_comes_first_and_its_model_captions() -> None:
    seen, name = begun(spec__fineTune=PAIRS)
    assert name.startswith("catalog-finetune-")
    metrics = {"epoch": 3.0, "loss": 1.5, "cider": 0.8, "bleu4": 21.5, "token_f1": 0.5}
    outcome = succeeded("pvc://features/catalog/model", progress=Progress(metrics=metrics))
    plan = plan_of(ended(seen, name, "Complete", [done(name, outcome)]))
    assert name_of(plan).startswith("catalog-caption-")
    assert task_of(plan)["model"]["uri"] == "pvc://features/catalog/model"
    lesson = plan.status["fineTune"]
    assert (lesson["loss"], lesson["cider"], lesson["bleu4"], lesson["tokenF1"]) == (1.5, 0.8, 21.5, 0.5)
    assert plan.status["fineTune"]["model"]["uri"] == "pvc://features/catalog/model"


def test_progress_adds_up_over_the_shards_and_gives_an_eta() -> None:
    seen, name = begun(spec__shards=2, spec__parallelism=2)
    reports = {
        f"uid-{name}-0": report(total=100, done=30, failed=2, reused=5, per_second=2.0, samples=["a train"]),
        f"uid-{name}-1": report(later(seconds=2), total=100, done=18, per_second=3.0, samples=["a hill"]),
    }
    seen = with_job_status(seen, name, [pod(name), pod(name, 1)], active=2)
    plan = plan_of(replace(seen, reports=reports))
    status = plan.status
    assert status["items"] == {"total": 200, "done": 48, "failed": 2, "reused": 5}
    assert (status["percent"], status["itemsPerSecond"]) == (25, 5.0)
    assert status["estimatedCompletionTime"] == "2026-01-31T12:00:30Z"
    assert status["sampleCaptions"] == ["a train", "a hill"]
    assert status["lastProgressTime"] == "2026-01-31T12:00:02Z"
    assert status["errorsUri"] == "pvc://features/catalog/errors"


def test_shards_and_the_pods_that_were_tried_again_are_counted() -> None:
    seen, name = begun(spec__shards=4, spec__parallelism=2)
    seen = with_job_status(seen, name, [pod(name)], active=1, succeeded=2, failed=3, failedIndexes="3")
    assert plan_of(seen).status["shards"] == {
        "total": 4,
        "active": 1,
        "succeeded": 2,
        "failed": 1,
        "retries": 3,
    }


def test_the_total_of_shards_not_heard_of_is_estimated() -> None:
    seen, name = begun(spec__shards=4)
    seen = with_job_status(seen, name, [pod(name)], active=1)
    plan = plan_of(replace(seen, reports={f"uid-{name}-0": report(total=100, done=50)}))
    assert plan.status["items"]["total"] == 400
    assert plan.status["percent"] == 12


def test_a_new_operator_does_not_take_counts_back() -> None:
    seen, name = begun(spec__shards=1)
    seen = with_job_status(seen, name, [pod(name)], active=1)
    seen = replace(seen, reports={f"uid-{name}-0": report(total=100, done=50)})
    seen = carried_out(seen, plan_of(seen))
    plan = plan_of(replace(seen, reports={}))
    assert plan.status["items"]["done"] == 50
    assert plan.status["percent"] == 50


def test_no_news_no_new_status() -> None:
    seen, name = begun(spec__shards=1)
    seen = with_job_status(seen, name, [pod(name)], active=1)
    seen = replace(seen, reports={f"uid-{name}-0": report(total=100, done=50, per_second=1.0)})
    first = plan_of(seen)
    second = plan_of(replace(carried_out(seen, first), now=later(seconds=40)))
    assert second.status == first.status
    assert second.events == ()


def test_captions_then_features_then_complete() -> None:
    seen = captioned_and(captioned(done=50), captioned(done=48, failed=1, reused=3))
    plan = plan_of(seen)
    assert stage_of(plan) == ("Featurising", "Featurising")
    assert condition(plan, "Captioned")["status"] == "True"
    name = name_of(plan)
    seen = ended(carried_out(seen, plan), name, "Complete", [done(name, featurised())])
    plan = plan_of(replace(seen, now=later(hours=1)))
    assert stage_of(plan) == ("Complete", "Complete")
    assert plan.desired == ()
    assert plan.status["features"] == {
        "uri": "pvc://features/catalog/features",
        "digest": featurised().digest,
        "aspects": [],
        "vocabularySize": 40,
        "coverage": 0.9,
        "tokensPerItem": 6.5,
    }
    assert plan.status["reportUri"] == "pvc://features/catalog/report/index.html"
    assert plan.status["run"]["lastSuccessTime"] == "2026-01-31T13:00:00Z"
    assert plan.status["completionTime"] == "2026-01-31T13:00:00Z"
    assert condition(plan, "Ready")["status"] == "True"


def test_what_is_complete_stays_so_when_its_jobs_are_cleared_away() -> None:
    seen = captioned_and(captioned())
    plan = plan_of(seen)
    seen = carried_out(seen, plan)
    seen = ended(seen, name_of(plan), "Complete", [done(name_of(plan), featurised())])
    complete = plan_of(seen)
    bare = replace(carried_out(seen, complete), children={}, jobs=(), pods=())
    assert plan_of(bare).status == complete.status
    assert plan_of(bare).desired == ()


FAILURES = [
    pytest.param(
        broken("J", invalid(), code=65),
        "MissingColumn",
        "there is no column image: name one.",
        id="an invalid task: the pod's own reason and words",
    ),
    pytest.param(
        broken("J", end_reason="OOMKilled", code=137),
        "JobFailed",
        "limits.memory",
        id="out of memory: says what to raise",
    ),
    pytest.param(
        broken("J", last_words="ModuleNotFoundError: no module named torch"),
        "JobFailed",
        "ended with 1: ModuleNotFoundError",
        id="no outcome: the end of the log",
    ),
    pytest.param(broken("J"), "JobFailed", "kubectl logs J-0-x", id="no words at all: where to look"),
]


@pytest.mark.parametrize(("pod_that_failed", "reason", "words"), FAILURES)
def test_failure(pod_that_failed: Any, reason: str, words: str) -> None:
    seen, name = begun()
    failed = replace(pod_that_failed, job=name)
    plan = plan_of(ended(seen, name, "Failed", [failed]))
    assert stage_of(plan) == ("Failed", reason)
    ready = condition(plan, "Ready")
    assert words in ready["message"]
    assert "fathom.dev/retry" in ready["message"] or "limits.memory" in ready["message"]
    assert condition(plan, "Stalled")["status"] == "True"
    assert [(note.type, note.reason) for note in plan.events] == [("Warning", reason)]
    assert plan.desired == ()


def test_a_failed_job_is_replaced_on_a_new_template() -> None:
    seen, name = begun()
    seen = ended(seen, name, "Failed", [broken(name)])
    seen = carried_out(seen, plan_of(seen))
    fresh = captioning(seen.obj["status"], spec__template={"resources": {"limits": {"memory": "8Gi"}}})
    plan = plan_of(replace(fresh, children=seen.children, jobs=seen.jobs, pods=seen.pods))
    assert stage_of(plan) == ("Captioning", "Captioning")
    assert name_of(plan) != name
    assert Ref("Job", name) in plan.delete


def test_a_complete_job_is_not_done_again_for_a_new_template_or_image() -> None:
    seen = captioned_and(captioned())
    fresh = captioning(spec__template={"image": "captioner:2"})
    plan = plan_of(replace(fresh, children=seen.children, jobs=seen.jobs, pods=seen.pods))
    assert stage_of(plan)[0] == "Featurising"
    assert not [gone for gone in plan.delete if "caption" in gone.name]


def test_too_many_failed_items_stop_the_pods_and_keep_the_job() -> None:
    seen, name = begun(spec__failurePolicy={"maxFailedItems": "5%"})
    seen = with_job_status(seen, name, [pod(name)], active=1)
    seen = replace(seen, reports={f"uid-{name}-0": report(total=100, done=10, failed=6)})
    plan = plan_of(seen)
    assert stage_of(plan) == ("Failed", "TooManyFailedItems")
    assert "6 of 100 items failed, 5% may" in condition(plan, "Ready")["message"]
    assert job(plan)["metadata"]["name"] == name
    assert job(plan)["spec"]["suspend"] is True

    later_on = halted(replace(carried_out(seen, plan), pods=(), reports={}), name)
    assert stage_of(plan_of(later_on)) == ("Failed", "TooManyFailedItems")

    raised = captioning(plan.status, spec__failurePolicy={"maxFailedItems": 10})
    raised = replace(raised, children=later_on.children, jobs=later_on.jobs)
    assert "suspend" not in job(plan_of(raised))["spec"]
    assert stage_of(plan_of(raised)) == ("Captioning", "Captioning")


def test_a_few_failed_items_do_not() -> None:
    plan = plan_of(captioned_and(captioned(done=96, failed=4), spec__failurePolicy={"maxFailedItems": "5%"}))
    assert stage_of(plan)[0] == "Featurising"


def test_a_missing_claim_is_named_and_looked_for_again() -> None:
    plan = plan_of(replace(captioning(), missing_claims=frozenset({"media", "features"})))
    assert stage_of(plan) == ("Pending", "MissingClaim")
    assert "no PersistentVolumeClaim features, media in namespace shop" in condition(plan, "Ready")["message"]
    assert plan.look_again is not None
    assert plan.desired == ()
    assert "startTime" not in plan.status


WAITING = [
    pytest.param(
        stuck("J", "CreateContainerConfigError", 'secret "hub" not found'),
        "MissingSecret",
        "True",
        'secret "hub" not found',
        id="a missing Secret: stalled, with its name",
    ),
    pytest.param(
        stuck("J", "Unschedulable", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"),
        "Captioning",
        "False",
        "Insufficient nvidia.com/gpu",
        id="no node fits: the scheduler's words",
    ),
    pytest.param(
        stuck("J", "ImagePullBackOff", "not found"),
        "Captioning",
        "False",
        "template.image",
        id="no such image: a hint",
    ),
]


@pytest.mark.parametrize(("waiting", "reason", "stalled", "words"), WAITING)
def test_pods_that_do_not_start(waiting: Any, reason: str, stalled: str, words: str) -> None:
    seen, name = begun()
    plan = plan_of(with_job_status(seen, name, [replace(waiting, job=name)], active=1))
    assert stage_of(plan) == ("Captioning", reason)
    assert condition(plan, "Stalled")["status"] == stalled
    assert words in condition(plan, "Ready")["message"]


def test_a_suspended_job_is_queued() -> None:
    seen, name = begun(spec__queueName="gpus")
    seen = with_job_status(suspended(seen, name), name)
    assert stage_of(plan_of(seen)) == ("Captioning", "Queued")


def test_a_pod_that_the_api_server_refuses_stalls_with_its_words() -> None:
    plan = refuse(captioning(), "spec.template.spec.volumes[9].name: Duplicate value")
    assert stage_of(plan) == ("Pending", "InvalidSpec")
    assert "Duplicate value" in condition(plan, "Ready")["message"]


def test_a_spec_of_a_later_version_is_refused_in_words() -> None:
    plan = plan_of(captioning(spec__model__engine="Oracle"))
    assert stage_of(plan)[1] == "InvalidSpec"
    assert "spec.model.engine" in condition(plan, "Ready")["message"]


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(captioning(), id="before anything was made"),
        pytest.param(begun()[0], id="with a Job at work"),
        pytest.param(captioned_and(captioned()), id="between two stages"),
    ],
)
def test_a_restart_decides_the_same(seen: CaptionJobSeen) -> None:
    plan = plan_of(seen)
    # The operator may have died after making the children and before writing the status.
    children_only = replace(carried_out(seen, plan), obj=seen.obj, status=seen.status)
    again = plan_of(children_only)
    assert again.desired == plan.desired
    assert again.status == plan.status
