"""The work of a CaptionJob's run: plan, fine-tune (optional), caption, featurise; each is a Job."""

from __future__ import annotations

from typing import Final

from fathom_api import CaptionJobSpec
from fathom_api.captionjob import Artifact, RunStatus
from fathom_api.meta import ApiModel
from fathom_api.pods import PodTemplate
from fathom_api.tasks import (
    AnyFineTune,
    AnyModel,
    AnySource,
    CaptionTask,
    FeaturiseTask,
    FinetuneTask,
    PlanTask,
)
from fathom_operator.claims import claims_in, join, mounted
from fathom_operator.kube.resources import Obj
from fathom_operator.owner import Owner
from fathom_operator.platform import Platform
from fathom_operator.pods import without_devices
from fathom_operator.work import Work

#: The variable in which the engine finds the API's key.
API_KEY: Final = "FATHOM_API_KEY"
#: Enough for the batch in flight of a large model.
_GRACE_SECONDS: Final = 120


def works(
    spec: CaptionJobSpec, owner: Owner, platform: Platform, run: RunStatus, taken: Artifact | None = None
) -> tuple[Work, ...]:
    """Return what has to be done in `run`, in order; `taken` is the model of `spec.model.captionJob`.

    As long as that model is not there, what needs one is left out.
    """
    pods = _Pods(spec, owner, platform, run)
    plan = pods.work("plan", _plan(spec, run), template=without_devices(spec.template))
    if spec.model.caption_job is not None and taken is None:
        return (plan,)
    base = base_model(spec, taken)
    lesson = [pods.work("finetune", _finetune(spec, base), env=_cache(spec))] if spec.fine_tune else []
    featurise = pods.work(
        "featurise", _featurise(spec, run, base), template=without_devices(spec.template), env=_cache(spec)
    )
    return (plan, *lesson, _caption(pods, spec, run, base), featurise)


def base_model(spec: CaptionJobSpec, taken: Artifact | None) -> AnyModel:
    """Return the model to begin with."""
    model = AnyModel.model_validate(spec.model.document())
    if taken is None:
        return model
    place = {"uri": taken.uri, "digest": taken.digest, "caption_job": None}
    return model.model_copy(update=place)


def caption_model(spec: CaptionJobSpec, base: AnyModel) -> AnyModel:
    """Return the model that writes the captions: the fine-tuned one where there is one."""
    if spec.fine_tune is None:
        return base
    return base.model_copy(update={"uri": join(spec.output.uri, "model"), "digest": None})


def model_env(spec: CaptionJobSpec) -> tuple[Obj, ...]:
    """Return the variables that pods need to ask the model."""
    return (*_cache(spec), *_key(spec))


def _plan(spec: CaptionJobSpec, run: RunStatus) -> PlanTask:
    return PlanTask(source=_source(spec), output=spec.output.uri, shards=spec.shards, run=run.number)


def _finetune(spec: CaptionJobSpec, base: AnyModel) -> FinetuneTask:
    pairs = AnyFineTune.model_validate(spec.fine_tune.document() if spec.fine_tune else {})
    return FinetuneTask(model=base, fine_tune=pairs, output=join(spec.output.uri, "model"))


def _featurise(spec: CaptionJobSpec, run: RunStatus, base: AnyModel) -> FeaturiseTask:
    return FeaturiseTask(
        source=_source(spec),
        output=spec.output.uri,
        shards=spec.shards,
        run=run.number,
        features=spec.features,
        model=caption_model(spec, base),
    )


def _caption(pods: _Pods, spec: CaptionJobSpec, run: RunStatus, base: AnyModel) -> Work:
    task = CaptionTask(
        source=_source(spec),
        model=caption_model(spec, base),
        output=spec.output.uri,
        shards=spec.shards,
        run=run.number,
        retry_failed=run.retry_failed,
    )
    grace = spec.template.termination_grace_period_seconds
    seconds = _GRACE_SECONDS if grace is None else grace
    template = spec.template.model_copy(update={"termination_grace_period_seconds": seconds})
    return pods.work("caption", task, template=template, env=model_env(spec), shards=spec.shards)


def _source(spec: CaptionJobSpec) -> AnySource:
    return AnySource.model_validate(spec.source.document())


def _cache(spec: CaptionJobSpec) -> tuple[Obj, ...]:
    cache = spec.model.cache
    return ({"name": "HF_HOME", "value": mounted(cache)},) if cache else ()


def _key(spec: CaptionJobSpec) -> tuple[Obj, ...]:
    key = spec.model.endpoint.api_key if spec.model.endpoint else None
    if key is None:
        return ()
    return ({"name": API_KEY, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}},)


class _Pods:
    """What all pods of a run have in common."""

    def __init__(self, spec: CaptionJobSpec, owner: Owner, platform: Platform, run: RunStatus) -> None:
        self._spec = spec
        self._owner = owner
        self._platform = platform
        self._run = run

    def work(
        self,
        command: str,
        task: ApiModel,
        *,
        template: PodTemplate | None = None,
        env: tuple[Obj, ...] = (),
        shards: int | None = None,
    ) -> Work:
        """Return a piece of work; its stage has the name of its command."""
        spec = self._spec
        return Work(
            owner=self._owner,
            stage=command,
            command=command,
            task=task,
            image=self._platform.captioner_image,
            template=template or spec.template,
            writes=claims_in([spec.output.uri, spec.model.cache]),
            queue_name=spec.queue_name,
            backoff_limit=spec.failure_policy.backoff_limit_per_index,
            shards=shards,
            parallelism=min(spec.parallelism, shards or 1),
            # A fine-tuning that failed in an earlier run is the same task, and yet to be tried again.
            retry=str(self._run.number),
            env=env,
        )
