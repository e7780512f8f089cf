"""A Backfill from its manifest to the day its old embeddings go, on a real API server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders.manifests import backfill, caption_job
from builders.moving import LEFT, PROBES, refused
from builders.outcomes import captioned
from integration.kserve import KServe
from integration.kube import Namespace, Refused
from integration.waiting import until
from integration.world import Resource, submit, unique

from fathom_api.progress import Outcome, Progress

SERVED: dict[str, Any] = {"spec__serving": {}}


def gallery(shop: Namespace, **changes: Any) -> Resource:
    return submit(shop, backfill(unique("gallery"), **changes))


def done(found: Resource, *stages: str) -> None:
    """Do the work of stages."""
    for stage in stages:
        found.nodes.succeed(found.job(stage), LEFT[stage])


def task_of(found: Resource, stage: str) -> dict[str, Any]:
    """Return the document that the pods of a stage read."""
    job = found.job(stage)["metadata"]["name"]
    [config] = [c for c in found.children("ConfigMap", stage) if c["metadata"]["name"] == job]
    return json.loads(config["data"]["task.json"])


def test_from_the_estimate_to_the_end_and_the_old_embeddings_go(shop: Namespace, hands: KServe) -> None:
    found = gallery(shop, spec__approve=False, spec__retention={"old": "1s"}, **SERVED)
    found.until_stage("Estimating")
    done(found, "estimate")
    assert found.until_stage("AwaitingApproval")["estimate"]["items"] == 200
    found.spec(approve=True)
    done(found, "pair", "fit")
    status = found.until_stage("Moving")
    assert found.condition("Serving")["status"] == "True"
    assert status["url"] == f"http://{found.name}.{shop.name}.svc"
    assert status["fit"]["recallMerged"] == 0.6
    done(found, "move", "complete", "drop")
    status = found.until_stage("Complete")
    assert (status["beta"], status["items"]["added"]) == (1, 3)
    assert found.condition("Ready")["status"] == "True"
    assert status["completed"] == ["estimate", "pair", "fit", "move", "complete", "drop"]


def test_what_is_moved_cannot_change_once_it_has_begun(shop: Namespace) -> None:
    found = gallery(shop)
    done(found, "estimate", "pair")
    found.until_stage("Fitting")
    with pytest.raises(Refused, match=r"spec\.to cannot change once the backfill has started"):
        found.spec(to={"model": "pvc://models/newer"})
    found.spec(pace={"itemsPerSecond": 5})


def test_a_target_holds_the_move_and_a_lower_one_takes_it_back(shop: Namespace) -> None:
    found = gallery(shop, spec__target=40)
    done(found, "estimate", "pair", "fit")
    assert task_of(found, "move")["target"] == 40
    found.nodes.succeed(found.job("move"), Outcome(result="Succeeded", progress=Progress(total=80, done=80)))
    assert found.until_stage("Holding")["beta"] == 0.4
    found.spec(target=10)
    assert task_of(found, "view")["target"] == 10
    done(found, "view")
    status = found.until("rolled back", lambda s: s["beta"] == 0.1)
    assert (status["stage"], status["items"]["moved"]) == ("RolledBack", 80)
    found.spec(target=100)
    assert task_of(found, "view")["target"] == 100
    done(found, "view")
    assert task_of(found, "move")["target"] == 100


def test_probes_that_find_too_much_stop_it_until_people_say_so(shop: Namespace) -> None:
    found = gallery(shop, spec__probes=PROBES)
    done(found, "estimate", "pair", "fit")
    metrics = {"probe/0/recall": 0.5, "probe/0/flips": 0.0, "probe/100/recall": 0.4, "probe/100/flips": 0.2}
    found.nodes.succeed(
        found.job("probe"),
        Outcome(result="Succeeded", progress=Progress(total=101, done=101, metrics=metrics)),
    )
    message = found.until_condition("Stalled", "True", "StoppedByProbes")
    assert "20.00% of the probes are answered no more, 2% may be" in message
    until("the mover is told to go", lambda: found.job("move")["spec"].get("suspend"))
    found.retry()
    status = found.until_stage("Moving")
    assert status["stopped"]["overridden"] is True


def test_it_does_not_begin_where_it_would_be_worse(shop: Namespace, hands: KServe) -> None:
    found = gallery(shop, **SERVED)
    done(found, "estimate", "pair")
    found.nodes.fail(found.job("fit"), refused("WorseThanOld", "mAP is 0.1 below the old model's."))
    found.until_condition("Stalled", "True", "WorseThanOld")
    assert found.condition("Compatible")["status"] == "False"
    assert not found.children("InferenceService")


def test_suspension_stops_the_pods_and_not_the_search(shop: Namespace, hands: KServe) -> None:
    found = gallery(shop, **SERVED)
    done(found, "estimate", "pair", "fit")
    found.job("move")
    found.spec(suspend=True)
    found.until_stage("Paused")
    until("the mover is suspended", lambda: found.job("move")["spec"].get("suspend"))
    assert found.children("InferenceService")
    found.spec(suspend=False)
    until("the mover goes on", lambda: not found.job("move")["spec"].get("suspend"))
    found.until_stage("Moving")


def test_a_gallery_of_captions_waits_for_them_and_begins_by_itself(shop: Namespace) -> None:
    name = unique("catalog")
    found = gallery(shop, spec__gallery={"captionJob": name})
    assert name in found.until_condition("Ready", "False", "MissingCaptionJob")
    job = submit(shop, caption_job(name))
    assert name in found.until_condition("Ready", "False", "WaitingForCaptions")
    job.planned().nodes.succeed(job.job("caption"), captioned())
    captions = task_of(found, "estimate")["gallery"]["captions"]
    assert (captions["output"], captions["aspect"]) == ("pvc://features/catalog", "caption")
    done(found, "estimate", "pair", "fit")
    assert found.until_stage("Moving")
