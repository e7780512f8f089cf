"""One piece of work: a task, the Job that does it, and how that stands.

`run` names what is done (the digest of the task), the Job's name also how (template, retries). A Job that
completed a run counts for good, whatever image or resources one would give it today; one that has not is
replaced when the how changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from fathom_api import Annotations, ExitCode, Labels
from fathom_api.meta import ApiModel
from fathom_api.pods import PodTemplate
from fathom_operator.claims import claims_in
from fathom_operator.digests import short
from fathom_operator.kube.resources import CONFIG_MAPS, JOBS, Obj
from fathom_operator.owner import Owner
from fathom_operator.plan import Ref
from fathom_operator.platform import Platform
from fathom_operator.pods import TASK_FOLDER, worker_pod
from fathom_operator.together import Pods, Together
from fathom_operator.together import objects as together_objects
from fathom_operator.views import CONTAINER, JobView, PodView


@dataclass(frozen=True)
class Work:
    """What shall be done, once."""

    owner: Owner
    stage: str
    command: str
    task: ApiModel
    image: str
    template: PodTemplate
    #: Claims that are written to; all others are mounted read-only.
    writes: frozenset[str]
    queue_name: str | None = None
    backoff_limit: int = 4
    #: Shards of an Indexed Job, with how many pods work at once; None for a Job of one pod.
    shards: int | None = None
    parallelism: int = 1
    #: Several pods that do it together; None for pods that know nothing of each other.
    together: Together | None = None
    #: Whatever is new when somebody asks for another try: a failed Job is then replaced.
    retry: str = ""
    #: Further variables of the pods, as a container has them.
    env: tuple[Obj, ...] = ()
    #: Stop the pods of a Job that is there.
    suspended: bool = False
    #: When pods last committed work, told to whoever preempts.
    checkpoint: str | None = None

    @property
    def run(self) -> str:
        """Return eight hex digits of what is done."""
        return short([self.stage, self.task.document()])

    @property
    def name(self) -> str:
        """Return the name of the Job and of its ConfigMap."""
        how = [self.run, self.template.document(), self.backoff_limit, self.retry, *self.env]
        if self.together is None:
            return f"{self.owner.name}-{self.stage}-{short(how)}"
        # Pods that have names get them from this one, with more behind it: there is no room for the stage.
        return f"{self.owner.name}-{short([*how, asdict(self.together)])}"

    def objects(self, platform: Platform) -> tuple[Obj, ...]:
        """Return the task's ConfigMap and the Job, with what the Job needs first."""
        labels = self.owner.labels(self.stage, self.run)
        data = {"task.json": self.task.model_dump_json(by_alias=True, exclude_none=True, indent=2)}
        if platform.progress_ca:
            data["ca.crt"] = platform.progress_ca
        config_map = self.owner.child(CONFIG_MAPS, self.name, labels, {"data": data})
        queue = {Labels.QUEUE: self.queue_name} if self.queue_name else {}
        if self.together is not None:
            template = self._template(labels, platform, self.together.env(self.name))
            pods = Pods(self.owner, self.name, labels, queue, template, _failure_policy(), self.backoff_limit)
            return config_map, *together_objects(pods, self.together)
        body = {"spec": self._job(labels, platform)}
        job = self.owner.child(JOBS, self.name, labels | queue, body)
        # These two come and go in a Job's life; neither is part of what it is.
        if self.suspended:
            job["spec"]["suspend"] = True
        if self.checkpoint is not None:
            job["metadata"]["annotations"][Annotations.CHECKPOINT] = self.checkpoint
        return config_map, job

    def _template(self, labels: dict[str, str], platform: Platform, env: Iterable[Obj] = ()) -> Obj:
        pod = worker_pod(
            self.template,
            platform,
            image=self.image,
            args=[*self.command.split(), "--task", f"{TASK_FOLDER}/task.json"],
            task_config_map=self.name,
            claims=claims_in(self.task.document()),
            writable=self.writes,
            env=(*self.env, *env),
        )
        return {"metadata": {"labels": labels}, "spec": pod}

    def _job(self, labels: dict[str, str], platform: Platform) -> Obj:
        spec: Obj = {
            "parallelism": self.parallelism,
            "podFailurePolicy": _failure_policy(),
            # A pod is replaced when it has ended, not while it ends: two must not write one shard.
            "podReplacementPolicy": "Failed",
            "template": self._template(labels, platform),
        }
        if self.shards is None:
            return spec | {"completions": 1, "backoffLimit": self.backoff_limit}
        return spec | {
            "completions": self.shards,
            "completionMode": "Indexed",
            "backoffLimitPerIndex": self.backoff_limit,
            "maxFailedIndexes": self.shards,
        }


@dataclass(frozen=True)
class WorkState:
    """How a piece of work stands: its Job, if there is one, and the pods of that Job."""

    job: JobView | None
    pods: tuple[PodView, ...]

    @property
    def complete(self) -> bool:
        """Return whether it is done."""
        return self.job is not None and self.job.complete

    @property
    def failed(self) -> bool:
        """Return whether it has failed for good."""
        return self.job is not None and self.job.failed


def state_of(work: Work, jobs: Iterable[JobView], pods: Iterable[PodView]) -> WorkState:
    """Return how `work` stands: by a Job that completed this run, or else by the Job of its name."""
    same = [job for job in jobs if (job.stage, job.run) == (work.stage, work.run)]
    done = next((job for job in same if job.complete), None)
    job = done or next((job for job in same if job.name == work.name), None)
    return WorkState(job, tuple(pod for pod in pods if job is not None and pod.job == job.pods_job))


def superfluous(works: Iterable[Work], jobs: Iterable[JobView]) -> tuple[Ref, ...]:
    """Return the Jobs, with what was made for them, that no work of `works` counts on."""
    names = {work.name for work in works}
    runs = {(work.stage, work.run) for work in works}
    gone = [j for j in jobs if j.name not in names and not (j.complete and (j.stage, j.run) in runs)]
    return tuple(each for job in gone for each in parts_of(job))


def parts_of(job: JobView) -> tuple[Ref, ...]:
    """Return a Job and what was made for it, as far as it goes with the Job."""
    kinds = [job.kind, "ConfigMap"]
    if job.kind == "TrainJob":
        kinds.append("TrainingRuntime")
    return tuple(Ref(kind, job.name) for kind in kinds)


def halted(work: Work, job: JobView | None, platform: Platform) -> tuple[tuple[Obj, ...], tuple[Ref, ...]]:
    """Return what shall be and what shall go for the pods of `job`, that of `work`, to be told to go.

    What they have committed stays, and so does their Job. Not so a Job that a queue admits: the queue would
    start it again, so it goes and comes back as a new one.
    """
    if job is None or job.finished:
        return (), ()
    if job.queued:
        return (), parts_of(job)
    return replace(work, suspended=True).objects(platform), ()


def _failure_policy() -> Obj:
    return {
        "rules": [
            # Evictions and spot losses say nothing about the work: they do not count.
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            # Nor does a pod that was told to go.
            _on_exit("Ignore", ExitCode.STOPPED),
            _on_exit("FailJob", ExitCode.INVALID),
        ]
    }


def _on_exit(action: str, code: int) -> Obj:
    codes = {"containerName": CONTAINER, "operator": "In", "values": [int(code)]}
    return {"action": action, "onExitCodes": codes}
