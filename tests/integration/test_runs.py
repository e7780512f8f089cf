"""Runs of a CaptionJob: at rest, by schedule, on request, with a borrowed model, to the end of its life."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders.manifests import caption_job
from builders.outcomes import captioned, featurised, succeeded
from integration.kube import Namespace, Object
from integration.waiting import stays, until
from integration.world import Resource, submit, unique

from fathom_api.meta import Annotations
from fathom_api.progress import Outcome

PAIRS = {"uri": "pvc://media/pairs.parquet"}
#: A year's one time of a schedule is far away whenever the tests run.
RARELY = {"schedule": "0 0 29 2 *"}


def catalog(shop: Namespace, **changes: Any) -> Resource:
    return submit(shop, caption_job(unique("catalog"), **changes))


def work(job: Resource, outcome: Outcome, features: Outcome | None = None) -> Object:
    """Do the work of a run and return the status after it."""
    job.planned(outcome.progress.total).nodes.succeed(job.job("caption"), outcome)
    job.nodes.succeed(job.job("featurise"), features or featurised())
    return job.until_stage("Complete")


def task_of(job: Resource, stage: str) -> Object:
    [config] = job.children("ConfigMap", stage)
    return json.loads(config["data"]["task.json"])


def test_a_rest_stops_the_pods_and_the_work_goes_on_from_there(shop: Namespace) -> None:
    job = catalog(shop)
    running = job.planned(50).job("caption")
    job.nodes.start(running)
    job.until_stage("Captioning")

    job.spec(suspend=True)
    resting = until("the Job rests", lambda: _suspended(job, True))
    assert resting["metadata"]["annotations"][Annotations.SUSPENDED] == "true"
    job.nodes.halt(resting)
    job.until_stage("Suspended")
    assert "suspended" in job.until_condition("Ready", "False", "Suspended")

    job.spec(suspend=False)
    going = until("the Job goes on", lambda: _suspended(job, False))
    assert going["metadata"]["uid"] == running["metadata"]["uid"]
    assert Annotations.SUSPENDED not in going["metadata"]["annotations"]
    job.nodes.succeed(going, captioned())
    job.nodes.succeed(job.job("featurise"), featurised())
    job.until_stage("Complete")


def _suspended(job: Resource, suspended: bool) -> Object | None:
    made = job.job("caption")
    return made if bool(made["spec"].get("suspend")) is suspended else None


def test_a_queue_owns_the_suspension_of_its_jobs(shop: Namespace) -> None:
    job = catalog(shop, spec__queueName="gpus")
    first = job.planned(50).job("caption")
    assert "f:suspend" not in json.dumps(_fields_of_ours(first))
    # The queue takes its quota back, and gives it again.
    for suspend in (True, False):
        shop.patch("Job", first["metadata"]["name"], {"spec": {"suspend": suspend}})
        stays("nobody else says", lambda: job.job("caption")["spec"]["suspend"])

    job.spec(suspend=True)
    until("it is queued no more", lambda: not job.children("Job", "caption"))
    job.until_stage("Suspended")

    job.spec(suspend=False)
    again = job.job("caption")
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    job.nodes.succeed(again, captioned())
    job.nodes.succeed(job.job("featurise"), featurised())
    job.until_stage("Complete")


def _fields_of_ours(job: Object) -> list[Object]:
    return [
        each["fieldsV1"] for each in job["metadata"]["managedFields"] if each["manager"] == "fathom-operator"
    ]


def test_a_run_that_is_due_brings_new_features_while_the_old_ones_stay_in_use(shop: Namespace) -> None:
    job = catalog(shop, spec__refresh=RARELY)
    first = work(job, captioned())
    assert first["run"]["nextTime"] > first["run"]["lastSuccessTime"]
    # A begin so long ago that the schedule has come since: the same as having waited.
    shop.patch_status("CaptionJob", job.name, {"run": {"startTime": "2020-01-01T00:00:00Z"}})

    status = job.until_stage("Planning")
    assert task_of(job, "plan")["run"] == 2
    assert status["features"] == first["features"]
    assert (job.condition("Ready")["status"], job.condition("Reconciling")["status"]) == ("True", "True")

    other = featurised(f"sha256:{'b' * 64}")
    status = work(job, captioned(done=60, reused=50), other)
    assert status["features"]["digest"] == other.digest
    assert status["items"]["reused"] == 50
    assert status["run"]["number"] == 2
    assert job.stages() == ["caption", "featurise", "plan"], "those of the first run are gone"


@pytest.mark.parametrize(
    "refresh",
    [
        pytest.param({"schedule": "0 25 * * *"}, id="an hour that no day has"),
        pytest.param({"schedule": "@daily", "timeZone": "Mars/Olympus"}, id="a zone far away"),
    ],
)
def test_a_schedule_that_is_none_is_told_at_once(shop: Namespace, refresh: dict[str, str]) -> None:
    job = catalog(shop, spec__refresh=refresh)
    assert "spec.refresh." in job.until_condition("Stalled", "True", "InvalidSpec")
    assert job.stages() == []


def test_items_that_failed_are_tried_again_on_request(shop: Namespace) -> None:
    job = catalog(shop)
    assert work(job, captioned(done=98, failed=2))["items"]["failed"] == 2

    job.retry()

    job.planned(100).job("caption")
    assert task_of(job, "caption")["retryFailed"] is True
    job.nodes.succeed(job.job("caption"), captioned(done=100, reused=98))
    job.nodes.succeed(job.job("featurise"), featurised())
    status = job.until_stage("Complete")
    assert status["items"] == {"total": 100, "done": 100, "failed": 0, "reused": 98}
    assert "errorsUri" not in status
    stays("once is enough", lambda: job.status["run"]["number"])


def test_the_model_of_another_captionjob_is_waited_for(shop: Namespace) -> None:
    name = unique("lesson")
    job = catalog(shop, spec__model={"captionJob": name})
    job.planned(50)
    assert name in job.until_condition("Stalled", "True", "MissingCaptionJob")

    lesson = submit(shop, caption_job(name, spec__fineTune=PAIRS, spec__output__uri="pvc://features/lesson"))
    assert name in job.until_condition("Ready", "False", "WaitingForDependency")
    model = succeeded("pvc://features/lesson/model", f"sha256:{'c' * 64}")
    lesson.planned(50).nodes.succeed(lesson.job("finetune"), model)

    assert job.job("caption")
    used = task_of(job, "caption")["model"]
    assert (used["uri"], used["digest"]) == ("pvc://features/lesson/model", model.digest)


def test_a_captionjob_that_teaches_nothing_is_no_model(shop: Namespace) -> None:
    other = catalog(shop)
    job = catalog(shop, spec__model={"captionJob": other.name})
    assert "has no spec.fineTune" in job.until_condition("Stalled", "True", "InvalidSpec")


def test_a_run_that_takes_too_long_is_stopped(shop: Namespace) -> None:
    job = catalog(shop, spec__activeDeadlineSeconds=2)
    assert "spec.activeDeadlineSeconds" in job.until_condition("Stalled", "True", "DeadlineExceeded")
    assert job.status["stage"] == "Failed"
    assert job.job("plan")["spec"]["suspend"] is True

    job.spec(activeDeadlineSeconds=3600)
    until("it goes on", lambda: not job.job("plan")["spec"]["suspend"])
    assert work(job, captioned())["run"]["number"] == 1


def test_it_is_gone_some_time_after_its_end_and_its_data_are_not(shop: Namespace) -> None:
    job = catalog(shop, spec__ttlSecondsAfterFinished=2)
    work(job, captioned())
    until("it is gone", lambda: not shop.find("CaptionJob", job.name))
    until("and what was made for it", lambda: not job.children("Job") and not job.children("ConfigMap"))
    assert shop.find("PersistentVolumeClaim", "features")
