"""The status of a CaptionJob: counts and artifacts from its pods' words, conditions from a decision."""

from __future__ import annotations

from fathom_api import CaptionJobSpec, CaptionJobStatus
from fathom_api.captionjob import Artifact, FeatureArtifact, FineTuneStatus, Items, Shards
from fathom_api.progress import Outcome
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.claims import join
from fathom_operator.digests import full
from fathom_operator.progress import Tally, tally
from fathom_operator.times import text
from fathom_operator.views import latest_by_index
from fathom_operator.work import Work, WorkState

States = dict[str, WorkState]


def gathered(
    seen: CaptionJobSeen, spec: CaptionJobSpec, todo: tuple[Work, ...], states: States
) -> CaptionJobStatus:
    """Return the status with all counts and artifacts of today; stage and conditions are as before."""
    status = seen.status.model_copy(update={"observed_generation": seen.generation})
    for work in todo:
        counts = tally(states[work.stage], seen.reports, work.shards or 1)
        status = _UPDATES[work.stage](status, spec, work, states[work.stage], counts)
    return status


def paced(status: CaptionJobStatus, seen: CaptionJobSeen, counts: Tally) -> CaptionJobStatus:
    """Return the status with percent, speed and ETA of the stage at work; as before without news."""
    if counts.last_at is None:
        return status
    heard = text(counts.last_at)
    if heard == status.last_progress_time and counts.percent == status.percent:
        return status
    return status.model_copy(
        update={
            "percent": counts.percent,
            "estimated_completion_time": counts.eta(seen.now),
            "last_progress_time": heard,
        }
    )


def _after_finetune(
    status: CaptionJobStatus, spec: CaptionJobSpec, work: Work, state: WorkState, counts: Tally
) -> CaptionJobStatus:
    before = status.fine_tune or FineTuneStatus()
    if before.model is not None:
        return status
    metrics = counts.metrics or {}
    now = before.model_copy(
        update={
            "epoch": metrics.get("epoch", before.epoch),
            "loss": metrics.get("loss", before.loss),
            "validation_loss": metrics.get("validation_loss", before.validation_loss),
            "model": _artifact(work, state, join(spec.output.uri, "model")) if state.complete else None,
        }
    )
    return status.model_copy(update={"fine_tune": now}) if state.job else status


def _after_caption(
    status: CaptionJobStatus, spec: CaptionJobSpec, work: Work, state: WorkState, counts: Tally
) -> CaptionJobStatus:
    if status.captions is not None:
        return status
    if state.job is None:
        # A new attempt counts from nothing; so does one that has not begun.
        return status.model_copy(update={"items": Items(), "shards": Shards(total=spec.shards)})
    items = _items(status.items, counts)
    return status.model_copy(
        update={
            "items": items,
            "items_per_second": counts.per_second,
            "shards": _shards(spec, state),
            "captions": _artifact(work, state, join(spec.output.uri, "captions")) if state.complete else None,
            "errors_uri": join(spec.output.uri, "errors") if items.failed else None,
            "sample_captions": list(counts.samples) or status.sample_captions,
        }
    )


def _after_featurise(
    status: CaptionJobStatus, spec: CaptionJobSpec, work: Work, state: WorkState, counts: Tally
) -> CaptionJobStatus:
    if status.features is not None or not state.complete:
        return status
    made = _artifact(work, state, join(spec.output.uri, "features"))
    metrics = counts.metrics or {}
    features = FeatureArtifact(
        uri=made.uri,
        digest=made.digest,
        vocabulary_size=int(metrics.get("vocabulary_size", 0)),
        coverage=round(metrics.get("coverage", 0.0), 4),
        tokens_per_item=round(metrics.get("tokens_per_item", 0.0), 2),
    )
    return status.model_copy(update={"features": features})


_UPDATES = {"finetune": _after_finetune, "caption": _after_caption, "featurise": _after_featurise}


def _items(before: Items, counts: Tally) -> Items:
    now = Items(total=counts.total, done=counts.done, failed=counts.failed, reused=counts.reused)
    if counts.heard == counts.parts and not counts.silent:
        return now
    # A new operator, or one whose finished pods were cleared away, has not heard everything: what was
    # counted stays.
    return Items(
        total=max(before.total, now.total),
        done=max(before.done, now.done),
        failed=max(before.failed, now.failed),
        reused=max(before.reused, now.reused),
    )


def _shards(spec: CaptionJobSpec, state: WorkState) -> Shards:
    job = state.job
    if job is None:
        return Shards(total=spec.shards)
    return Shards(total=spec.shards, active=job.active, succeeded=job.succeeded, failed=job.failed_indexes)


def _artifact(work: Work, state: WorkState, uri: str) -> Artifact:
    """Return what `work` made; its digest is the pods', or, if they are gone, that of the task itself."""
    told = [_digest(pod.outcome) for _, pod in sorted(latest_by_index(state.pods).items())]
    parts = work.shards or 1
    if len(told) != parts or not all(told):
        return Artifact(uri=uri, digest=full(work.task.document()))
    return Artifact(uri=uri, digest=told[0] or "" if parts == 1 else full(told))


def _digest(outcome: Outcome | None) -> str | None:
    return outcome.digest if outcome else None
