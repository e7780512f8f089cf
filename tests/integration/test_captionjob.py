"""A CaptionJob from its manifest to its features, and what can go wrong on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders.manifests import caption_job
from builders.outcomes import captioned, featurised, invalid, succeeded
from integration.kube import Namespace
from integration.waiting import stays, until
from integration.world import Resource, claim, submit, unique

from fathom_api.progress import Outcome, Progress

PAIRS = {"uri": "pvc://media/pairs.parquet", "epochs": 2}


def catalog(shop: Namespace, **changes: object) -> Resource:
    return submit(shop, caption_job(unique("catalog"), **changes))


def complete(job: Resource, shards: tuple[Outcome, ...] = (captioned(),)) -> None:
    """Do the work of a run without fine-tuning."""
    job.planned(sum(shard.progress.total for shard in shards))
    job.nodes.succeed(job.job("caption"), *shards)
    job.nodes.succeed(job.job("featurise"), featurised())


def test_captions_then_features_then_complete(shop: Namespace) -> None:
    job = catalog(shop, spec__shards=2, spec__parallelism=2)
    job.until_stage("Planning")
    assert "startTime" not in job.status

    caption = job.planned(99).job("caption")
    assert (caption["spec"]["completions"], caption["spec"]["parallelism"]) == (2, 2)
    assert caption["spec"]["completionMode"] == "Indexed"
    job.nodes.succeed(caption, captioned(done=50), captioned(done=48, failed=1, reused=3))

    featurise = job.job("featurise")
    assert job.until_stage("Featurising")["items"] == {"total": 99, "done": 98, "failed": 1, "reused": 3}
    job.nodes.succeed(featurise, featurised())

    status = job.until_stage("Complete")
    assert status["percent"] == 100
    assert status["features"]["vocabularySize"] == 40
    assert status["features"]["coverage"] == 0.9
    assert status["features"]["uri"].startswith("pvc://features/catalog/features")
    assert status["sampleCaptions"] == ["A red train on a green hill."]
    assert status["completionTime"] >= status["startTime"] >= status["run"]["startTime"]
    assert status["reportUri"] == "pvc://features/catalog/report/index.html"
    assert job.condition("Ready")["status"] == "True"
    assert job.condition("Reconciling")["status"] == "False"
    assert job.condition("Captioned")["status"] == "True"
    assert status["observedGeneration"] == job.object["metadata"]["generation"]


def test_a_lesson_comes_first_and_its_model_captions(shop: Namespace) -> None:
    job = catalog(shop, spec__fineTune=PAIRS)

    lesson = job.planned(50).job("finetune")
    assert job.stages() == ["finetune", "plan"]
    job.until_stage("FineTuning")
    learnt = Progress(metrics={"epoch": 2.0, "loss": 1.5, "validation_loss": 1.75})
    job.nodes.succeed(lesson, succeeded("pvc://features/catalog/model", progress=learnt))

    job.job("caption")
    assert job.until_stage("Captioning")["fineTune"]["validationLoss"] == 1.75
    assert task_of(job, "caption")["model"]["uri"] == "pvc://features/catalog/model"
    job.nodes.succeed(job.job("caption"), captioned())
    job.nodes.succeed(job.job("featurise"), featurised())
    assert job.until_stage("Complete")["fineTune"]["model"]["uri"] == "pvc://features/catalog/model"


def task_of(job: Resource, stage: str) -> dict[str, Any]:
    """Return the document that the pods of a stage read."""
    [config] = job.children("ConfigMap", stage)
    return json.loads(config["data"]["task.json"])


def test_what_the_template_says_reaches_the_pods(shop: Namespace) -> None:
    job = catalog(
        shop,
        spec__queueName="gpus",
        spec__template={
            "image": "registry.example.com/captioner:1",
            "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "16Gi"}},
            "nodeSelector": {"gpu": "yes"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "runtimeClassName": "nvidia",
            "priorityClassName": "system-cluster-critical",
            "env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            "schedulerName": "bin-packing",
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"fathom.dev/stage": "caption"}},
                }
            ],
        },
    )

    assert "nvidia.com/gpu" not in str(job.job("plan")["spec"]["template"]["spec"]["containers"])
    made = job.planned().job("caption")

    pod = made["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert container["image"] == "registry.example.com/captioner:1"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1", "memory": "16Gi"}
    assert pod["nodeSelector"] == {"gpu": "yes"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert (pod["runtimeClassName"], pod["priorityClassName"]) == ("nvidia", "system-cluster-critical")
    assert pod["schedulerName"] == "bin-packing"
    assert pod["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"
    assert pod["terminationGracePeriodSeconds"] == 120
    assert "HF_TOKEN" in [variable["name"] for variable in container["env"]]
    assert {"name": "scratch", "mountPath": "/scratch"} in container["volumeMounts"]


def test_pods_are_as_restricted_as_kubernetes_can_make_them(shop: Namespace) -> None:
    pod = catalog(shop).planned().job("caption")["spec"]["template"]["spec"]
    [container] = pod["containers"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_only_what_is_written_is_mounted_for_writing(shop: Namespace) -> None:
    pod = catalog(shop).planned().job("caption")["spec"]["template"]["spec"]
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    mounts = {
        claims[mount["name"]]: (mount["mountPath"], mount.get("readOnly", False))
        for mount in pod["containers"][0]["volumeMounts"]
        if mount["name"] in claims
    }
    assert mounts == {
        "media": ("/volumes/media", True),
        "models": ("/volumes/models", True),
        "features": ("/volumes/features", False),
    }


def test_a_missing_claim_is_named_and_waited_for(shop: Namespace) -> None:
    media = unique("media")
    job = catalog(shop, spec__source__uri=f"pvc://{media}/items.parquet")

    message = job.until_condition("Ready", "False", "MissingClaim")
    assert media in message
    assert job.stages() == []

    shop.create(claim(media))
    complete(job)
    job.until_stage("Complete")


def test_wrong_input_stalls_with_the_pods_own_words(shop: Namespace) -> None:
    job = catalog(shop)
    job.nodes.fail(job.job("plan"), invalid("MissingColumn", "items.parquet has no column image"))

    message = job.until_condition("Stalled", "True", "MissingColumn")

    assert "items.parquet has no column image" in message
    assert "fathom.dev/retry" in message
    assert job.until_stage("Failed")
    assert job.condition("Ready")["status"] == "False"
    until("an Event tells it too", lambda: [e for e in events_of(job) if "no column image" in e["message"]])
    stays("no Job is made for it again", job.stages)


def events_of(job: Resource) -> list[dict[str, str]]:
    return [e for e in job.namespace.list("Event") if e["involvedObject"]["name"] == job.name]


def test_a_wrong_column_is_corrected_where_it_is(shop: Namespace) -> None:
    """Nothing is made of the source before the plan is done: until then the spec may change."""
    job = catalog(shop, spec__source__mediaColumn="picture")
    wrong = job.job("plan")
    job.nodes.fail(wrong, invalid("MissingColumn", "items.parquet has no column picture"))
    assert "may still change" in job.until_condition("Stalled", "True", "MissingColumn")

    job.spec(source={"mediaColumn": "image"})

    again = job.job("plan")
    assert again["metadata"]["name"] != wrong["metadata"]["name"]
    complete(job)
    job.until_stage("Complete")


def test_the_retry_annotation_tries_what_failed_again(shop: Namespace) -> None:
    job = catalog(shop)
    failed = job.planned().job("caption")
    job.nodes.fail(failed, invalid())
    job.until_stage("Failed")

    job.retry()

    again = job.planned(50).job("caption")
    assert task_of(job, "caption")["retryFailed"] is True
    assert again["metadata"]["name"] != failed["metadata"]["name"]
    job.nodes.succeed(again, captioned())
    job.nodes.succeed(job.job("featurise"), featurised())
    assert job.until_stage("Complete")["run"]["number"] == 2


def test_a_pod_that_dies_too_often_stalls_the_job(shop: Namespace) -> None:
    job = catalog(shop)
    job.nodes.fail(
        job.planned().job("caption"), Outcome(result="Failed", reason="OutOfMemory", message="No memory."), 1
    )
    assert "No memory." in job.until_condition("Stalled", "True", "OutOfMemory")


@pytest.mark.parametrize(
    ("limit", "failed", "stage"),
    [
        pytest.param("5%", 5, "Complete", id="as many as allowed"),
        pytest.param("5%", 6, "Failed", id="one more than a percentage allows"),
        pytest.param(2, 3, "Failed", id="one more than a number allows"),
        pytest.param(0, 0, "Complete", id="none failed where none may"),
    ],
)
def test_the_failure_budget(shop: Namespace, limit: int | str, failed: int, stage: str) -> None:
    job = catalog(shop, spec__failurePolicy__maxFailedItems=limit)
    job.planned(100).nodes.succeed(job.job("caption"), captioned(done=100 - failed, failed=failed))
    if stage == "Complete":
        job.nodes.succeed(job.job("featurise"), featurised())

    status = job.until_stage(stage)

    assert status["items"]["failed"] == failed
    if stage == "Failed":
        message = job.until_condition("Stalled", "True", "TooManyFailedItems")
        assert str(failed) in message
        assert status["errorsUri"] == "pvc://features/catalog/errors"


def test_what_the_api_server_refuses_about_pods_is_told(shop: Namespace) -> None:
    """The template is handed on as it is, so only the API server can say what is wrong with it."""
    job = catalog(shop, spec__template={"volumeMounts": [{"name": "nowhere", "mountPath": "/x"}]})

    message = job.until_condition("Stalled", "True", "InvalidSpec")
    assert "volumeMounts" in message
    assert "nowhere" in message

    shop.patch("CaptionJob", job.name, {"spec": {"template": {"volumeMounts": []}}})
    complete(job)
    job.until_stage("Complete")


def test_parallelism_follows_while_the_job_runs(shop: Namespace) -> None:
    job = catalog(shop, spec__shards=4, spec__parallelism=1)
    running = job.planned().job("caption")
    job.nodes.start(running)
    job.until_stage("Captioning")

    shop.patch("CaptionJob", job.name, {"spec": {"parallelism": 3}})

    until("the Job follows", lambda: job.job("caption")["spec"]["parallelism"] == 3)
    assert job.job("caption")["metadata"]["uid"] == running["metadata"]["uid"]


def test_nothing_is_written_when_nothing_has_changed(shop: Namespace) -> None:
    job = catalog(shop)
    complete(job)
    job.until_stage("Complete")
    stays("the resource is left alone", lambda: job.object["metadata"]["resourceVersion"])

    job.namespace.patch("CaptionJob", job.name, {"metadata": {"labels": {"team": "films"}}})

    looked_at = job.object["metadata"]["resourceVersion"]
    stays("a label of the user's changes nothing", lambda: job.object["metadata"]["resourceVersion"])
    assert job.object["metadata"]["resourceVersion"] == looked_at


def test_a_job_that_somebody_deleted_is_made_again(shop: Namespace) -> None:
    job = catalog(shop)
    first = job.job("plan")
    shop.delete("Job", first["metadata"]["name"])

    until("a new one", lambda: job.job("plan")["metadata"]["uid"] != first["metadata"]["uid"])
    complete(job)
    job.until_stage("Complete")


def test_deleting_it_deletes_what_was_made_for_it_and_no_claim(shop: Namespace) -> None:
    job = catalog(shop)
    complete(job)
    job.until_stage("Complete")
    assert job.children("Job")
    assert job.children("ConfigMap")

    shop.delete("CaptionJob", job.name)

    until("Jobs and ConfigMaps are gone", lambda: not job.children("Job") and not job.children("ConfigMap"))
    assert shop.find("PersistentVolumeClaim", "features")
    stays("and stay gone", lambda: len(job.children("Job")))


def test_a_resource_of_the_same_name_starts_anew(shop: Namespace) -> None:
    job = catalog(shop)
    complete(job)
    job.until_stage("Complete")

    shop.delete("CaptionJob", job.name)
    again = submit(shop, caption_job(job.name))

    complete(again)
    again.until_stage("Complete")


def test_the_longest_name_and_the_most_shards_leave_room_for_the_names_of_jobs(shop: Namespace) -> None:
    """An Indexed Job's name and highest index must fit a pod's host name together: 63 characters."""
    name = unique("a" * 33)
    assert len(name) == 40
    job = submit(shop, caption_job(name, spec__shards=10_000, spec__fineTune=PAIRS))
    job.planned().nodes.succeed(job.job("finetune"), succeeded())
    assert job.job("caption")["spec"]["completions"] == 10_000


def test_more_failed_items_may_be_allowed_afterwards(shop: Namespace) -> None:
    job = catalog(shop, spec__failurePolicy__maxFailedItems=0)
    job.planned(100).nodes.succeed(job.job("caption"), captioned(done=99, failed=1))
    job.until_condition("Stalled", "True", "TooManyFailedItems")

    shop.patch("CaptionJob", job.name, {"spec": {"failurePolicy": {"maxFailedItems": 1}}})

    job.nodes.succeed(job.job("featurise"), featurised())
    job.until_stage("Complete")


def test_mended_items_are_captioned_on_request(shop: Namespace) -> None:
    job = catalog(shop, spec__failurePolicy__maxFailedItems=0)
    job.planned(100).nodes.succeed(job.job("caption"), captioned(done=99, failed=1))
    assert "fathom.dev/retry" in job.until_condition("Stalled", "True", "TooManyFailedItems")

    job.retry()

    job.planned(100).nodes.succeed(job.job("caption"), captioned(done=100, reused=99))
    job.nodes.succeed(job.job("featurise"), featurised())
    assert job.until_stage("Complete")["items"] == {"total": 100, "done": 100, "failed": 0, "reused": 99}
