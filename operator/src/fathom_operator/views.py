"""What we want to know of Jobs and Pods, read out of the objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kubernetes.utils.quantity import parse_quantity
from pydantic import ValidationError

from fathom_api import Annotations, Labels
from fathom_api.progress import Outcome
from fathom_operator.kube.resources import Obj

#: Name of the container that does the work.
CONTAINER: Final = "fathom"
#: Name of the part of a JobSet that our pods are; short, since names of pods are made from it.
REPLICATED_JOB: Final = "n"
_INDEX: Final = "batch.kubernetes.io/job-completion-index"
#: Reasons for which a container waits that somebody must do something about.
_STUCK: Final = frozenset(
    {
        "ErrImagePull",
        "ErrImageNeverPull",
        "ImagePullBackOff",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)


@dataclass(frozen=True)
class Problem:
    """Why a pod does not start."""

    reason: str
    message: str


@dataclass(frozen=True)
class PodView:
    """A pod of ours."""

    name: str
    uid: str
    stage: str
    run: str
    job: str
    index: int
    phase: str
    created: str
    ready: bool = False
    deleting: bool = False
    problem: Problem | None = None
    exit_code: int | None = None
    #: What the kubelet says of the end: Error, OOMKilled, Completed, …
    end_reason: str = ""
    #: The termination message, and what it says if it is an Outcome.
    last_words: str = ""
    outcome: Outcome | None = None
    #: When the container started and ended.
    started: str | None = None
    ended: str | None = None
    #: What it asks for: CPUs, GiB of memory, other resources by their names.
    requests: Mapping[str, float] = field(default_factory=dict[str, float])
    #: Where it can be reached, and how often its containers were started again.
    ip: str = ""
    restarts: int = 0
    #: Of the model bundle that it serves.
    digest: str = ""

    @property
    def host(self) -> str:
        """Return its address as URLs have it."""
        return f"[{self.ip}]" if ":" in self.ip else self.ip

    @property
    def runs(self) -> bool:
        """Return whether its container runs."""
        return self.started is not None and self.ended is None

    @property
    def active(self) -> bool:
        """Return whether it still does or will do work."""
        return self.phase in {"Pending", "Running"} and not self.deleting


@dataclass(frozen=True)
class JobView:
    """A Job of ours, or a JobSet or TrainJob that makes one."""

    name: str
    stage: str
    run: str
    kind: str = "Job"
    complete: bool = False
    failed: bool = False
    reason: str = ""
    message: str = ""
    suspended: bool = False
    #: Whether a queue decides when it runs, and whether it was us who suspended it.
    queued: bool = False
    halted: bool = False
    active: int = 0
    succeeded: int = 0
    failed_indexes: int = 0
    failed_pods: int = 0
    started: str | None = None
    ended: str | None = None

    #: Whether its pods work together, so that they have a Service and a NetworkPolicy of their own.
    together: bool = False

    @property
    def finished(self) -> bool:
        """Return whether it will not change any more."""
        return self.complete or self.failed

    @property
    def pods_job(self) -> str:
        """Return the name of the Job that makes the pods."""
        return self.name if self.kind == "Job" else child_job(self.name)


def child_job(name: str) -> str:
    """Return the name of the one Job that a JobSet (or a TrainJob's) of this name makes."""
    return f"{name}-{REPLICATED_JOB}-0"


def pod_view(pod: Obj) -> PodView:
    """Return what we want to know of `pod`."""
    meta, status = pod["metadata"], pod.get("status", {})
    labels = meta.get("labels", {})
    state = _container(status).get("state", {})
    terminated = state.get("terminated", {})
    last_words = terminated.get("message", "")
    return PodView(
        name=meta["name"],
        uid=meta["uid"],
        stage=labels.get(Labels.STAGE, ""),
        run=labels.get(Labels.RUN, ""),
        job=_job(meta),
        index=int(meta.get("annotations", {}).get(_INDEX, 0)),
        phase=status.get("phase", "Pending"),
        created=meta.get("creationTimestamp", ""),
        ready=condition(status, "Ready").get("status") == "True",
        deleting="deletionTimestamp" in meta,
        problem=_problem(status),
        exit_code=terminated.get("exitCode"),
        end_reason=terminated.get("reason", ""),
        last_words=last_words,
        outcome=_outcome(last_words),
        started=terminated.get("startedAt") or state.get("running", {}).get("startedAt"),
        ended=terminated.get("finishedAt"),
        requests=_requests(pod.get("spec", {})),
        ip=status.get("podIP", ""),
        restarts=sum(s.get("restartCount", 0) for s in status.get("containerStatuses", [])),
        digest=meta.get("annotations", {}).get(Annotations.DIGEST, ""),
    )


def job_view(job: Obj) -> JobView:
    """Return what we want to know of `job`: a Job, a JobSet or a TrainJob."""
    meta, status, kind = job["metadata"], job.get("status", {}), job.get("kind", "Job")
    complete = condition(status, "Completed" if kind == "JobSet" else "Complete")
    failed = condition(status, "Failed")
    template: Obj = job["spec"].get("template", {}) if kind == "Job" else {}
    end = complete if complete.get("status") == "True" else failed
    return JobView(
        name=meta["name"],
        stage=meta["labels"].get(Labels.STAGE, ""),
        run=meta["labels"].get(Labels.RUN, ""),
        kind=kind,
        together=kind != "Job" or "subdomain" in template.get("spec", {}),
        complete=complete.get("status") == "True",
        failed=failed.get("status") == "True",
        reason=end.get("reason", ""),
        message=end.get("message", ""),
        suspended=bool(job["spec"].get("suspend")),
        queued=Labels.QUEUE in meta["labels"],
        halted=Annotations.SUSPENDED in meta.get("annotations", {}),
        active=status.get("active", 0),
        succeeded=status.get("succeeded", 0),
        failed_indexes=_count_indexes(status.get("failedIndexes", "")),
        failed_pods=status.get("failed", 0),
        started=status.get("startTime"),
        ended=status.get("completionTime") or end.get("lastTransitionTime"),
    )


def requested(resources: Obj) -> dict[str, float]:
    """Return what a container's `resources` ask for, memory in GiB; a limit counts where no request is."""
    amounts = resources.get("limits", {}) | resources.get("requests", {})
    return {
        name: float(parse_quantity(amount)) / (2**30 if name == "memory" else 1)
        for name, amount in amounts.items()
    }


def condition(status: Obj, kind: str) -> dict[str, Any]:
    """Return the condition of this type in an object's status, an empty one if there is none."""
    return next((c for c in status.get("conditions") or [] if c["type"] == kind), {})


def latest_by_index(pods: Iterable[PodView]) -> dict[int, PodView]:
    """Return of each completion index the pod that counts: one that succeeded, or else the newest."""
    out: dict[int, PodView] = {}
    for pod in sorted(pods, key=lambda p: (p.phase == "Succeeded", p.created)):
        out[pod.index] = pod
    return out


def _job(meta: Obj) -> str:
    """Return the Job that made a pod: by owner reference, since labels are anybody's to set."""
    owners: list[Obj] = meta.get("ownerReferences", [])
    return next((o["name"] for o in owners if o.get("controller") and o["kind"] == "Job"), "")


def _container(status: Obj) -> Obj:
    statuses: list[Obj] = status.get("containerStatuses", [])
    return next((s for s in statuses if s["name"] in {CONTAINER, "kserve-container"}), {})


def _requests(spec: Obj) -> dict[str, float]:
    containers: list[Obj] = spec.get("containers", [])
    return requested(next((c.get("resources", {}) for c in containers if c["name"] == CONTAINER), {}))


def _problem(status: Obj) -> Problem | None:
    waiting = _container(status).get("state", {}).get("waiting", {})
    if waiting.get("reason") in _STUCK:
        return Problem(waiting["reason"], waiting.get("message", ""))
    scheduled = condition(status, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return Problem("Unschedulable", scheduled.get("message", ""))
    return None


def _outcome(last_words: str) -> Outcome | None:
    if not last_words.startswith("{"):
        return None
    try:
        return Outcome.model_validate_json(last_words)
    except ValidationError:
        return None


def _count_indexes(intervals: str) -> int:
    """Return how many indexes `"1,3-5"` names."""
    bounds = [part.split("-") for part in intervals.split(",") if part]
    return sum(int(bound[-1]) - int(bound[0]) + 1 for bound in bounds)
