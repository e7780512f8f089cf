"""What is decided about a CaptionJob, stage by stage, from what is seen and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.outcomes import captioned, featurised, invalid, succeeded
from builders.seen import (
    PLATFORM,
    broken,
    captioning,
    carried_out,
    condition,
    done,
    ended,
    job,
    later,
    pod,
    report,
    stage_of,
    stuck,
    with_job_status,
)

from fathom_api.progress import Outcome, Progress
from fathom_operator.captionjob.decide import decide, refuse
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.plan import Plan, Ref

PAIRS = {"uri": "pvc://media/pairs.parquet"}


def plan_of(seen: CaptionJobSeen) -> Plan:
    return decide(seen, PLATFORM)


def name_of(plan: Plan) -> str:
    return job(plan)["metadata"]["name"]


def begun(**changes: Any) -> tuple[CaptionJobSeen, str]:
    """Return a CaptionJob whose first Job has been made, and that Job's name."""
    seen = captioning(**changes)
    plan = plan_of(seen)
    return carried_out(seen, plan), name_of(plan)


def captioned_and(*outcomes: Outcome, **changes: Any) -> CaptionJobSeen:
    """Return a CaptionJob whose caption Job is complete with these outcomes."""
    seen, name = begun(spec__shards=len(outcomes), **changes)
    pods = [done(name, outcome, index) for index, outcome in enumerate(outcomes)]
    return ended(seen, name, "Complete", pods, succeeded=len(outcomes))


def test_the_first_look_makes_the_caption_job_and_its_task() -> None:
    plan = plan_of(captioning(spec__shards=3, spec__parallelism=2))
    config_map, made = plan.desired
    assert stage_of(plan) == ("Captioning", "Captioning")
    assert plan.status["startTime"] == "2026-01-31T12:00:00Z"
    assert config_map["metadata"]["name"] == made["metadata"]["name"]
    assert made["metadata"]["name"].startswith("catalog-caption-")
    assert made["metadata"]["ownerReferences"][0]["uid"] == "0000-uid"
    spec = made["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (3, 2, "Indexed")
    assert spec["backoffLimitPerIndex"] == 4
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob"]
    assert spec["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] == [65]


def test_the_longest_name_leaves_room_for_the_pods() -> None:
    name = "x" * 40
    made = name_of(plan_of(captioning(name=name, spec__shards=10_000)))
    assert len(f"{made}-9999") <= 63


def test_more_pods_than_shards_make_no_sense() -> None:
    assert job(plan_of(captioning(spec__shards=2, spec__parallelism=8)))["spec"]["parallelism"] == 2


def test_parallelism_follows_the_spec_while_the_job_stays_the_same() -> None:
    one, two = (plan_of(captioning(spec__shards=4, spec__parallelism=p)) for p in (1, 2))
    assert name_of(one) == name_of(two)
    assert job(two)["spec"]["parallelism"] == 2


def test_a_queue_is_named_on_the_job_and_suspend_left_to_it() -> None:
    made = job(plan_of(captioning(spec__queueName="gpus")))
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "suspend" not in made["spec"]


def test_fine_tuning_comes_first_and_its_model_captions() -> None:
    seen, name = begun(spec__fineTune=PAIRS)
    assert name.startswith("catalog-finetune-")
    outcome = succeeded(
        "pvc://features/catalog/model", progress=Progress(metrics={"epoch": 3.0, "loss": 1.5})
    )
    plan = plan_of(ended(seen, name, "Complete", [done(name, outcome)]))
    assert name_of(plan).startswith("catalog-caption-")
    assert '"uri": "pvc://features/catalog/model"' in plan.desired[0]["data"]["task.json"]
    assert plan.status["fineTune"]["loss"] == 1.5
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
        "vocabularySize": 40,
        "coverage": 0.9,
        "tokensPerItem": 6.5,
    }
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


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"retry": "please"}, id="the retry annotation"),
        pytest.param({"spec__template": {"resources": {"limits": {"memory": "8Gi"}}}}, id="a new template"),
    ],
)
def test_a_failed_job_is_replaced_on(change: dict[str, Any]) -> None:
    seen, name = begun()
    seen = ended(seen, name, "Failed", [broken(name)])
    seen = carried_out(seen, plan_of(seen))
    fresh = captioning(seen.obj["status"], **change)
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
    assert job(plan)["spec"]["parallelism"] == 0

    later_on = replace(carried_out(seen, plan), pods=(), reports={})
    assert stage_of(plan_of(later_on)) == ("Failed", "TooManyFailedItems")

    raised = captioning(plan.status, spec__failurePolicy={"maxFailedItems": 10})
    raised = replace(raised, children=later_on.children, jobs=later_on.jobs)
    assert job(plan_of(raised))["spec"]["parallelism"] == 1


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
    children = {
        k: c | {"spec": c["spec"] | {"suspend": True}} if k.kind == "Job" else c
        for k, c in seen.children.items()
    }
    seen = with_job_status(replace(seen, children=children), name)
    assert stage_of(plan_of(seen)) == ("Captioning", "Queued")


def test_a_pod_that_the_api_server_refuses_stalls_with_its_words() -> None:
    plan = refuse(captioning(), "spec.template.spec.volumes[9].name: Duplicate value")
    assert stage_of(plan) == ("Pending", "InvalidSpec")
    assert "Duplicate value" in condition(plan, "Ready")["message"]


def test_a_spec_of_a_later_version_is_refused_in_words() -> None:
    plan = plan_of(captioning(spec__model__engine="vllm"))
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
