"""What starts a training of several nodes: what was asked for, or the best that the cluster has; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from fathom_api import Reason
from fathom_api.recmodel import Training
from fathom_operator.failures import Failure
from fathom_operator.together import Launcher, Together
from fathom_operator.views import JobView

_INSTALL: Final = {
    "JobSet": "https://github.com/kubernetes-sigs/jobset",
    "TrainJob": "https://github.com/kubeflow/trainer",
}


def together(training: Training, installed: frozenset[str], jobs: Iterable[JobView]) -> Together | None:
    """Return how the pods of a training work together, None for a single one.

    What is at work stays what it is, also when a better launcher is installed meanwhile.
    """
    if training.nodes == 1:
        return None
    return Together(training.nodes, _launcher(training, installed, jobs), training.max_restarts)


def missing(training: Training, installed: frozenset[str]) -> Failure | None:
    """Return what the cluster lacks for the launcher that was asked for."""
    kind = training.launcher
    if training.nodes == 1 or kind in {"Auto", "Job"} or kind in installed:
        return None
    message = (
        f"training.launcher is {kind}, and the cluster has no such kind: install it ({_INSTALL[kind]}), or "
        "set training.launcher to Auto; training begins by itself then"
    )
    return Failure(Reason.LAUNCHER_NOT_INSTALLED, message)


def _launcher(training: Training, installed: frozenset[str], jobs: Iterable[JobView]) -> Launcher:
    if training.launcher != "Auto":
        return training.launcher
    at_work = next((job.kind for job in jobs if job.together and not job.finished), None)
    return cast("Launcher", at_work or ("JobSet" if "JobSet" in installed else "Job"))
