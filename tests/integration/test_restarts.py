"""The operator dies, whenever it likes: what was begun is finished, once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders.manifests import caption_job, rec_model, steps
from builders.outcomes import captioned, evaluated, featurised, planned, succeeded
from integration.kserve import KServe
from integration.kube import Cluster, Namespace, Object
from integration.operator_process import Operator, operator, ready
from integration.waiting import stays, until
from integration.world import Resource, finished, submit

from fathom_api.meta import Labels
from fathom_api.progress import Outcome

PAIRS = {"uri": "pvc://media/pairs.parquet"}
OUTCOMES = {
    "plan": planned(50),
    "finetune": succeeded("pvc://features/catalog/model"),
    "caption": captioned(),
    "featurise": featurised(),
}


@dataclass
class Lives:
    """A namespace whose operator is killed and started again."""

    namespace: Namespace
    kubeconfig: Path
    log: Path

    @contextmanager
    def life(self) -> Generator[Operator]:
        """Let the operator live, and kill it."""
        with operator(self.kubeconfig, self.namespace, self.log) as running:
            yield running


@pytest.fixture
def lives(kserve: Cluster, kubeconfig: Path, namespace: Namespace, tmp_path: Path) -> Lives:
    """Return a namespace without a living operator."""
    return Lives(namespace, kubeconfig, tmp_path / "operator.log")


def jobs_made(namespace: Namespace, since: str) -> Counter[str]:
    """Return how many Jobs were ever made for each stage."""
    jobs = namespace.made_since("Job", since)
    return Counter(job["metadata"]["labels"][Labels.STAGE] for job in jobs)


def test_killed_at_every_stage_of_a_caption_job(lives: Lives) -> None:
    since = lives.namespace.version("Job")
    job = submit(lives.namespace, caption_job(spec__fineTune=PAIRS))
    for stage, outcome in OUTCOMES.items():
        with lives.life():
            running = job.job(stage)
        with lives.life() as again:
            ready(again)
            assert stays("the Job is found again", lambda stage=stage: uid(job.job(stage))) == uid(running)
        # It ends while nobody looks.
        job.nodes.succeed(running, outcome)
    with lives.life():
        status = job.until_stage("Complete")

    assert jobs_made(lives.namespace, since) == {"plan": 1, "finetune": 1, "caption": 1, "featurise": 1}
    assert status["items"]["done"] == 50
    assert status["features"]["digest"] == OUTCOMES["featurise"].digest


def uid(obj: dict[str, dict[str, str]]) -> str:
    return obj["metadata"]["uid"]


def test_killed_at_any_moment(lives: Lives) -> None:
    since = lives.namespace.version("Job")
    job = submit(lives.namespace, caption_job(spec__fineTune=PAIRS))
    for life in range(4):
        with lives.life() as operator:
            ready(operator)
            work_for(0.15 * life, job)
    with lives.life():
        until("all is done", lambda: do_what_is_there(job) or job.status.get("stage") == "Complete")

    assert jobs_made(lives.namespace, since) == {"plan": 1, "finetune": 1, "caption": 1, "featurise": 1}


def work_for(seconds: float, job: Resource) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        do_what_is_there(job)


def do_what_is_there(job: Resource) -> None:
    for each in job.children("Job"):
        if not finished(each):
            job.nodes.succeed(each, OUTCOMES[each["metadata"]["labels"][Labels.STAGE]])


def test_killed_at_every_stage_of_a_rec_model(lives: Lives) -> None:
    since = lives.namespace.version("Job")
    services = lives.namespace.version("InferenceService")
    serving = {"rollout": {"steps": steps(10, 50, pause="500ms")}}
    model = submit(lives.namespace, rec_model(spec__serving=serving))
    make_a_version(lives, model, evaluated(Captions=0.7))
    first = bring_up(lives, model, lambda status: "stable" in status)["stable"]["name"]

    lives.namespace.patch("RecModel", model.name, {"spec": {"model": {"embeddingDim": 8}}})
    make_a_version(lives, model, evaluated(Captions=0.8, Serving=0.7))
    bring_up(lives, model, lambda status: status.get("rollout", {}).get("weight") == 10)
    bring_up(lives, model, lambda status: status.get("rollout", {}).get("weight") == 50)
    status = bring_up(lives, model, lambda status: status["stable"]["name"] != first)

    assert jobs_made(lives.namespace, since) == {"train": 2, "evaluate": 2}
    assert len(lives.namespace.made_since("InferenceService", services)) == 1
    assert [each["name"] for each in status["history"]] == [status["stable"]["name"], first]
    with lives.life():
        assert model.until_stage("Serving").get("rejected", []) == []


def make_a_version(lives: Lives, model: Resource, measured: Outcome) -> None:
    """Train and evaluate; the operator dies as soon as there is a Job, and again before it ends."""
    for stage, outcome in (("train", succeeded("pvc://data/models")), ("evaluate", measured)):
        with lives.life():
            running = model.job(stage)
        model.nodes.succeed(running, outcome)


def bring_up(lives: Lives, model: Resource, holds: Callable[[Object], bool]) -> Object:
    """Let the operator live, and KServe with it, until `holds` of the status."""
    with KServe(lives.namespace).playing(), lives.life():
        return model.until("a step further", holds)


def test_a_failure_that_nobody_saw_is_told_later(lives: Lives) -> None:
    job = submit(lives.namespace, caption_job())
    with lives.life():
        running = job.job("plan")
    job.nodes.fail(running, OUTCOMES["plan"].model_copy(update={"result": "Failed", "message": "No."}))

    with lives.life():
        assert "No." in job.until_condition("Stalled", "True", "JobFailed")


def test_a_resource_deleted_while_nobody_looked_leaves_nothing(lives: Lives) -> None:
    job = submit(lives.namespace, caption_job())
    with lives.life():
        job.job("plan")
    lives.namespace.delete("CaptionJob", job.name)

    with lives.life() as again:
        ready(again)
        until("its Job is gone", lambda: not job.children("Job"))
        stays("and stays gone", lambda: len(job.children("Job")))
