"""Pods that do one piece of work together: how they find each other and what starts them.

An Indexed Job with a headless Service, a JobSet, or a Kubeflow TrainJob with a TrainingRuntime of its own.
All three run the same pods. They meet by torchrun's c10d rendezvous at the stable DNS name of pod 0, which
hosts the store; a NetworkPolicy lets nobody else in. Node number and count come in torchrun's own variables
(`PET_*`) and Kubernetes' `JOB_COMPLETION_INDEX`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from fathom_operator.kube.resources import (
    JOB_SETS,
    JOBS,
    NETWORK_POLICIES,
    SERVICES,
    TRAIN_JOBS,
    TRAINING_RUNTIMES,
    Obj,
)
from fathom_operator.owner import Owner
from fathom_operator.views import REPLICATED_JOB, child_job

Launcher = Literal["Job", "JobSet", "TrainJob"]
RENDEZVOUS_PORT: Final = 29400


@dataclass(frozen=True)
class Together:
    """How many pods work together, by what they are started and how often their processes start again."""

    nodes: int
    launcher: Launcher
    max_restarts: int

    def env(self, name: str) -> tuple[Obj, ...]:
        """Return the variables by which torchrun in the pods of work `name` finds the others."""
        host = f"{name}-0" if self.launcher == "Job" else f"{child_job(name)}-0"
        values = {
            "PET_NNODES": str(self.nodes),
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ENDPOINT": f"{host}.{name}:{RENDEZVOUS_PORT}",
            "PET_RDZV_ID": name,
            "PET_MAX_RESTARTS": str(self.max_restarts),
        }
        # The address that process 0 tells the others: names of pods other than the first may come late.
        address = {"name": "PET_LOCAL_ADDR", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        return (*({"name": key, "value": value} for key, value in values.items()), address)


@dataclass(frozen=True)
class Pods:
    """The pods of one piece of work: its name, labels (`queue` for what is queued) and their template."""

    owner: Owner
    name: str
    labels: dict[str, str]
    queue: dict[str, str]
    template: Obj
    failure_policy: Obj
    backoff_limit: int


def objects(pods: Pods, together: Together) -> tuple[Obj, ...]:
    """Return what runs `pods`, what it needs first."""
    return (_network_policy(pods), *_LAUNCHERS[together.launcher](pods, together))


def _network_policy(pods: Pods) -> Obj:
    """Return a policy by which only pods of the same work reach these: gloo and NCCL ask for no password."""
    selector = {"matchLabels": pods.labels}
    spec: Obj = {
        "podSelector": selector,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": selector}]}],
    }
    return pods.owner.child(NETWORK_POLICIES, pods.name, pods.labels, {"spec": spec})


def _indexed_job(pods: Pods, together: Together) -> tuple[Obj, ...]:
    service: Obj = {
        "clusterIP": "None",
        "selector": pods.labels,
        # They meet before they are ready, if they ever say they are.
        "publishNotReadyAddresses": True,
        "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT, "protocol": "TCP"}],
    }
    template = pods.template | {"spec": pods.template["spec"] | {"subdomain": pods.name}}
    # One pod that dies may take all others with it.
    job = _job_spec(pods, together, template, pods.backoff_limit * together.nodes)
    return (
        pods.owner.child(SERVICES, pods.name, pods.labels, {"spec": service}),
        pods.owner.child(JOBS, pods.name, pods.labels | pods.queue, {"spec": job}),
    )


def _job_set(pods: Pods, together: Together) -> tuple[Obj, ...]:
    labels = pods.labels | pods.queue
    return (pods.owner.child(JOB_SETS, pods.name, labels, {"spec": _job_set_spec(pods, together)}),)


def _train_job(pods: Pods, together: Together) -> tuple[Obj, ...]:
    """Return a TrainJob and its runtime.

    The runtime holds the whole pod, so that nothing of it depends on the runtimes that are installed.
    """
    runtime = {"spec": {"template": {"spec": _job_set_spec(pods, together)}}}
    reference = {"apiGroup": TRAINING_RUNTIMES.group, "kind": TRAINING_RUNTIMES.kind, "name": pods.name}
    return (
        pods.owner.child(TRAINING_RUNTIMES, pods.name, pods.labels, runtime),
        pods.owner.child(
            TRAIN_JOBS, pods.name, pods.labels | pods.queue, {"spec": {"runtimeRef": reference}}
        ),
    )


def _job_set_spec(pods: Pods, together: Together) -> Obj:
    # A pod that dies fails its Job, and the JobSet starts all of them anew: so backoffLimit is the JobSet's.
    job = {"spec": _job_spec(pods, together, pods.template, 0)}
    invalid = {"name": "invalid", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
    return {
        "network": {
            "enableDNSHostnames": True,
            "subdomain": pods.name,
            "publishNotReadyAddresses": True,
        },
        "failurePolicy": {"maxRestarts": pods.backoff_limit, "rules": [invalid]},
        "replicatedJobs": [{"name": REPLICATED_JOB, "replicas": 1, "template": job}],
    }


def _job_spec(pods: Pods, together: Together, template: Obj, backoff_limit: int) -> Obj:
    return {
        "parallelism": together.nodes,
        "completions": together.nodes,
        "completionMode": "Indexed",
        "backoffLimit": backoff_limit,
        "podFailurePolicy": pods.failure_policy,
        "podReplacementPolicy": "Failed",
        "template": template,
    }


_LAUNCHERS: Final[dict[Launcher, Callable[[Pods, Together], tuple[Obj, ...]]]] = {
    "Job": _indexed_job,
    "JobSet": _job_set,
    "TrainJob": _train_job,
}
