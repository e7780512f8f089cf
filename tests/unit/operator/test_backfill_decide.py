"""What is decided about a Backfill, stage by stage, from what is seen and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from builders.maps import catalogue
from builders.moving import (
    ITEMS,
    PROBES,
    answering,
    asked_again,
    comparable,
    ended_badly,
    ended_well,
    followed,
    jobs,
    plan_of,
    refused,
    respecified,
    with_moved,
    with_probes,
)
from builders.seen import PLATFORM, backfilling, condition, later, stage_of

from fathom_api.progress import Outcome, Progress
from fathom_operator.backfill.decide import decide, refuse
from fathom_operator.catalogues import CatalogueSeen
from fathom_operator.plan import Key, Plan
from fathom_operator.prices import Prices

SERVED: dict[str, Any] = {"spec__serving": {"replicas": 2}}


def task_of(plan: Plan, stage: str) -> dict[str, Any]:
    name = jobs(plan)[stage]["metadata"]["name"]
    [config] = [c for c in plan.desired if c["kind"] == "ConfigMap" and c["metadata"]["name"] == name]
    return json.loads(config["data"]["task.json"])


def ready(plan: Plan) -> str:
    return condition(plan, "Ready")["message"]


def test_the_first_look_counts_the_items() -> None:
    plan = plan_of(backfilling())
    assert stage_of(plan) == ("Estimating", "Estimating")
    [job] = jobs(plan).values()
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["backfill", "estimate", "--task", "/etc/fathom/task.json"]
    assert task_of(plan, "estimate")["to"] == {"model": "pvc://models/new"}


@pytest.mark.parametrize(
    ("pace", "speed", "seconds"),
    [
        pytest.param({}, 4.0, 50, id="one pod"),
        pytest.param({"parallelism": 5}, 20.0, 10, id="five pods"),
        pytest.param({"parallelism": 5, "itemsPerSecond": 2}, 2.0, 100, id="a pace below what they could"),
    ],
)
def test_the_estimate_says_how_long_it_will_take(pace: dict[str, Any], speed: float, seconds: int) -> None:
    plan = plan_of(ended_well(backfilling(spec__pace=pace, spec__approve=False), "estimate"))
    assert stage_of(plan) == ("AwaitingApproval", "AwaitingApproval")
    estimate = plan.status["estimate"]
    assert (estimate["items"], estimate["itemsPerSecond"], estimate["seconds"]) == (200, speed, seconds)


@pytest.mark.parametrize("gpu", ["nvidia.com/gpu", "nvidia.com/mig-1g.18gb"])
def test_the_estimate_says_what_it_will_cost_by_the_installation_s_prices(gpu: str) -> None:
    seen = backfilling(
        spec__approve=False,
        spec__pace={"parallelism": 2},
        spec__template={"resources": {"requests": {"cpu": "1"}, "limits": {gpu: 1}}},
    )
    priced = replace(PLATFORM, prices=Prices.model_validate({"cpuHour": 0.5, "gpuHour": {"default": 3.5}}))
    plan = decide(ended_well(seen, "estimate"), priced)
    # 200 items at 8 a second: 25 s of two pods at 4.00 an hour each.
    assert plan.status["estimate"]["cost"] == "0.0556 USD"
    assert "200 items, 25 s, 0.0556 USD" in ready(plan)


def test_nothing_is_embedded_before_it_is_approved() -> None:
    waiting = followed(ended_well(backfilling(spec__approve=False), "estimate"))
    assert not jobs(plan_of(waiting))
    assert set(jobs(plan_of(respecified(waiting)))) == {"pair"}


def test_pairs_come_before_the_fit_and_fix_what_is_moved() -> None:
    plan = plan_of(ended_well(backfilling(), "estimate"))
    assert stage_of(plan) == ("Pairing", "Pairing")
    assert task_of(plan, "pair")["pairs"] == 20_000
    assert "startTime" not in plan.status
    plan = plan_of(ended_well(ended_well(backfilling(), "estimate"), "pair"))
    assert stage_of(plan) == ("Fitting", "Fitting")
    assert plan.status["startTime"] == "2026-01-31T12:00:00Z"
    assert plan.status["items"]["total"] == ITEMS
    assert plan.status["gallery"]["uri"] == "pvc://data/gallery/gallery"


def test_a_fit_that_would_be_worse_than_the_old_model_ends_it() -> None:
    seen = ended_well(ended_well(backfilling(), "estimate"), "pair")
    plan = plan_of(ended_badly(seen, "fit", refused("WorseThanOld", "mAP is 0.1 below the old model's")))
    assert stage_of(plan) == ("Failed", "WorseThanOld")
    assert plan.status["verdict"] == "Worse"
    assert condition(plan, "Compatible")["status"] == "False"
    assert not jobs(plan)


def test_what_failed_is_tried_again_when_asked() -> None:
    failed = followed(ended_badly(backfilling(), "estimate", refused("NotFound", "nothing there")))
    assert failed.status.stage == "Failed"
    again = plan_of(asked_again(failed, "1"))
    assert stage_of(again) == ("Estimating", "Estimating")
    assert [ref.kind for ref in again.delete] == ["Job", "ConfigMap"]


def test_without_serving_items_move_at_once() -> None:
    plan = plan_of(comparable())
    assert stage_of(plan) == ("Moving", "Moving")
    assert plan.status["fit"]["recallMerged"] == 0.6
    assert condition(plan, "Compatible")["status"] == "True"
    assert condition(plan, "Serving")["reason"] == "NotRequested"


def test_nothing_moves_before_the_retriever_answers() -> None:
    seen = backfilling(**SERVED)
    for stage in ("estimate", "pair", "fit"):
        seen = ended_well(seen, stage)
    plan = plan_of(seen)
    assert stage_of(plan) == ("Deploying", "Deploying")
    assert not jobs(plan)
    assert {c["kind"] for c in plan.desired} == {"InferenceService", "Service"}
    assert stage_of(plan_of(answering(seen))) == ("Moving", "Moving")


def test_the_retriever_reads_the_gallery_and_writes_nothing() -> None:
    plan = plan_of(comparable(**SERVED))
    [service] = [c for c in plan.desired if c["kind"] == "InferenceService"]
    predictor = service["spec"]["predictor"]
    [main] = predictor["containers"]
    assert main["args"][:1] == ["retrieve"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 2)
    claims = [mount for mount in main["volumeMounts"] if mount["mountPath"].startswith("/volumes/")]
    assert all(mount["readOnly"] for mount in claims)
    assert main["securityContext"]["readOnlyRootFilesystem"]
    assert plan.status["url"] == "http://gallery.shop.svc"


def test_a_retriever_that_restarts_later_does_not_stop_the_move() -> None:
    seen = with_moved(comparable(**SERVED), 50)
    plan = plan_of(replace(seen, services={}))
    assert plan.status["stage"] == "Moving"
    assert condition(plan, "Serving")["status"] == "False"


def test_a_cluster_without_kserve_is_named() -> None:
    plan = plan_of(replace(comparable(**SERVED), not_installed=("serving.kserve.io",)))
    assert stage_of(plan) == ("Deploying", "ModeNotInstalled")
    assert "install KServe" in ready(plan)


def test_items_move_in_as_many_shards_as_pods() -> None:
    plan = plan_of(comparable(spec__pace={"parallelism": 3, "itemsPerSecond": 6}))
    spec = jobs(plan)["move"]["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (3, 3, "Indexed")
    task = task_of(plan, "move")
    assert (task["parallelism"], task["itemsPerSecond"], task["target"]) == (3, 6.0, 100)


def test_the_status_says_how_far_it_is_how_fast_and_until_when() -> None:
    status = plan_of(with_moved(comparable(), 50)).status
    assert (status["beta"], status["items"]["moved"], status["itemsPerSecond"]) == (0.25, 50, 2.0)
    assert status["estimatedCompletionTime"] == "2026-01-31T12:01:15Z"


def test_items_that_have_moved_never_become_fewer() -> None:
    seen = followed(with_moved(comparable(), 50))
    assert plan_of(with_moved(seen, 10)).status["items"]["moved"] == 50


def test_slower_begins_the_pods_anew_and_keeps_what_has_moved() -> None:
    seen = followed(with_moved(comparable(), 50))
    before = jobs(plan_of(seen))["move"]["metadata"]["name"]
    plan = plan_of(respecified(seen, spec__pace={"itemsPerSecond": 1}))
    assert ("Job", before) in plan.delete
    assert jobs(plan)["move"]["metadata"]["name"] != before
    assert plan.status["items"]["moved"] == 50


def test_suspension_stops_the_pods_and_keeps_the_gallery_served() -> None:
    seen = followed(with_moved(comparable(**SERVED), 50))
    plan = plan_of(respecified(seen, spec__suspend=True, **SERVED))
    assert stage_of(plan) == ("Paused", "Suspended")
    assert jobs(plan)["move"]["spec"]["suspend"] is True
    assert "InferenceService" in {c["kind"] for c in plan.desired}
    assert "50 of 200 items" in ready(plan)


@pytest.mark.parametrize(
    ("window", "stage", "look_again"),
    [
        pytest.param("11:00-13:00", "Moving", 3600, id="open: looked at again when it closes"),
        pytest.param("22:00-06:00", "Paused", 10 * 3600, id="closed: looked at again when it opens"),
        pytest.param("22:00-06:00 Asia/Tokyo", "Paused", 3600, id="hours of a zone of its own"),
    ],
)
def test_items_move_in_their_hours_only(window: str, stage: str, look_again: float) -> None:
    plan = plan_of(comparable(spec__pace={"window": window}))
    assert plan.status["stage"] == stage
    assert plan.look_again == look_again


def test_a_time_zone_that_is_none_is_told() -> None:
    plan = plan_of(backfilling(spec__pace={"window": "22:00-06:00 Mars/Olympus"}))
    assert condition(plan, "Stalled")["reason"] == "InvalidSpec"
    assert "spec.pace.window: there is no time zone Mars/Olympus" in ready(plan)


def test_the_probes_are_asked_beside_the_move() -> None:
    plan = plan_of(comparable(spec__probes=PROBES))
    assert set(jobs(plan)) == {"move", "probe"}
    assert (
        "stopIf" not in task_of(plan, "probe")["probes"] or task_of(plan, "probe")["probes"]["stopIf"] == {}
    )


def test_what_the_probes_find_is_kept_by_percent() -> None:
    seen = with_probes(comparable(spec__probes=PROBES), p0=(0.5, 0.0), p1=(0.52, 0.01))
    plan = plan_of(with_probes(followed(seen), p2=(0.55, 0.0)))
    assert plan.status["probes"] == [
        {"percent": 0, "recall": 0.5, "negativeFlipRate": 0.0},
        {"percent": 1, "recall": 0.52, "negativeFlipRate": 0.01},
        {"percent": 2, "recall": 0.55, "negativeFlipRate": 0.0},
    ]
    assert plan.status["verdict"] == "Better"


@pytest.mark.parametrize(
    ("point", "said"),
    [
        pytest.param((0.6, 0.03), "3.00% of the probes are answered no more, 2% may be", id="flips"),
        pytest.param((0.48, 0.0), "recall is 0.4800, 0.5000 with the old model", id="recall"),
    ],
)
def test_probes_that_find_too_much_stop_the_move(point: tuple[float, float], said: str) -> None:
    seen = with_moved(comparable(spec__probes=PROBES), 40)
    plan = plan_of(with_probes(seen, p0=(0.5, 0.0), p20=point))
    assert stage_of(plan) == ("Stopped", "StoppedByProbes")
    assert said in ready(plan)
    assert all(job["spec"]["suspend"] for job in jobs(plan).values())
    assert plan.status["verdict"] == "Worse"


def test_as_much_as_is_allowed_does_not_stop_it() -> None:
    plan = plan_of(with_probes(comparable(spec__probes=PROBES), p0=(0.5, 0.0), p1=(0.49, 0.02)))
    assert plan.status["stage"] == "Moving"


def test_people_may_go_on_all_the_same() -> None:
    stopped = followed(with_probes(comparable(spec__probes=PROBES), p0=(0.5, 0.0), p1=(0.2, 0.5)))
    assert stopped.status.stage == "Stopped"
    going_on = plan_of(asked_again(stopped, "yes"))
    assert going_on.status["stage"] == "Moving"
    assert going_on.status["stopped"]["overridden"] is True


def test_it_holds_at_its_target() -> None:
    target = {"spec__target": 40}
    seen = ended_well(
        comparable(**target), "move", Outcome(result="Succeeded", progress=Progress(total=80, done=80))
    )
    plan = plan_of(seen)
    assert stage_of(plan) == ("Holding", "TargetReached")
    assert (plan.status["beta"], condition(plan, "Ready")["status"]) == (0.4, "True")
    assert not jobs(plan)
    on = plan_of(respecified(followed(seen)))
    assert (on.status["stage"], task_of(on, "move")["target"]) == ("Moving", 100)


def rolled_back_to(percent: int) -> Any:
    seen = followed(with_moved(comparable(spec__probes=PROBES), 100))
    seen = with_probes(seen, p0=(0.5, 0.0), p10=(0.6, 0.0), p50=(0.7, 0.0))
    return respecified(followed(seen), spec__probes=PROBES, spec__target=percent)


def test_a_lower_target_rolls_back_and_stops_the_movers() -> None:
    plan = plan_of(rolled_back_to(10))
    assert stage_of(plan) == ("RolledBack", "RolledBack")
    assert set(jobs(plan)) == {"view"}
    assert task_of(plan, "view")["target"] == 10
    assert {ref.kind for ref in plan.delete} == {"Job", "ConfigMap"}


def test_once_rolled_back_the_rest_is_the_old_model_s() -> None:
    plan = plan_of(ended_well(rolled_back_to(10), "view"))
    assert stage_of(plan) == ("RolledBack", "RolledBack")
    assert (plan.status["beta"], plan.status["view"], plan.status["items"]["moved"]) == (0.1, 10, 100)
    assert [probe["percent"] for probe in plan.status["probes"]] == [0, 10]
    assert not jobs(plan)


def test_a_higher_target_brings_back_what_was_rolled_back_before_more_moves() -> None:
    back = followed(ended_well(rolled_back_to(10), "view"))
    again = respecified(back, spec__probes=PROBES)
    plan = plan_of(again)
    assert (set(jobs(plan)), task_of(plan, "view")["target"]) == ({"view"}, 100)
    on = plan_of(ended_well(again, "view"))
    assert set(jobs(on)) == {"move", "probe"}
    assert on.status["view"] == 100


def finished_moving(**changes: Any) -> Any:
    return ended_well(comparable(**changes), "move")


def test_the_end_waits_for_the_probes() -> None:
    seen = finished_moving(spec__probes=PROBES)
    assert plan_of(seen).status["stage"] == "Moving"
    last = Outcome(
        result="Succeeded",
        progress=Progress(total=101, done=101, metrics={"probe/100/recall": 0.7, "probe/100/flips": 0.0}),
    )
    assert plan_of(ended_well(seen, "probe", last)).status["stage"] == "Completing"


def test_what_came_meanwhile_is_embedded_in_the_end() -> None:
    plan = plan_of(finished_moving())
    assert stage_of(plan) == ("Completing", "Completing")
    assert set(jobs(plan)) == {"complete"}


def complete(**changes: Any) -> Any:
    return followed(ended_well(finished_moving(**changes), "complete"))


def test_the_old_embeddings_are_kept_for_their_retention() -> None:
    seen = complete()
    plan = plan_of(seen)
    assert stage_of(plan) == ("Retaining", "Retaining")
    assert plan.look_again == 7 * 86400
    assert plan.status["completionTime"] == "2026-01-31T12:00:00Z"
    assert plan.status["items"]["added"] == 3
    assert plan.status["reportUri"] == "pvc://data/gallery/report/index.html"
    assert condition(plan, "Ready")["status"] == "True"


def test_a_rollback_is_possible_as_long_as_they_are_kept() -> None:
    plan = plan_of(respecified(complete(), spec__target=0))
    assert set(jobs(plan)) == {"view"}


def test_after_their_retention_they_go_for_good() -> None:
    seen = replace(complete(), now=later(days=7, seconds=1))
    assert set(jobs(plan_of(seen))) == {"drop"}
    gone = ended_well(seen, "drop")
    plan = plan_of(gone)
    assert stage_of(plan) == ("Complete", "Complete")
    late = plan_of(respecified(followed(gone), spec__target=0))
    assert late.status["stage"] == "Complete"
    assert "spec.target: 0 has no effect" in ready(late)
    assert not jobs(late)


def test_old_embeddings_that_are_still_needed_do_not_go() -> None:
    outcome = Outcome(result="Succeeded", progress=Progress(total=ITEMS, done=ITEMS - 2, failed=2))
    seen = followed(ended_well(ended_well(comparable(), "move", outcome), "complete"))
    plan = plan_of(replace(seen, now=later(days=30)))
    assert plan.status["stage"] == "Retaining"
    assert "2 items that cannot be read" in ready(plan)
    assert not jobs(plan)


def test_a_queue_s_job_is_taken_away_to_pause_it() -> None:
    seen = followed(comparable(spec__queueName="gpus"))
    plan = plan_of(respecified(seen, spec__queueName="gpus", spec__suspend=True))
    assert not jobs(plan)
    assert "Job" in {ref.kind for ref in plan.delete}


def test_a_missing_claim_is_named() -> None:
    plan = plan_of(replace(backfilling(), missing_claims=frozenset({"models"})))
    assert stage_of(plan) == ("Pending", "MissingClaim")
    assert "no PersistentVolumeClaim models in namespace shop" in ready(plan)


def test_what_is_refused_leaves_what_is_served() -> None:
    seen = followed(with_moved(comparable(**SERVED), 50))
    plan = refuse(seen, "spec.template.resources: no such thing")
    assert condition(plan, "Stalled")["status"] == "True"
    assert plan.status["stage"] == "Moving"
    assert not plan.delete
    assert condition(plan, "Serving")["status"] == "True"


def test_no_stage_is_done_twice() -> None:
    seen, made = backfilling(), list[str]()
    for stage in ("estimate", "pair", "fit", "move", "complete"):
        made += jobs(plan_of(seen))
        seen = ended_well(seen, stage)
    assert made == ["estimate", "pair", "fit", "move", "complete"]


GALLERY: dict[str, Any] = {"spec__gallery": {"captionJob": "catalog", "aspect": "mood"}}


def test_a_gallery_of_captions_waits_for_its_caption_job() -> None:
    plan = plan_of(backfilling(**GALLERY))
    assert stage_of(plan) == ("Pending", "MissingCaptionJob")
    assert "correct spec.gallery.captionJob" in ready(plan)
    assert condition(plan, "Stalled")["status"] == "True"
    assert plan.waits_for == {Key("CaptionJob", "shop", "catalog")}


def test_a_gallery_of_captions_waits_until_they_are_made() -> None:
    plan = plan_of(backfilling(catalogue=CatalogueSeen("catalog", stage="Captioning"), **GALLERY))
    assert stage_of(plan) == ("Pending", "WaitingForCaptions")
    assert not plan.desired


def test_pods_read_the_captions_that_are_the_gallery() -> None:
    plan = plan_of(backfilling(catalogue=catalogue(spec__shards=3), **GALLERY))
    captions = task_of(plan, "estimate")["gallery"]["captions"]
    assert (captions["output"], captions["shards"], captions["aspect"]) == (
        "pvc://features/catalog",
        3,
        "mood",
    )


def test_while_it_is_captioned_again_nothing_is_begun_and_what_is_at_work_goes_on() -> None:
    moving = followed(comparable(catalogue=catalogue(), **GALLERY))
    again = replace(moving, catalogue=replace(catalogue(), stage="Captioning"))
    plan = plan_of(again)
    assert stage_of(plan) == ("Moving", "WaitingForCaptions")
    assert not plan.desired
    assert not plan.delete


def test_a_backfill_that_is_complete_needs_its_captions_no_more() -> None:
    seen = comparable(catalogue=catalogue(), **GALLERY)
    for stage in ("move", "complete"):
        seen = ended_well(seen, stage)
    before = plan_of(seen)
    again = plan_of(replace(followed(seen), catalogue=replace(catalogue(), stage="Captioning")))
    assert stage_of(again) == stage_of(before)
    assert condition(again, "Ready")["reason"] != "WaitingForCaptions"


@pytest.mark.parametrize(
    ("method", "opened"),
    [
        pytest.param("MetricCompatible", ["data", "models"], id="queries are embedded by the new model"),
        pytest.param("RankMerge", ["data", "models", "older"], id="queries are embedded by both models"),
    ],
)
def test_the_retriever_sees_the_models_that_embed_queries(method: str, opened: list[str]) -> None:
    seen = comparable(
        spec__compatibility={"method": method}, spec__from={"model": "pvc://older/clip"}, **SERVED
    )
    plan = plan_of(seen)
    [service] = [child for child in plan.desired if child["kind"] == "InferenceService"]
    volumes = service["spec"]["predictor"]["volumes"]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]
    assert sorted(claims) == opened


@pytest.mark.parametrize(("method", "needed"), [("MetricCompatible", False), ("Isotonic", True)])
def test_pairs_know_whether_queries_need_the_old_model(method: str, needed: bool) -> None:
    plan = plan_of(ended_well(backfilling(spec__compatibility={"method": method}), "estimate"))
    assert task_of(plan, "pair")["oldQueries"] is needed
