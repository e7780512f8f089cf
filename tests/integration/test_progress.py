"""Pods tell how far they are: the workloads' reporter against the operator's endpoint, both real."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from builders.manifests import caption_job
from integration.kube import Namespace, Object
from integration.waiting import until
from integration.world import Resource, submit, unique

from fathom.progress import reporter
from fathom_api.progress import AUDIENCE, ENV_CA_FILE, ENV_TOKEN_FILE, ENV_URL, Progress


@dataclass
class Pod:
    """A running pod as it sees itself: what its environment and its files say."""

    job: Resource
    object: Object
    environment: dict[str, str]
    ca: Path

    def token(self, audience: str = AUDIENCE, account: str = "default") -> str:
        return self.job.namespace.token(account, audience, self.object)

    def post(self, token: str, body: str = '{"total": 10, "done": 4}') -> int:
        """Return the code with which the endpoint answers."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with httpx.Client(verify=ssl.create_default_context(cafile=self.ca), timeout=10) as client:
            return client.post(self.environment[ENV_URL], content=body, headers=headers).status_code


@pytest.fixture
def pod(shop: Namespace, tmp_path: Path) -> Pod:
    """Return the first pod of a CaptionJob."""
    job = submit(shop, caption_job(unique("catalog"), spec__shards=2, spec__parallelism=2))
    made = job.planned().job("caption")
    pods = job.nodes.start(made)
    [config] = job.children("ConfigMap", "caption")
    (tmp_path / "ca.crt").write_text(config["data"]["ca.crt"])
    variables = made["spec"]["template"]["spec"]["containers"][0]["env"]
    return Pod(job, pods[0], {each["name"]: each.get("value", "") for each in variables}, tmp_path / "ca.crt")


def test_what_a_pod_reports_is_seen_in_the_status(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(pod.token())
    monkeypatch.setenv(ENV_URL, pod.environment[ENV_URL])
    monkeypatch.setenv(ENV_TOKEN_FILE, str(tmp_path / "token"))
    monkeypatch.setenv(ENV_CA_FILE, str(pod.ca))

    with reporter() as pod_reports:
        pod_reports.update(Progress(total=40, done=10, failed=1, reused=2, samples=["A cat."]))

    status = pod.job.until("the items are seen", lambda status: status.get("items", {}).get("done") == 10)
    assert status["items"] == {"total": 80, "done": 10, "failed": 1, "reused": 2}, (
        "the other shard is as large"
    )
    assert status["stage"] == "Captioning"
    assert status["percent"] == 13
    assert status["sampleCaptions"] == ["A cat."]
    assert status["lastProgressTime"] >= status["startTime"]


def test_the_pods_add_up(pod: Pod) -> None:
    other = Pod(pod.job, pod.job.children("Pod", "caption")[-1], pod.environment, pod.ca)
    assert other.object["metadata"]["name"] != pod.object["metadata"]["name"]

    assert pod.post(pod.token(), '{"total": 30, "done": 10, "per_second": 1.5}') < 300
    assert other.post(other.token(), '{"total": 10, "done": 5, "per_second": 0.5}') < 300

    status = pod.job.until("both are seen", lambda status: status.get("items", {}).get("done") == 15)
    assert status["items"]["total"] == 40
    assert status["itemsPerSecond"] == 2.0
    assert status["estimatedCompletionTime"]


def test_the_last_commit_is_on_the_job_for_whoever_preempts(pod: Pod) -> None:
    assert pod.post(pod.token(), '{"total": 10, "done": 4, "committedAt": 1750000000}') < 300

    pod.job.until("it is seen", lambda status: status.get("lastCheckpointTime") == "2025-06-15T15:06:40Z")
    marked = until(
        "the Job says it",
        lambda: pod.job.job("caption")["metadata"]["annotations"].get("fathom.dev/last-checkpoint-time"),
    )
    assert marked == "2025-06-15T15:06:40Z"


def test_what_nobody_may_say_is_not_heard(pod: Pod) -> None:
    stranger = pod.job.namespace.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": unique("stranger"),
                # Labels are free for all to set: they must not be what is believed.
                "labels": pod.object["metadata"]["labels"],
            },
            "spec": {"containers": [{"name": "fathom", "image": "x"}]},
        }
    )
    foreign = Pod(pod.job, stranger, pod.environment, pod.ca)
    unbound = pod.job.namespace.token("default", AUDIENCE)

    assert pod.post("") == 401
    assert pod.post("nonsense") == 403
    assert pod.post(pod.token(audience="https://kubernetes.default.svc")) == 403
    assert foreign.post(foreign.token()) == 403
    assert pod.post(unbound) == 403

    # A word that is heard after all of these shows that none of them was.
    assert pod.post(pod.token(), '{"total": 7, "done": 7}') < 300
    status = pod.job.until("the right one is seen", lambda status: status.get("items", {}).get("done"))
    assert status["items"]["done"] == 7


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("{", id="no JSON"),
        pytest.param('{"total": "many"}', id="not numbers"),
        pytest.param('{"samples": ["' + "x" * 200_000 + '"]}', id="far too much"),
    ],
)
def test_what_makes_no_sense_is_refused(pod: Pod, body: str) -> None:
    assert 400 <= pod.post(pod.token(), body) < 500


def test_a_pod_that_is_gone_is_not_heard(pod: Pod) -> None:
    token = pod.token()
    name = pod.object["metadata"]["name"]
    pod.job.namespace.delete("Pod", name)
    until("it is gone", lambda: pod.job.namespace.find("Pod", name) is None)

    assert pod.post(token) == 403
