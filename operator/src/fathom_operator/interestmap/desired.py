"""The work of an InterestMap's run: seven steps, each a Job of one command and a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from fathom_api import CaptionJobSpec, InterestMapSpec
from fathom_api.captionjob import Artifact
from fathom_api.interest_tasks import (
    AnyClusters,
    AnyInteractions,
    AnyPlanner,
    ClusterTask,
    GateTask,
    PlanBulkTask,
    PlanTrainTask,
    PublishTask,
    TransitionsTask,
    UnderstandTask,
)
from fathom_api.interestmap import MapRun, Step
from fathom_api.interests import PlannerFineTune
from fathom_api.meta import ApiModel
from fathom_api.tasks import AnyModel, AnySource, CaptionsAt
from fathom_operator.captionjob.desired import base_model, caption_model, model_env
from fathom_operator.catalogues import CatalogueSeen
from fathom_operator.claims import claims_in, join
from fathom_operator.interestmap.folders import Folders, folders, liked
from fathom_operator.interestmap.guiding import current
from fathom_operator.interestmap.observe import InterestMapSeen
from fathom_operator.kube.resources import Obj
from fathom_operator.owner import Owner
from fathom_operator.platform import Platform
from fathom_operator.pods import without_devices
from fathom_operator.work import Work

_LSA: Final = "fathom://lsa"


@dataclass(frozen=True)
class Course:
    """What has to be done for a run."""

    spec: InterestMapSpec
    owner: Owner
    platform: Platform
    #: The CaptionJob behind the captions, and the model that it took from another one.
    job: CaptionJobSpec
    model: Artifact | None
    captions: Artifact
    run: MapRun
    retry: str = ""

    @cached_property
    def folders(self) -> Folders:
        """Return where each step leaves what it makes."""
        return folders_of(self.spec, self.job, self.model, self.captions, self.run)

    def works(self) -> tuple[Work, ...]:
        """Return what has to be done until the table is judged, in order."""
        steps = [self._cluster(), self._understand(), self._transitions(), self._train()]
        return (*(work for work in steps if work is not None), self._bulk(), self._gate())

    def publish(self, table: str) -> Work:
        """Return the work that points rankers at the table in the folder `table`."""
        explore = self.spec.serving.explore if self.spec.serving else None
        given: dict[str, Any] = {"explore": explore} if explore else {}
        return self._work("publish", PublishTask(table=table, output=current(self.spec), **given), gpu=False)

    def _cluster(self) -> Work:
        spec = self.spec
        task = ClusterTask(
            captions=CaptionsAt(
                output=self.job.output.uri,
                shards=self.job.shards,
                aspect=spec.captions.aspect,
                digest=self.captions.digest,
            ),
            interactions=self._interactions(),
            clusters=AnyClusters.model_validate(spec.clusters.document()),
            previous=self.run.clusters_before,
            output=self.folders.clusters,
        )
        return self._work("cluster", task, gpu=spec.clusters.encoder != _LSA)

    def _understand(self) -> Work | None:
        if self.spec.understanding is None or self.folders.summaries is None:
            return None
        task = UnderstandTask(
            clusters=self.folders.clusters,
            source=self._source(),
            model=caption_model(self.job, base_model(self.job, self.model)),
            understanding=self.spec.understanding,
            cache=join(self.spec.output.uri, "summaries", "cache"),
            output=self.folders.summaries,
        )
        return self._work("understand", task, env=model_env(self.job))

    def _transitions(self) -> Work:
        fine_tune = self.spec.planner.fine_tune or PlannerFineTune()
        task = TransitionsTask(
            clusters=self.folders.clusters,
            interactions=self._interactions(),
            per_target=fine_tune.per_target,
            output=self.folders.transitions,
        )
        return self._work("transitions", task, gpu=False)

    def _train(self) -> Work | None:
        if self.folders.planner is None:
            return None
        task = PlanTrainTask(
            clusters=self.folders.clusters,
            summaries=self.folders.summaries,
            transitions=self.folders.lessons,
            planner=self._planner(),
            output=self.folders.planner,
        )
        return self._work("plan-train", task)

    def _bulk(self) -> Work:
        inference = self.spec.inference
        task = PlanBulkTask(
            clusters=self.folders.clusters,
            summaries=self.folders.summaries,
            transitions=self.folders.transitions,
            planner=self._planner(),
            trained=self.folders.planner,
            samples=inference.samples,
            batch_size=inference.batch_size,
            banned=list(self.spec.gates.banned),
            shards=inference.shards,
            output=self.folders.plans,
        )
        return self._work("plan-bulk", task, shards=inference.shards)

    def _gate(self) -> Work:
        task = GateTask(
            clusters=self.folders.clusters,
            summaries=self.folders.summaries,
            transitions=self.folders.transitions,
            plans=self.folders.plans,
            planner=self._planner(),
            trained=self.folders.planner,
            samples=self.spec.inference.samples,
            **self._best(),
            gates=self.spec.gates,
            previous=self.run.table_before,
            source=self._source(),
            name=self.folders.name,
            output=self.folders.table,
            report=self.folders.report,
        )
        return self._work("gate", task)

    def _best(self) -> dict[str, Any]:
        """Return what keeping the best answers needs; a table without it is made from no interactions."""
        if self.spec.inference.best is None:
            return {}
        satisfying = AnyInteractions.model_validate(self.spec.interactions.document())
        return {"best": self.spec.inference.best, "interactions": satisfying}

    def _interactions(self) -> AnyInteractions:
        return AnyInteractions.model_validate(liked(self.spec))

    def _planner(self) -> AnyPlanner:
        return AnyPlanner.model_validate(self.spec.planner.document())

    def _source(self) -> AnySource:
        return AnySource.model_validate(self.job.source.document())

    def _work(
        self,
        step: Step,
        task: ApiModel,
        *,
        gpu: bool = True,
        env: tuple[Obj, ...] = (),
        shards: int | None = None,
    ) -> Work:
        """Return a piece of work; its stage has the name of its command."""
        spec = self.spec
        return Work(
            owner=self.owner,
            stage=step,
            command=step,
            task=task,
            image=self.platform.captioner_image,
            template=spec.template if gpu else without_devices(spec.template),
            # A model's cache is written to by whoever fetches the model.
            writes=claims_in([spec.output.uri, self.job.model.cache]),
            queue_name=spec.queue_name,
            backoff_limit=spec.backoff_limit,
            shards=shards,
            parallelism=min(spec.inference.parallelism, shards or 1),
            retry=self.retry,
            env=env,
        )


def folders_of(
    spec: InterestMapSpec,
    job: CaptionJobSpec,
    model: Artifact | None,
    captions: Artifact,
    run: MapRun,
) -> Folders:
    """Return the folders of `run`."""
    asked: AnyModel = caption_model(job, base_model(job, model))
    return folders(spec, captions, fine_tunes=run.fine_tunes, bulks=run.bulks, model=asked.document())


def course_of(
    seen: InterestMapSeen, spec: InterestMapSpec, catalogue: CatalogueSeen, platform: Platform, run: MapRun
) -> Course | None:
    """Return the course of `run`, None as long as there are no captions."""
    job, captions = catalogue.spec, run.captions
    if job is None or captions is None:
        return None
    return Course(spec, seen.owner, platform, job, catalogue.model, captions, run, seen.retry)
