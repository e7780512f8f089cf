"""The status of a CaptionJob: counts and artifacts from its pods' words, conditions from a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from fathom_api import CaptionJobSpec, CaptionJobStatus
from fathom_api.captionjob import (
    Artifact,
    AspectFeatures,
    FeatureArtifact,
    FineTuneStatus,
    Items,
    RunStatus,
    Shards,
)
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.claims import join
from fathom_operator.progress import Tally, digest_of, tally
from fathom_operator.times import parse, text
from fathom_operator.work import Work, WorkState

States = dict[str, WorkState]
#: What a run remembers as done; a fine-tuning is done once for all runs.
Part = Literal["plan", "caption", "featurise"]

_FINE_TUNE: Final = {
    "epoch": "epoch",
    "loss": "loss",
    "validation_loss": "validation_loss",
    "cider": "cider",
    "bleu4": "bleu4",
    "token_f1": "token_f1",
}


def gathered(
    seen: CaptionJobSeen,
    spec: CaptionJobSpec,
    status: CaptionJobStatus,
    todo: tuple[Work, ...],
    states: States,
) -> CaptionJobStatus:
    """Return `status` with all counts and artifacts of today; stage and conditions are as before."""
    for work in todo:
        counts = counts_of(work, states[work.stage], seen, status.run)
        match work.stage:
            case "plan":
                status = _after_plan(seen, status, states["plan"], counts)
            case "finetune":
                status = _after_finetune(spec, status, work, states["finetune"], counts)
            case "caption":
                status = _after_caption(spec, status, work, states["caption"], counts)
            case _:
                status = _after_featurise(spec, status, work, states[work.stage], counts)
    return status


def counts_of(work: Work, state: WorkState, seen: CaptionJobSeen, run: RunStatus) -> Tally:
    """Return what the pods of `work` say together."""
    total = run.planned if work.stage == "caption" else 0
    return tally(state, seen.reports, work.shards or 1, total)


def paced(status: CaptionJobStatus, seen: CaptionJobSeen, counts: Tally, stage: str) -> CaptionJobStatus:
    """Return the status with percent, speed and ETA of the stage at work; as before without news."""
    if counts.last_at is None:
        return status
    heard = text(counts.last_at)
    if heard == status.last_progress_time and counts.percent == status.percent:
        return status
    # Before the first step of a lesson its pictures are encoded, at a pace that says nothing of the steps.
    known = stage != "finetune" or "loss" in (counts.metrics or {})
    return status.model_copy(
        update={
            "percent": counts.percent,
            "estimated_completion_time": counts.eta(seen.now) if known else None,
            "last_progress_time": heard,
        }
    )


def is_done(stage: str, status: CaptionJobStatus) -> bool:
    """Return whether a stage of the run at hand is done."""
    if stage == "finetune":
        return status.fine_tune is not None and status.fine_tune.model is not None
    return stage in status.run.completed


def _completed(status: CaptionJobStatus, part: Part, **changes: object) -> CaptionJobStatus:
    run = status.run.model_copy(update={"completed": [*status.run.completed, part], **changes})
    return status.model_copy(update={"run": run})


def _after_plan(
    seen: CaptionJobSeen, status: CaptionJobStatus, state: WorkState, counts: Tally
) -> CaptionJobStatus:
    if is_done("plan", status) or not state.complete:
        return status
    status = _completed(status, "plan", planned=counts.total)
    items = Items(total=counts.total, failed=counts.failed, reused=counts.reused)
    return status.model_copy(update={"items": items, "start_time": status.start_time or text(seen.now)})


def _after_finetune(
    spec: CaptionJobSpec, status: CaptionJobStatus, work: Work, state: WorkState, counts: Tally
) -> CaptionJobStatus:
    before = status.fine_tune or FineTuneStatus()
    if before.model is not None or state.job is None:
        return status
    metrics = counts.metrics or {}
    known = {field: metrics[name] for field, name in _FINE_TUNE.items() if name in metrics}
    model = _artifact(work, state, join(spec.output.uri, "model")) if state.complete else None
    return status.model_copy(update={"fine_tune": before.model_copy(update=known | {"model": model})})


def _after_caption(
    spec: CaptionJobSpec, status: CaptionJobStatus, work: Work, state: WorkState, counts: Tally
) -> CaptionJobStatus:
    if is_done("caption", status):
        return status
    if state.job is None:
        shards = status.shards.model_copy(update={"total": spec.shards})
        return status.model_copy(update={"shards": shards})
    items = _items(status, counts)
    run = status.run
    tokens = max(run.tokens, counts.tokens)
    usage = status.usage.model_copy(update={"tokens": status.usage.tokens - run.tokens + tokens})
    status = status.model_copy(
        update={
            "items": items,
            "items_per_second": counts.per_second,
            "shards": _shards(spec, state),
            "errors_uri": join(spec.output.uri, "errors") if items.failed else None,
            "sample_captions": list(counts.samples) or status.sample_captions,
            "last_checkpoint_time": _later(status.last_checkpoint_time, counts),
            "usage": usage,
            "run": run.model_copy(update={"tokens": tokens}),
        }
    )
    if not state.complete:
        return status
    captions = _artifact(work, state, join(spec.output.uri, "captions"))
    return _completed(status, "caption").model_copy(update={"captions": captions})


def _after_featurise(
    spec: CaptionJobSpec,
    status: CaptionJobStatus,
    work: Work,
    state: WorkState,
    counts: Tally,
) -> CaptionJobStatus:
    if is_done("featurise", status) or not state.complete:
        return status
    made = _artifact(work, state, join(spec.output.uri, "features"))
    metrics = counts.metrics or {}
    aspects = [_aspect(question.name, metrics) for question in spec.model.questions()]
    features = FeatureArtifact(
        uri=made.uri,
        digest=made.digest,
        aspects=[aspect for aspect in aspects if aspect is not None],
        vocabulary_size=int(metrics.get("vocabulary_size", 0)),
        coverage=round(metrics.get("coverage", 0.0), 4),
        tokens_per_item=round(metrics.get("tokens_per_item", 0.0), 2),
    )
    report = join(spec.output.uri, "report", "index.html")
    return _completed(status, "featurise").model_copy(update={"features": features, "report_uri": report})


def _aspect(name: str, metrics: Mapping[str, float]) -> AspectFeatures | None:
    said = f"aspect/{name}/"
    if f"{said}vocabulary_size" not in metrics:
        return None
    return AspectFeatures(
        name=name,
        vocabulary_size=int(metrics[f"{said}vocabulary_size"]),
        coverage=round(metrics.get(f"{said}coverage", 0.0), 4),
        tokens_per_item=round(metrics.get(f"{said}tokens_per_item", 0.0), 2),
    )


def _items(status: CaptionJobStatus, counts: Tally) -> Items:
    now = Items(total=counts.total, done=counts.done, failed=counts.failed, reused=counts.reused)
    if counts.heard == counts.parts and not counts.silent:
        return now
    # A new operator, or one whose finished pods were cleared away, has not heard everything: what was
    # counted stays.
    before = status.items
    return Items(
        total=status.run.planned or max(before.total, now.total),
        done=max(before.done, now.done),
        failed=max(before.failed, now.failed),
        reused=max(before.reused, now.reused),
    )


def _later(before: str | None, counts: Tally) -> str | None:
    committed = counts.committed_at
    if committed is None or (before is not None and parse(before) >= committed):
        return before
    return text(committed)


def _shards(spec: CaptionJobSpec, state: WorkState) -> Shards:
    job = state.job
    if job is None:
        return Shards(total=spec.shards)
    return Shards(
        total=spec.shards,
        active=job.active,
        succeeded=job.succeeded,
        failed=job.failed_indexes,
        retries=job.failed_pods,
    )


def _artifact(work: Work, state: WorkState, uri: str) -> Artifact:
    """Return what `work` made."""
    return Artifact(uri=uri, digest=digest_of(work, state))
