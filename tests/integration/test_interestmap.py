"""An InterestMap from its manifest to a table that a ranker looks for, and tables that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from builders.manifests import caption_job, interest_map, rec_model
from builders.maps import STEPS, told, verdict
from builders.outcomes import captioned, evaluated, featurised, succeeded
from integration.kube import Namespace, Object
from integration.waiting import until
from integration.world import Resource, submit, unique


def captions(shop: Namespace) -> str:
    """Return the name of a CaptionJob that has captions."""
    job = submit(shop, caption_job(unique("catalog")))
    job.planned().nodes.succeed(job.job("caption"), captioned())
    job.nodes.succeed(job.job("featurise"), featurised())
    job.until_stage("Complete")
    return job.name


def discover(shop: Namespace, **changes: Any) -> Resource:
    name = changes.pop("name", None) or captions(shop)
    return submit(shop, interest_map(unique("discover"), spec__captions={"captionJob": name}, **changes))


def go(interests: Resource, *steps: str) -> None:
    """Do the work of these steps, one after the other."""
    for step in steps:
        interests.nodes.succeed(interests.job(step), told(step))


def variables(service: Object) -> dict[str, str]:
    [container] = service["spec"]["predictor"]["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def test_it_waits_for_its_captions_and_says_so(shop: Namespace) -> None:
    name = unique("catalog")
    interests = discover(shop, name=name)
    assert name in interests.until_condition("Ready", "False", "MissingCaptionJob")
    job = submit(shop, caption_job(name))
    assert name in interests.until_condition("Ready", "False", "WaitingForCaptions")
    assert interests.children("Job") == []
    job.planned().nodes.succeed(job.job("caption"), captioned())
    assert interests.job("cluster")


def test_step_by_step_to_a_table_that_is_published(shop: Namespace) -> None:
    interests = discover(shop)
    go(interests, *STEPS)
    status = interests.until_stage("Published")
    assert interests.stages() == sorted(STEPS)
    assert (status["clusters"], status["pairs"]["planned"]) == (60, 3540)
    assert status["table"]["name"] == status["run"]["table"]
    assert interests.condition("Published")["status"] == "True"
    assert interests.condition("GatePassed")["status"] == "True"


def test_a_table_that_a_gate_refuses_is_not_published_until_the_gates_change(shop: Namespace) -> None:
    interests = discover(shop)
    go(interests, *STEPS[:4])
    refused = told("gate", verdict("Recall", "Fail", "0.2% of moves, at least 1.5% asked"))
    interests.nodes.succeed(interests.job("gate"), refused)
    assert "0.2% of moves" in interests.until_condition("Stalled", "True", "GateFailed")
    assert "table" not in interests.until_stage("Rejected")

    interests.spec(gates={"minRecall": 0.001})
    go(interests, "gate", "publish")
    assert interests.until_stage("Published")["table"]["name"]
    assert interests.stages() == sorted(STEPS)


def test_suspension_stops_the_pods_and_goes_on_where_it_was(shop: Namespace) -> None:
    interests = discover(shop)
    go(interests, "cluster")
    job = interests.job("transitions")
    interests.spec(suspend=True)
    interests.until_stage("Suspended")
    until("the Job is suspended", lambda: shop.get("Job", job["metadata"]["name"])["spec"].get("suspend"))
    interests.spec(suspend=None)
    go(interests, "transitions")
    interests.until_stage("Training")


@pytest.mark.usefixtures("hands")
def test_the_ranker_that_it_names_is_told_where_to_look(shop: Namespace) -> None:
    model = submit(shop, rec_model(unique("movies"), spec__serving={}))
    model.nodes.succeed(model.job("train"), succeeded("pvc://data/models"))
    model.nodes.succeed(model.job("evaluate"), evaluated(Captions=0.7))
    model.until_stage("Serving")
    assert "FATHOM_GUIDE" not in variables(shop.get("InferenceService", model.name))

    interests = discover(shop, spec__serving={"recModel": model.name})
    go(interests, *STEPS)
    interests.until_stage("Published")

    until(
        "the ranker looks for the table",
        lambda: (
            variables(shop.get("InferenceService", model.name)).get("FATHOM_GUIDE")
            == "pvc://data/discover/current"
        ),
    )
    model.until_stage("Serving")


def test_a_second_map_for_the_same_ranker_is_told_so(shop: Namespace) -> None:
    name = captions(shop)
    ranker = unique("movies")
    both = {"spec__captions": {"captionJob": name}, "spec__serving": {"recModel": ranker}}
    # Of two made in the same second, the first by name is the first.
    first = submit(shop, interest_map(unique("a"), **both))
    second = submit(shop, interest_map(unique("b"), **both))
    assert first.name in second.until_condition("Stalled", "True", "InvalidSpec")
    first.until_stage("Clustering")
