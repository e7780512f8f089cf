"""Jobs of the user's that judge a candidate, one for each step; pure.

The Job says all: it is failed by its pod failure policy only by an exit code of the check's own, so that what
is read here is the same after a restart of the operator, and after the pod is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fathom_api import RecModelStatus
from fathom_api.analysis import AnalysisMetric, AnalysisResult, JobMetric
from fathom_api.rollout import Rollout
from fathom_api.types import seconds
from fathom_operator.analysis.questions import Side
from fathom_operator.analysis.values import said
from fathom_operator.digests import short
from fathom_operator.kube.resources import JOBS, Obj
from fathom_operator.owner import Owner
from fathom_operator.plan import Ref
from fathom_operator.platform import Platform
from fathom_operator.pods import container, job_pod
from fathom_operator.times import parse
from fathom_operator.views import CONTAINER, JobView, PodView, latest_by_index

STAGE: Final = "check"
#: Ends that are not the check's word: a command that is not there or cannot be run (126 and 127 by a shell,
#: 128 by the container runtime), killed for its memory or for good (137), told to go (143).
_NOT_ITS_OWN: Final = (126, 127, 128, 137, 143)
_LONGEST: Final = 300


@dataclass(frozen=True)
class Checks:
    """The Jobs of the step that a rollout is in."""

    owner: Owner
    rollout: Rollout
    status: RecModelStatus
    stable: Side
    candidate: Side

    def jobs(self, platform: Platform) -> tuple[Obj, ...]:
        """Return the Jobs that shall be."""
        return tuple(self._job(m, job, platform) for m, job in self._metrics())

    def leftovers(self, children: Iterable[JobView]) -> tuple[Ref, ...]:
        """Return the Jobs of other steps and candidates; once a rollout is over its last stay to be read."""
        if self.status.rollout is None:
            return ()
        kept = {self._name(metric) for metric, _ in self._metrics()}
        return tuple(Ref("Job", job.name) for job in children if job.name not in kept)

    def said(self, jobs: Iterable[JobView], pods: Iterable[PodView]) -> dict[str, AnalysisResult]:
        """Return what Jobs have said, by metric; nothing of those that are not there yet."""
        by_name, pods = {job.name: job for job in jobs}, list(pods)
        out = dict[str, AnalysisResult]()
        for metric, wanted in self._metrics():
            if (job := by_name.get(self._name(metric))) is not None:
                out[metric.name] = self._read(metric, wanted, job, [p for p in pods if p.job == job.name])
        return out

    def _metrics(self) -> Iterator[tuple[AnalysisMetric, JobMetric]]:
        """Yield the metrics whose Jobs run in this step, once its time has begun."""
        going = self.status.rollout
        if going is None or going.step_started_at is None or going.step >= len(self.rollout.steps):
            return
        for metric in self.rollout.analysis:
            if metric.job is not None:
                yield metric, metric.job

    def _name(self, metric: AnalysisMetric) -> str:
        """Return a name that another candidate, step or begin of a step does not have."""
        going = self.status.rollout
        began = (going.step, going.step_started_at) if going else None
        return f"{self.owner.name}-{STAGE}-{short([self.candidate.name, began, metric.document()])}"

    def _job(self, metric: AnalysisMetric, wanted: JobMetric, platform: Platform) -> Obj:
        labels = self.owner.labels(STAGE, self.candidate.name)
        mounts: list[Obj] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - an emptyDir of its own
        main = container(
            wanted,
            platform,
            name=CONTAINER,
            image=wanted.image or "",
            args=list(wanted.args),
            env=self._env(),
            mounts=mounts,
        )
        if wanted.command:
            main["command"] = list(wanted.command)
        spec = job_pod(wanted, main, [{"name": "tmp", "emptyDir": {}}])
        body: Obj = {
            "spec": {
                "parallelism": 1,
                "completions": 1,
                "backoffLimit": 0,
                "activeDeadlineSeconds": max(1, round(seconds(wanted.deadline))),
                "podReplacementPolicy": "Failed",
                "podFailurePolicy": _failure_policy(),
                "template": {"metadata": {"labels": labels}, "spec": spec},
            }
        }
        return self.owner.child(JOBS, self._name(metric), labels, body)

    def _env(self) -> list[Obj]:
        going = self.status.rollout
        values: Mapping[str, str] = {
            "HOME": "/tmp",  # noqa: S108 - an emptyDir of its own
            "FATHOM_CANARY": self.candidate.name,
            "FATHOM_STABLE": self.stable.name,
            "FATHOM_CANARY_PODS": ",".join(self.candidate.addresses),
            "FATHOM_STABLE_PODS": ",".join(self.stable.addresses),
            "FATHOM_STEP": str(going.step if going else 0),
            "FATHOM_WEIGHT": str(going.weight if going else 0),
            "FATHOM_URL": self.status.url or "",
        }
        return [{"name": name, "value": value} for name, value in values.items()]

    def _read(
        self, metric: AnalysisMetric, wanted: JobMetric, job: JobView, pods: list[PodView]
    ) -> AnalysisResult:
        going = self.status.rollout
        step, began = (going.step, going.step_started_at) if going else (0, None)
        its = latest_by_index(pods).get(0)
        # When the Job said it, not when it was read: a status that says nothing new is not written.
        at = parse(job.ended or job.started or began or "")
        tail = f": {its.last_words.strip()[-_LONGEST:]}" if its and its.last_words.strip() else ""
        if job.complete:
            return said(metric, "Pass", f"Job {job.name} succeeded{tail}", step, at)
        if job.failed and job.reason == "PodFailurePolicy":
            code = f" with exit code {its.exit_code}" if its and its.exit_code is not None else ""
            return said(metric, "Fail", f"Job {job.name} failed{code}{tail}", step, at)
        return said(metric, "Inconclusive", _unknown(wanted, job, its) + tail, step, at)


def _unknown(wanted: JobMetric, job: JobView, its: PodView | None) -> str:
    problem = f" ({its.problem.reason}: {its.problem.message})"[:_LONGEST] if its and its.problem else ""
    if job.failed and job.reason == "DeadlineExceeded":
        return f"Job {job.name} was stopped after {wanted.deadline} without a word{problem}"
    if job.failed:
        how = f"{its.end_reason or 'it ended'}, exit code {its.exit_code}" if its else job.reason
        return f"Job {job.name} could not check: {how}"
    if job.suspended:
        return f"Job {job.name} is suspended: it waits for its queue"
    return f"Job {job.name} does not start{problem}" if problem else f"Job {job.name} has not ended"


def _failure_policy() -> Obj:
    own = {"containerName": CONTAINER, "operator": "NotIn", "values": list(_NOT_ITS_OWN)}
    return {
        "rules": [
            # Evictions and spot losses say nothing: another pod checks.
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": own},
        ]
    }
