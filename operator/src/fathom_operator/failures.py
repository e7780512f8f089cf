"""Saying why work failed or waits, in the words of who knows best: pod, kubelet, scheduler or Job."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fathom_api import Annotations, ExitCode, Reason
from fathom_operator.views import PodView, Problem
from fathom_operator.work import WorkState

_CAMEL_CASE = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_SIGKILL = 137
RETRY = f"When that is mended, set the annotation {Annotations.RETRY} to a new value, or change the template."


@dataclass(frozen=True)
class Failure:
    """Why something is wrong: a reason for machines, a sentence with the fix for people."""

    reason: str
    message: str


def why_failed(state: WorkState) -> Failure:
    """Return why a Job has failed."""
    ended = [pod for pod in state.pods if pod.phase == "Failed" or pod.exit_code not in {None, 0}]
    # An invalid task fails the Job at once; the pods beside it die of that and have less to say.
    ended.sort(key=lambda pod: (pod.exit_code == ExitCode.INVALID, pod.outcome is not None, pod.created))
    if ended:
        return _of_pod(ended[-1])
    said = f"{state.job.reason}: {state.job.message}" if state.job else "the Job is gone"
    return Failure(Reason.JOB_FAILED, f"{said}. {RETRY}")


def _why_waiting(pods: Iterable[PodView]) -> Failure | None:
    """Return what keeps a pod from starting, None if nothing does."""
    stuck = next((pod for pod in pods if pod.active and pod.problem), None)
    if stuck is None or stuck.problem is None:
        return None
    problem = stuck.problem
    if problem.reason == "CreateContainerConfigError" and "secret" in problem.message.lower():
        message = f"pod {stuck.name} needs a Secret: {problem.message}. Create it; the pod starts by itself."
        return Failure(Reason.MISSING_SECRET, message)
    return Failure(problem.reason, f"pod {stuck.name}: {problem.message or problem.reason}. {_hint(problem)}")


def held_up(state: WorkState, reason: str) -> Failure | None:
    """Return what keeps pods from the work whose reason is `reason`, None if nothing does.

    A missing Secret has a reason of its own: somebody must help.
    """
    job = state.job
    if job is not None and job.suspended and not job.halted:
        return Failure(Reason.QUEUED, f"{job.kind} {job.name} is suspended: it waits for its queue")
    waiting = _why_waiting(state.pods)
    if waiting is None or waiting.reason == Reason.MISSING_SECRET:
        return waiting
    return Failure(reason, waiting.message)


def missing_claims(claims: Iterable[str], namespace: str, what: str = "work") -> Failure:
    """Return that claims which the spec names are not there; `what` begins once they are."""
    message = (
        f"no PersistentVolumeClaim {', '.join(sorted(claims))} in namespace {namespace}: create it, or "
        f"correct the pvc:// URIs in the spec; {what} begins by itself then"
    )
    return Failure(Reason.MISSING_CLAIM, message)


def _of_pod(pod: PodView) -> Failure:
    outcome = pod.outcome
    if outcome is not None and outcome.message:
        reason = outcome.reason if _CAMEL_CASE.fullmatch(outcome.reason) else str(Reason.JOB_FAILED)
        return Failure(reason, f"{_sentence(outcome.message)} {RETRY}")
    if pod.end_reason == "OOMKilled" or pod.exit_code == _SIGKILL:
        message = (
            f"pod {pod.name} was killed, most likely for want of memory: raise limits.memory in the template."
        )
        return Failure(Reason.JOB_FAILED, message)
    words = pod.last_words.strip()[-1500:] or f"no message; see kubectl logs {pod.name}"
    return Failure(
        Reason.JOB_FAILED, f"pod {pod.name} ended with {pod.exit_code}: {_sentence(words)} {RETRY}"
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _hint(problem: Problem) -> str:
    if problem.reason == "Unschedulable":
        return "Add a node that fits, or ask for less in the template."
    if "Image" in problem.reason:
        return "Check template.image and imagePullSecrets."
    return "Check the template."
