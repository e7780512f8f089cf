"""The work of a CaptionJob: fine-tune (optional), caption, featurise; each is a Job."""

from __future__ import annotations

from fathom_api import CaptionJobSpec
from fathom_api.tasks import AnyFineTune, AnyModel, AnySource, CaptionTask, FeaturiseTask, FinetuneTask
from fathom_operator.claims import claims_in, join
from fathom_operator.owner import Owner
from fathom_operator.platform import Platform
from fathom_operator.work import Work


def works(spec: CaptionJobSpec, owner: Owner, platform: Platform, retry: str = "") -> tuple[Work, ...]:
    """Return what has to be done, in order."""
    finetune = _finetune(spec, owner, platform, retry)
    rest = (_caption(spec, owner, platform, retry), _featurise(spec, owner, platform, retry))
    return (finetune, *rest) if finetune else rest


def caption_model(spec: CaptionJobSpec) -> AnyModel:
    """Return the model that writes the captions: the fine-tuned one where there is one."""
    model = AnyModel.model_validate(spec.model.document())
    return model.model_copy(update={"uri": join(spec.output.uri, "model")}) if spec.fine_tune else model


def _finetune(spec: CaptionJobSpec, owner: Owner, platform: Platform, retry: str) -> Work | None:
    if spec.fine_tune is None:
        return None
    task = FinetuneTask(
        model=AnyModel.model_validate(spec.model.document()),
        fine_tune=AnyFineTune.model_validate(spec.fine_tune.document()),
        output=join(spec.output.uri, "model"),
    )
    return _single(spec, owner, platform, "finetune", task, retry=retry)


def _caption(spec: CaptionJobSpec, owner: Owner, platform: Platform, retry: str) -> Work:
    task = CaptionTask(
        source=AnySource.model_validate(spec.source.document()),
        model=caption_model(spec),
        output=spec.output.uri,
        shards=spec.shards,
    )
    return Work(
        owner=owner,
        stage="caption",
        command="caption",
        task=task,
        image=platform.captioner_image,
        template=spec.template,
        writes=claims_in(spec.output.uri),
        queue_name=spec.queue_name,
        backoff_limit=spec.failure_policy.backoff_limit_per_index,
        shards=spec.shards,
        parallelism=min(spec.parallelism, spec.shards),
        retry=retry,
    )


def _featurise(spec: CaptionJobSpec, owner: Owner, platform: Platform, retry: str) -> Work:
    task = FeaturiseTask(
        output=spec.output.uri, shards=spec.shards, features=spec.features, model=caption_model(spec)
    )
    return _single(spec, owner, platform, "featurise", task, retry=retry)


def _single(
    spec: CaptionJobSpec,
    owner: Owner,
    platform: Platform,
    command: str,
    task: FinetuneTask | FeaturiseTask,
    *,
    retry: str,
) -> Work:
    return Work(
        owner=owner,
        stage=command,
        command=command,
        task=task,
        image=platform.captioner_image,
        template=spec.template,
        writes=claims_in(spec.output.uri),
        queue_name=spec.queue_name,
        backoff_limit=spec.failure_policy.backoff_limit_per_index,
        retry=retry,
    )
