"""What is decided about a RecModel: what it waits for, trains and measures, and what becomes of a version."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from builders.outcomes import DIGEST, evaluated, invalid, succeeded
from builders.seen import (
    PLATFORM,
    broken,
    captions_complete,
    carried_out,
    condition,
    done,
    ended,
    job,
    later,
    pod,
    ranking,
    report,
    stage_of,
    with_job_status,
)

from fathom_api.captionjob import AspectFeatures, FeatureArtifact
from fathom_operator.plan import Key, Plan, Ref
from fathom_operator.recmodel.decide import decide, refuse
from fathom_operator.recmodel.observe import CaptionsSeen, RecModelSeen, captions_seen

CAPTIONS = [{"captionJob": "catalog"}]
GATE = {"gate": {"against": ["Serving", "WithoutCaptions"]}}
KNATIVE = {"mode": "Knative", "rollout": {"steps": [{"weight": 10}]}}


def plan_of(seen: RecModelSeen) -> Plan:
    return decide(seen, PLATFORM)


def step(seen: RecModelSeen, outcome: Any = None) -> RecModelSeen:
    """Return what is seen when the Job that is wanted now has been made and is complete."""
    plan = plan_of(seen)
    name = job(plan)["metadata"]["name"]
    return ended(carried_out(seen, plan), name, "Complete", [done(name, outcome or succeeded(digest=DIGEST))])


def with_captions(**changes: Any) -> RecModelSeen:
    return ranking(captions={"catalog": captions_complete()}, spec__features__captions=CAPTIONS, **changes)


def trained(**changes: Any) -> RecModelSeen:
    """Return a RecModel without captions whose model is trained."""
    return step(ranking(**changes))


def judged(auc: float = 0.7, **changes: Any) -> RecModelSeen:
    """Return a RecModel whose model is trained and measured."""
    return step(trained(**changes), evaluated(Captions=auc))


def stages(seen: RecModelSeen) -> str:
    return job(plan_of(seen))["metadata"]["labels"]["fathom.dev/stage"]


WAITING = [
    pytest.param(
        None, "MissingCaptionJob", "True", "no CaptionJob catalog in namespace shop", id="no such CaptionJob"
    ),
    pytest.param(
        CaptionsSeen("catalog", "Captioning", message="10 of 90 items"),
        "WaitingForCaptions",
        "False",
        "catalog (Captioning: 10 of 90 items)",
        id="it is at work: wait, and say how far it is",
    ),
    pytest.param(
        CaptionsSeen("catalog", "Failed", message="there is no column image", stalled=True),
        "WaitingForCaptions",
        "True",
        "there is no column image",
        id="it has failed: somebody has to help",
    ),
]


@pytest.mark.parametrize(("captions", "reason", "stalled", "words"), WAITING)
def test_it_waits_for_its_captions(
    captions: CaptionsSeen | None, reason: str, stalled: str, words: str
) -> None:
    plan = plan_of(ranking(captions={"catalog": captions}, spec__features__captions=CAPTIONS))
    assert stage_of(plan) == ("Pending", reason)
    assert condition(plan, "Stalled")["status"] == stalled
    assert words in condition(plan, "Ready")["message"]
    assert plan.waits_for == {Key("CaptionJob", "shop", "catalog")}
    assert plan.desired == ()


def test_another_try_of_a_rejected_version_gets_todays_image() -> None:
    """What was wrong may have been the image."""
    seen = ranking(spec__serving=KNATIVE)
    seen = step(step(seen), evaluated(Captions=0.7))
    old = seen.status.candidate
    assert old is not None
    tried = old.model_copy(update={"image": "ranker:0"})
    seen = replace(seen, status=seen.status.model_copy(update={"candidate": tried}))
    plan = plan_of(seen)
    assert stage_of(plan)[0] == "Deploying"
    assert plan.status["candidate"]["image"] == PLATFORM.ranker_image


ASPECTS = [
    pytest.param(["caption"], "caption", "Training", id="a single prompt's"),
    pytest.param(["subject", "mood"], "mood", "Training", id="one of several"),
    pytest.param([], "mood", "Training", id="nobody told which there are"),
    pytest.param(["subject", "mood"], "caption", "Pending", id="none of them"),
]


@pytest.mark.parametrize(("there", "asked", "stage"), ASPECTS)
def test_aspects(there: list[str], asked: str, stage: str) -> None:
    features = FeatureArtifact(
        uri="pvc://f/f", digest="sha256:1", aspects=[AspectFeatures(name=name) for name in there]
    )
    captions = CaptionsSeen("catalog", "Complete", features)
    wanted = [{"captionJob": "catalog", "aspect": asked}]
    plan = plan_of(ranking(captions={"catalog": captions}, spec__features__captions=wanted))
    assert stage_of(plan)[0] == stage
    if stage == "Pending":
        assert stage_of(plan)[1] == "InvalidSpec"
        assert "has no aspect caption, only subject, mood" in condition(plan, "Ready")["message"]


def test_two_aspects_of_one_captionjob_are_two_features_of_one_folder() -> None:
    wanted = [{"captionJob": "catalog", "aspect": aspect} for aspect in ("subject", "mood")]
    plan = plan_of(ranking(captions={"catalog": captions_complete()}, spec__features__captions=wanted))
    task = json.loads(plan.desired[0]["data"]["task.json"])
    assert [feature["aspect"] for feature in task["features"]["captions"]] == ["subject", "mood"]
    assert task["captionFeatures"] == {"catalog": "pvc://features/catalog/features"}
    assert plan.waits_for == {Key("CaptionJob", "shop", "catalog")}


def test_features_stay_in_use_while_newer_ones_are_made() -> None:
    obj = {
        "metadata": {"name": "catalog"},
        "status": {"stage": "Captioning", "features": {"uri": "pvc://f/f", "digest": "sha256:1"}},
    }
    features = captions_seen(obj).features
    assert features is not None
    assert features.digest == "sha256:1"


def test_the_model_then_its_controls_then_the_evaluation_one_after_the_other() -> None:
    seen = with_captions()
    order: list[str] = []
    for _ in range(3):
        order.append(stages(seen))
        assert stage_of(plan_of(seen))[0] == "Training"
        seen = step(seen)
    assert order == ["train", "train-without", "train-shuffle"]
    plan = plan_of(seen)
    assert stage_of(plan) == ("Evaluating", "Evaluating")
    assert condition(plan, "Trained")["status"] == "True"
    task = plan.desired[0]["data"]["task.json"]
    version = plan.status["candidate"]["name"]
    for folder in ("captions", "without-captions", "shuffled-captions"):
        assert f"pvc://data/models/{version}/{folder}" in task


def test_only_the_controls_that_were_asked_for_are_trained() -> None:
    seen = step(with_captions(spec__evaluation={"controls": ["ShuffledCaptions"]}))
    assert stages(seen) == "train-shuffle"
    assert stages(step(seen)) == "evaluate"


def test_the_report_is_told_what_tokens_are_called() -> None:
    seen = step(step(with_captions(spec__evaluation={"controls": ["ShuffledCaptions"]})))
    (task,) = (json.loads(o["data"]["task.json"]) for o in plan_of(seen).desired if o["kind"] == "ConfigMap")
    assert task["kind"] == "EvaluateTask"
    assert task["captionFeatures"] == {"catalog": "pvc://features/catalog/features"}


def test_without_captions_there_is_nothing_to_control() -> None:
    assert stages(trained()) == "evaluate"


def test_progress_is_that_of_all_arms() -> None:
    seen = step(with_captions())
    plan = plan_of(seen)
    seen = carried_out(seen, plan)
    name = job(plan)["metadata"]["name"]
    seen = with_job_status(seen, name, [pod(name)], active=1)
    metrics = {"epoch": 2.0, "validation_auc": 0.61}
    status = plan_of(
        replace(seen, reports={f"uid-{name}-0": report(total=4, done=2, per_second=5000.0, metrics=metrics)})
    ).status
    assert status["training"] == {"percent": 50, "epoch": 2.0, "rowsPerSecond": 5000.0, "validationAuc": 0.61}
    assert status["lastProgressTime"] == "2026-01-31T12:00:00Z"


SAME = [
    pytest.param({}, id="nothing changes"),
    pytest.param({"spec__training__template": {"image": "trainer:2"}}, id="other pods"),
    pytest.param({"spec__training__queueName": "gpus"}, id="another queue"),
    pytest.param({"spec__training__backoffLimit": 9}, id="more patience with pods"),
    pytest.param({"spec__evaluation": GATE}, id="another gate"),
    pytest.param({"spec__serving": KNATIVE}, id="serving"),
]
OTHER = [
    pytest.param({"spec__data__interactions__uri": "pvc://data/newer.parquet"}, id="other data"),
    pytest.param({"spec__model": {"architecture": "DLRM"}}, id="another architecture"),
    pytest.param({"spec__training__epochs": 9}, id="other training"),
    pytest.param({"spec__training__seed": 9}, id="another seed"),
]


def version(seen: RecModelSeen) -> str:
    return plan_of(seen).status["candidate"]["name"]


@pytest.mark.parametrize("change", SAME)
def test_no_new_version(change: dict[str, Any]) -> None:
    assert version(with_captions(**change)) == version(with_captions())


@pytest.mark.parametrize("change", OTHER)
def test_a_new_version(change: dict[str, Any]) -> None:
    assert version(with_captions(**change)) != version(with_captions())


def test_new_captions_make_a_new_version() -> None:
    newer = CaptionsSeen("catalog", "Complete", FeatureArtifact(uri="pvc://f", digest="sha256:b"))
    assert version(replace(with_captions(), captions={"catalog": newer})) != version(with_captions())


def test_a_new_version_stops_the_work_on_the_old_one() -> None:
    seen = ranking()
    plan = plan_of(seen)
    old = job(plan)["metadata"]["name"]
    seen = carried_out(seen, plan)
    fresh = ranking(plan.status, spec__training__epochs=9)
    plan = plan_of(replace(fresh, children=seen.children, jobs=seen.jobs))
    assert set(plan.delete) == {Ref("Job", old), Ref("ConfigMap", old)}
    assert job(plan)["metadata"]["name"] != old


def test_not_served_it_is_complete_when_it_is_measured() -> None:
    seen = with_captions(spec__evaluation=GATE)
    for _ in range(3):
        seen = step(seen)
    plan = plan_of(step(seen, evaluated(Captions=0.71, WithoutCaptions=0.68, ShuffledCaptions=0.67)))
    assert stage_of(plan) == ("Complete", "Complete")
    assert plan.status["captionLift"] == pytest.approx(0.03)
    assert [(m["arm"], m["auc"]) for m in plan.status["metrics"]] == [
        ("Captions", 0.71), ("WithoutCaptions", 0.68), ("ShuffledCaptions", 0.67)
    ]  # fmt: skip
    assert [(g["against"], g["verdict"]) for g in plan.status["gates"]] == [
        ("Serving", "Skipped"), ("WithoutCaptions", "Pass")
    ]  # fmt: skip
    assert plan.status["evaluationUri"].endswith("/evaluation.json")
    assert plan.status["reportUri"].endswith("/report.html")
    assert condition(plan, "GatePassed")["status"] == "True"
    assert condition(plan, "Serving") == condition(plan, "Serving") | {
        "status": "False",
        "reason": "NotRequested",
    }
    assert plan.status["candidate"]["auc"] == 0.71


def test_complete_stays_complete_when_the_jobs_are_cleared_away() -> None:
    seen = judged()
    complete = carried_out(seen, plan_of(seen))
    bare = replace(complete, children={}, jobs=(), pods=())
    assert stage_of(plan_of(bare)) == ("Complete", "Complete")
    assert plan_of(bare).desired == ()


def test_a_measurement_lost_with_its_pod_is_made_again() -> None:
    seen = replace(judged(), pods=())
    plan = plan_of(seen)
    assert stage_of(plan) == ("Evaluating", "Evaluating")
    [name] = [gone.name for gone in plan.delete if gone.kind == "Job"]
    assert "evaluate" in name
    assert stages(carried_out(seen, plan)) == "evaluate"


def test_not_a_number_never_reaches_the_status() -> None:
    seen = step(trained(), evaluated(Captions=float("nan")))
    plan = plan_of(seen)
    assert "auc" not in plan.status["metrics"][0]


def test_a_failed_training_says_what_the_pod_said_and_is_replaced_on_demand() -> None:
    seen = ranking()
    plan = plan_of(seen)
    name = job(plan)["metadata"]["name"]
    seen = ended(carried_out(seen, plan), name, "Failed", [broken(name, invalid(), code=65)])
    plan = plan_of(seen)
    assert stage_of(plan) == ("Failed", "MissingColumn")
    assert condition(plan, "Stalled")["status"] == "True"

    asked = replace(ranking(plan.status, retry="1"), children=seen.children, jobs=seen.jobs, pods=seen.pods)
    plan = plan_of(asked)
    assert stage_of(plan)[0] == "Training"
    assert job(plan)["metadata"]["name"] != name


def test_a_missing_claim_is_named_and_looked_for_again() -> None:
    plan = plan_of(replace(ranking(), missing_claims=frozenset({"data"})))
    assert stage_of(plan) == ("Pending", "MissingClaim")
    assert plan.look_again is not None


def test_a_closed_gate_rejects_the_version_for_good() -> None:
    gate = {"controls": ["WithoutCaptions"], "gate": {"against": ["WithoutCaptions"]}}
    seen = step(step(with_captions(spec__evaluation=gate, spec__serving=KNATIVE)))
    plan = plan_of(step(seen, evaluated(Captions=0.6, WithoutCaptions=0.7)))
    assert stage_of(plan) == ("Rejected", "GateFailed")
    [rejection] = plan.status["rejected"]
    assert (rejection["name"], rejection["reason"]) == (plan.status["candidate"]["name"], "GateFailed")
    assert "WithoutCaptions 0.7000" in rejection["message"]
    assert condition(plan, "GatePassed")["status"] == "False"
    assert not [child for child in plan.desired if child["kind"] == "InferenceService"]

    again = plan_of(carried_out(seen, plan, now=later(days=1)))
    assert again.status == plan.status
    assert again.events == ()


def test_a_spec_that_is_refused_leaves_alone_what_is_served() -> None:
    plan = refuse(ranking({"stage": "Serving", "stable": {"name": "v-1"}}), "spec.x: Invalid value")
    assert stage_of(plan) == ("Serving", "InvalidSpec")
    assert plan.desired == ()
    assert plan.delete == ()
    assert plan.status["stable"]["name"] == "v-1"


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(ranking(), id="before anything was made"),
        pytest.param(trained(), id="between training and evaluation"),
        pytest.param(judged(), id="measured"),
    ],
)
def test_a_restart_decides_the_same(seen: RecModelSeen) -> None:
    plan = plan_of(seen)
    children_only = replace(carried_out(seen, plan), obj=seen.obj, status=seen.status)
    again = plan_of(children_only)
    assert again.desired == plan.desired
    assert again.status == plan.status
