"""A RecModel from its manifest to a served version, the next version, and versions that are refused."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest
from builders.manifests import caption_job, rec_model, steps
from builders.outcomes import DIGEST, captioned, evaluated, featurised, invalid, succeeded
from integration.kserve import KServe
from integration.kube import Namespace, Object
from integration.waiting import stays, until
from integration.world import Resource, submit, unique

from fathom_api.meta import Labels
from fathom_api.progress import Outcome

ARMS = ("train", "train-without", "train-shuffle")


def captions(shop: Namespace, digest: str = DIGEST) -> str:
    """Return the name of a complete CaptionJob."""
    job = submit(shop, caption_job(unique("catalog")))
    job.planned().nodes.succeed(job.job("caption"), captioned())
    job.nodes.succeed(job.job("featurise"), featurised(digest))
    job.until_stage("Complete")
    return job.name


def movies(shop: Namespace, **changes: Any) -> Resource:
    return submit(shop, rec_model(unique("movies"), **changes))


def train(model: Resource, digest: str = DIGEST, **auc: float) -> None:
    """Do the work of a version without captions: train and evaluate."""
    model.nodes.succeed(model.job("train"), succeeded("pvc://data/models", digest))
    model.nodes.succeed(model.job("evaluate"), evaluated(**(auc or {"Captions": 0.7})))


def served(model: Resource) -> str:
    """Return the name of the version that answers all requests."""
    status = model.until_stage("Serving")
    assert status.get("rollout") is None
    return status["stable"]["name"]


def percents(model: Resource, since: str) -> list[int | None]:
    """Return the shares that the latest version was given, each once for as long as it kept it."""
    states = model.namespace.states_since("InferenceService", since, model.name)
    told = [state["spec"]["predictor"].get("canaryTrafficPercent") for state in states]
    return [percent for percent, _ in groupby(told)]


def test_it_waits_for_its_captions_and_says_so(shop: Namespace) -> None:
    name = unique("catalog")
    model = movies(shop, spec__features__captions=[{"captionJob": name}])
    assert name in model.until_condition("Ready", "False", "MissingCaptionJob")

    job = submit(shop, caption_job(name))
    assert name in model.until_condition("Ready", "False", "WaitingForCaptions")
    assert model.children("Job") == []

    job.planned().nodes.succeed(job.job("caption"), captioned())
    job.nodes.succeed(job.job("featurise"), featurised())
    assert model.job("train")
    assert model.until_stage("Training")["features"] == [
        {"uri": "pvc://features/catalog/features", "digest": DIGEST}
    ]


def test_it_is_trained_beside_its_controls_and_measured(shop: Namespace) -> None:
    model = movies(shop, spec__features__captions=[{"captionJob": captions(shop)}])
    for arm in ARMS:
        model.nodes.succeed(model.job(arm), succeeded("pvc://data/models"))
    numbers = evaluated(Captions=0.72, WithoutCaptions=0.70, ShuffledCaptions=0.69)
    model.nodes.succeed(model.job("evaluate"), numbers)

    status = model.until_stage("Complete")

    assert model.stages() == sorted(["evaluate", *ARMS])
    assert {each["arm"]: each["auc"] for each in status["metrics"]} == {
        "Captions": 0.72,
        "WithoutCaptions": 0.70,
        "ShuffledCaptions": 0.69,
    }
    assert status["captionLift"] == pytest.approx(0.02)
    assert status["candidate"]["auc"] == 0.72
    assert status["candidate"]["uri"].startswith(f"pvc://data/models/{status['candidate']['name']}/")
    assert model.condition("Ready")["status"] == "True"
    assert model.condition("Trained")["status"] == "True"
    assert model.condition("GatePassed")["status"] == "True"
    assert (model.condition("Serving")["status"], model.condition("Serving")["reason"]) == (
        "False",
        "NotRequested",
    )


def test_without_captions_there_is_nothing_to_control(shop: Namespace) -> None:
    model = movies(shop)
    train(model)
    model.until_stage("Complete")
    assert model.stages() == ["evaluate", "train"]


def test_a_missing_claim_is_named(shop: Namespace) -> None:
    missing = unique("claim")
    model = movies(shop, spec__data__interactions__uri=f"pvc://{missing}/i.parquet")
    assert missing in model.until_condition("Stalled", "True", "MissingClaim")


def test_wrong_data_stalls_until_asked_again(shop: Namespace) -> None:
    model = movies(shop)
    model.nodes.fail(model.job("train"), invalid("MissingColumn", "interactions have no column label"))
    assert "no column label" in model.until_condition("Stalled", "True", "MissingColumn")
    model.until_stage("Failed")

    model.retry()

    train(model)
    model.until_stage("Complete")


@pytest.mark.usefixtures("hands")
def test_the_first_version_gets_all_requests_as_soon_as_it_is_ready(shop: Namespace) -> None:
    since = shop.version("InferenceService")
    model = movies(shop, spec__serving__rollout__steps=steps(10, 50))
    train(model)

    version = served(model)

    status = model.status
    assert percents(model, since) == [None], "there is nobody to spare"
    assert status["url"] == f"http://{model.name}.{shop.name}.example.com"
    assert status["gates"][0]["verdict"] == "Skipped"
    assert [each["name"] for each in status["history"]] == [version]
    assert model.condition("Ready")["status"] == "True"
    assert model.condition("Serving")["status"] == "True"
    [service] = model.children("InferenceService")
    predictor = service["spec"]["predictor"]
    assert predictor["labels"][Labels.RUN] == version
    assert predictor["containers"][0]["name"] == "kserve-container"
    assert "--model-version" in predictor["containers"][0]["args"]


@pytest.mark.usefixtures("hands")
def test_the_next_version_takes_over_step_by_step(shop: Namespace) -> None:
    model = movies(shop, spec__serving__rollout__steps=steps(10, 50))
    train(model)
    first = served(model)
    since = shop.version("InferenceService")

    shop.patch("RecModel", model.name, {"spec": {"model": {"embeddingDim": 8}}})
    train(model, f"sha256:{'b' * 64}", Captions=0.72, Serving=0.70)
    model.until("the canary walks", lambda status: status.get("rollout", {}).get("weight") == 10)
    assert model.status["stable"]["name"] == first
    model.until("the second is served", lambda status: status.get("stable", {}).get("name") != first)

    second = served(model)
    assert percents(model, since) == [10, 50, None]
    assert [each["name"] for each in model.status["history"]] == [second, first]
    gate = model.status["gates"][0]
    assert (gate["verdict"], gate["against"]) == ("Pass", "Serving")
    assert gate["delta"] == pytest.approx(0.02)
    bundle_of_first = f"pvc://data/models/{first}/captions"
    assert bundle_of_first in str(config_of(model, "evaluate")), "the one that is served is measured too"


def config_of(model: Resource, stage: str) -> Object:
    return model.children("ConfigMap", stage)[-1]["data"]


@pytest.mark.usefixtures("hands")
def test_new_captions_make_a_new_version(shop: Namespace) -> None:
    model = movies(
        shop,
        spec__serving={},
        spec__evaluation__controls=[],
        spec__features__captions=[{"captionJob": captions(shop)}],
    )
    train(model)
    first = served(model)

    other = captions(shop, f"sha256:{'c' * 64}")
    shop.patch("RecModel", model.name, {"spec": {"features": {"captions": [{"captionJob": other}]}}})
    train(model, Captions=0.72, Serving=0.70)

    model.until("a second version", lambda status: status.get("stable", {}).get("name") != first)


@pytest.mark.usefixtures("hands")
def test_a_change_of_pods_makes_no_new_version(shop: Namespace) -> None:
    model = movies(shop, spec__serving={})
    train(model)
    first = served(model)
    jobs = model.stages()

    change = {"training": {"template": {"nodeSelector": {"disk": "ssd"}}}, "serving": {"replicas": 2}}
    shop.patch("RecModel", model.name, {"spec": change})

    def replicas() -> bool:
        [service] = model.children("InferenceService")
        return service["spec"]["predictor"]["minReplicas"] == 2

    until("more replicas", replicas)
    assert served(model) == first
    assert stays("nothing is trained", model.stages) == jobs


@pytest.mark.usefixtures("hands")
def test_a_version_that_is_not_better_leaves_the_old_one_served(shop: Namespace) -> None:
    model = movies(shop, spec__serving={}, spec__evaluation__gate={"minDelta": 0.01})
    train(model)
    first = served(model)

    shop.patch("RecModel", model.name, {"spec": {"model": {"embeddingDim": 8}}})
    train(model, Captions=0.705, Serving=0.70)

    message = model.until_condition("Ready", "False", "GateFailed")
    status = model.until_stage("Rejected")
    assert "0.01" in message
    assert first in message, "what is served meanwhile"
    assert status["stable"]["name"] == first
    assert status["rejected"][0]["reason"] == "GateFailed"
    assert model.condition("GatePassed")["status"] == "False"
    assert model.condition("Serving")["status"] == "True"
    stays("nothing is tried again", model.stages)


@pytest.mark.usefixtures("hands")
def test_going_back_to_the_spec_of_what_is_served_is_enough(shop: Namespace) -> None:
    model = movies(shop, spec__serving={}, spec__evaluation__gate={"minDelta": 0.01})
    train(model)
    first = served(model)
    shop.patch("RecModel", model.name, {"spec": {"model": {"embeddingDim": 8}}})
    train(model, Captions=0.5, Serving=0.7)
    model.until_stage("Rejected")

    shop.patch("RecModel", model.name, {"spec": {"model": {"embeddingDim": 16}}})

    assert served(model) == first
    assert model.condition("Ready")["status"] == "True"


def test_a_candidate_that_never_gets_ready_is_taken_back_and_remembered(
    shop: Namespace, hands: KServe
) -> None:
    model = movies(shop, spec__serving__rollout={"steps": steps(20), "progressDeadline": "8s"})
    train(model)
    first = served(model)
    shop.patch("RecModel", model.name, {"spec": {"model": {"embeddingDim": 8}}})
    model.nodes.succeed(model.job("train"), succeeded("pvc://data/models", f"sha256:{'d' * 64}"))
    second = model.until_stage("Evaluating")["candidate"]["name"]
    hands.broken[model.name, second] = "the bundle cannot be loaded"

    model.nodes.succeed(model.job("evaluate"), evaluated(Captions=0.8, Serving=0.7))

    message = model.until_condition("Ready", "False", "CandidateNotReady")
    assert "the bundle cannot be loaded" in message
    assert model.until_stage("Rejected")["stable"]["name"] == first
    until("the old one is what is deployed", lambda: deployed(model) == first)
    model.until("and answers", answers)

    stays("the same version is not tried again", lambda: (model.stages(), deployed(model)))

    del hands.broken[model.name, second]
    model.retry()
    model.until("tried again", lambda status: status.get("stable", {}).get("name") == second)
    assert served(model) == second


def deployed(model: Resource) -> str:
    [service] = model.children("InferenceService")
    return service["metadata"]["labels"][Labels.RUN]


def answers(status: Object) -> bool:
    return any(each["type"] == "Serving" and each["status"] == "True" for each in status["conditions"])


def test_a_first_version_that_never_gets_ready_is_told(shop: Namespace, hands: KServe) -> None:
    model = movies(shop, spec__serving__rollout__progressDeadline="8s")
    model.nodes.succeed(model.job("train"), succeeded("pvc://data/models"))
    version = model.until_stage("Evaluating")["candidate"]["name"]
    hands.broken[model.name, version] = "out of memory"
    model.nodes.succeed(model.job("evaluate"), evaluated(Captions=0.8))

    assert "out of memory" in model.until_condition("Stalled", "True", "CandidateNotReady")
    assert model.condition("Serving")["status"] == "False"


@pytest.mark.usefixtures("hands")
def test_a_newer_spec_overtakes_a_rollout(shop: Namespace) -> None:
    model = movies(shop, spec__serving__rollout__steps=steps(10, pause="10m"))
    train(model)
    first = served(model)
    shop.patch("RecModel", model.name, {"spec": {"model": {"embeddingDim": 8}}})
    train(model, f"sha256:{'e' * 64}", Captions=0.8, Serving=0.7)
    second = model.until_stage("RollingOut")["candidate"]["name"]

    shop.patch(
        "RecModel",
        model.name,
        {"spec": {"model": {"embeddingDim": 4}, "serving": {"rollout": {"steps": []}}}},
    )
    model.until("the second is given up", lambda status: status["candidate"]["name"] != second)
    train(model, f"sha256:{'f' * 64}", Captions=0.8, Serving=0.7)

    model.until("the third is served", lambda status: status["stable"]["name"] not in {first, second})
    served(model)


@pytest.mark.usefixtures("hands")
def test_standard_mode_switches_a_service_of_ours(shop: Namespace) -> None:
    model = movies(shop, spec__serving__mode="Standard")
    train(model)
    first = served(model)
    assert selected(model) == first

    shop.patch("RecModel", model.name, {"spec": {"model": {"embeddingDim": 8}}})
    train(model, f"sha256:{'b' * 64}", Captions=0.8, Serving=0.7)
    model.until("the second is served", lambda status: status.get("stable", {}).get("name") != first)

    second = served(model)
    assert selected(model) == second
    services = {each["metadata"]["labels"][Labels.RUN] for each in model.children("InferenceService")}
    assert second in services
    for each in model.children("InferenceService"):
        assert each["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"


def selected(model: Resource) -> str:
    [service] = model.children("Service")
    assert service["metadata"]["name"] == model.name
    return service["spec"]["selector"][Labels.RUN]


@pytest.mark.usefixtures("hands")
def test_not_to_be_served_any_more(shop: Namespace) -> None:
    model = movies(shop, spec__serving={})
    train(model)
    served(model)

    shop.patch("RecModel", model.name, {"spec": {"serving": None}})

    until("nothing is deployed", lambda: not model.children("InferenceService"))
    model.until("nothing is stable", lambda status: "stable" not in status and "url" not in status)


@pytest.mark.usefixtures("hands")
def test_deleting_it_deletes_what_serves_it(shop: Namespace) -> None:
    model = movies(shop, spec__serving={})
    train(model)
    served(model)

    shop.delete("RecModel", model.name)

    until("nothing is left", lambda: not [*model.children("InferenceService"), *model.children("Job")])


@pytest.mark.usefixtures("hands")
def test_nothing_is_written_when_nothing_has_changed(shop: Namespace) -> None:
    model = movies(shop, spec__serving={})
    train(model)
    served(model)

    def versions() -> list[str]:
        [service] = model.children("InferenceService")
        return [each["metadata"]["resourceVersion"] for each in (model.object, service)]

    stays("model and service are left alone", versions)


def test_several_nodes_train_as_an_indexed_job_that_only_they_can_talk_to(shop: Namespace) -> None:
    model = movies(shop, spec__training={"nodes": 2, "launcher": "Job"})
    job = model.job("train")
    name = job["metadata"]["name"]
    assert (job["spec"]["completionMode"], job["spec"]["completions"]) == ("Indexed", 2)
    assert job["spec"]["template"]["spec"]["subdomain"] == name
    assert shop.get("Service", name)["spec"]["clusterIP"] == "None"
    assert shop.get("NetworkPolicy", name)["spec"]["policyTypes"] == ["Ingress"]

    model.nodes.succeed(job, succeeded("pvc://data/models"), Outcome(result="Succeeded"))
    model.nodes.succeed(model.job("evaluate"), evaluated(Captions=0.7))

    assert model.until_stage("Complete")["candidate"]["digest"] == DIGEST
    until("their meeting place is gone", lambda: not shop.find("Service", name))


def test_a_launcher_that_the_cluster_lacks_is_asked_for(shop: Namespace) -> None:
    model = movies(shop, spec__training={"nodes": 2, "launcher": "TrainJob"})
    said = model.until_condition("Ready", "False", "LauncherNotInstalled")
    assert "github.com/kubeflow/trainer" in said


def test_another_gate_judges_again_what_was_measured(shop: Namespace) -> None:
    evaluation = {"gate": {"against": ["WithoutCaptions"], "minDelta": 0.1}}
    captioned_by = [{"captionJob": captions(shop)}]
    model = movies(shop, spec__features__captions=captioned_by, spec__evaluation=evaluation)
    for arm in ARMS:
        model.nodes.succeed(model.job(arm), succeeded("pvc://data/models"))
    numbers = evaluated(Captions=0.72, WithoutCaptions=0.70, ShuffledCaptions=0.69)
    model.nodes.succeed(model.job("evaluate"), numbers)
    model.until_condition("GatePassed", "False", "GateFailed")
    before = {job["metadata"]["uid"] for job in model.children("Job")}

    model.spec(evaluation={"gate": {"against": ["WithoutCaptions"], "minDelta": 0.01}})

    model.until_condition("GatePassed", "True", "Complete")
    assert {job["metadata"]["uid"] for job in model.children("Job")} == before
