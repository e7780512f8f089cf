"""Plays the Job controller and the kubelet: starts the pods of a Job, lets them speak, ends them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from integration.kube import Namespace, Object
from integration.waiting import until

from fathom_api.meta import ExitCode
from fathom_api.progress import Outcome


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(kind: str, reason: str = "", message: str = "") -> Object:
    now = _now()
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": now,
        "lastTransitionTime": now,
    }


@dataclass(frozen=True)
class Nodes:
    """The cluster's hands in one namespace."""

    namespace: Namespace

    def start(self, job: Object) -> list[Object]:
        """Start the Job's pods, as many as it wants at once, and return them running."""
        spec = job["spec"]
        pods = [self._pod(job, index) for index in range(min(spec["parallelism"], spec["completions"]))]
        self._job_status(job, {"startTime": _now(), "active": len(pods), "ready": len(pods)})
        return pods

    def succeed(self, job: Object, *outcomes: Outcome) -> None:
        """End the Job well: one outcome for every completion, the last for all that have none."""
        pods = self.start(job)
        count: int = job["spec"]["completions"]
        pods += [self._pod(job, index) for index in range(len(pods), count)]
        for index, pod in enumerate(pods):
            self._end(pod, ExitCode.OK, outcomes[min(index, len(outcomes) - 1)])
        indexed = job["spec"].get("completionMode") == "Indexed"
        self._job_status(
            job,
            {
                "active": 0,
                "ready": 0,
                "succeeded": count,
                **({"completedIndexes": f"0-{count - 1}" if count > 1 else "0"} if indexed else {}),
                "conditions": [_condition("SuccessCriteriaMet", "CompletionsReached")],
            },
        )
        self._end_job(job, "Complete", "CompletionsReached")

    def halt(self, job: Object) -> None:
        """End the pods of a Job that has been suspended; it begins anew when it is resumed."""
        for pod in self._pods(job):
            self.namespace.delete("Pod", pod["metadata"]["name"])
        self._job_status(job, {"startTime": None, "active": 0, "ready": 0})

    def fail(self, job: Object, outcome: Outcome, code: int = ExitCode.INVALID) -> None:
        """End the Job badly, by the pod failure policy or because it was tried too often."""
        pods = self.start(job)
        self._end(pods[0], code, outcome)
        reason = "PodFailurePolicy" if code == ExitCode.INVALID else "BackoffLimitExceeded"
        failed = {"active": 0, "ready": 0, "failed": 1, "conditions": [_condition("FailureTarget", reason)]}
        self._job_status(job, failed)
        self._end_job(job, "Failed", reason)

    def _end_job(self, job: Object, kind: str, reason: str) -> None:
        before = self.namespace.get("Job", job["metadata"]["name"])["status"]["conditions"]
        finished = {"completionTime": _now()} if kind == "Complete" else {}
        self._job_status(job, {"conditions": [*before, _condition(kind, reason)], **finished})

    def _job_status(self, job: Object, status: Object) -> None:
        base = {"uncountedTerminatedPods": {}, "terminating": 0}
        self.namespace.patch_status("Job", job["metadata"]["name"], {**base, **status})

    def _pod(self, job: Object, index: int) -> Object:
        """Return the pod of `index`, made and running."""
        template = job["spec"]["template"]
        account = template["spec"].get("serviceAccountName", "default")
        until(f"service account {account}", lambda: self.namespace.find("ServiceAccount", account))
        meta = job["metadata"]
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
        }
        pod = self.namespace.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{meta['name']}-{index}-{len(self._pods(job)):05d}",
                    "labels": template["metadata"].get("labels", {})
                    | {"batch.kubernetes.io/job-name": meta["name"], "job-name": meta["name"]},
                    "annotations": template["metadata"].get("annotations", {})
                    | {"batch.kubernetes.io/job-completion-index": str(index)},
                    "ownerReferences": [owner],
                },
                "spec": template["spec"],
            }
        )
        return self._pod_status(pod, "Running", {"running": {"startedAt": _now()}})

    def _pods(self, job: Object) -> list[Object]:
        return self.namespace.list("Pod", f"batch.kubernetes.io/job-name={job['metadata']['name']}")

    def _end(self, pod: Object, code: int, outcome: Outcome) -> None:
        terminated = {
            "exitCode": int(code),
            "reason": "Completed" if code == ExitCode.OK else "Error",
            "message": outcome.model_dump_json(by_alias=True, exclude_none=True),
            "startedAt": _now(),
            "finishedAt": _now(),
        }
        self._pod_status(pod, "Succeeded" if code == ExitCode.OK else "Failed", {"terminated": terminated})

    def _pod_status(self, pod: Object, phase: str, state: dict[str, Any]) -> Object:
        container = pod["spec"]["containers"][0]
        status = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "sha256:0",
            "ready": phase == "Running",
            "restartCount": 0,
            "state": state,
        }
        body = {"phase": phase, "startTime": _now(), "containerStatuses": [status]}
        return self.namespace.patch_status("Pod", pod["metadata"]["name"], body)
