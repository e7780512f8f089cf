"""The CaptionJob: apply it, watch it, tell how far it is."""

from __future__ import annotations

from demo import manifests, words
from demo.context import Context, DemoError
from demo.waiting import wait_for
from fathom_api.captionjob import CaptionJobStatus

TIMEOUT = 2400.0


def caption(context: Context) -> CaptionJobStatus:
    """Return the status of the CaptionJob once it is complete."""
    context.kube.apply(manifests.load("captionjob", context.namespace))
    status = wait_for("the CaptionJob completes", lambda: _look(context), timeout=TIMEOUT, every=2)
    _tell(context, status)
    return status


def status(context: Context) -> CaptionJobStatus | None:
    """Return the CaptionJob's status, if it speaks of the spec as it is now."""
    found = context.kube.find("captionjob", manifests.CAPTION_JOB, context.namespace)
    seen = CaptionJobStatus.model_validate((found or {}).get("status") or {})
    return seen if found and seen.observed_generation == found["metadata"]["generation"] else None


def _look(context: Context) -> CaptionJobStatus | None:
    seen = status(context)
    if seen is None:
        return None
    context.view.live(words.captioning(seen, words.now()))
    wrong = words.stalled(seen.conditions)
    if wrong:
        raise DemoError(f"CaptionJob {manifests.CAPTION_JOB}: {wrong}")
    return seen if seen.stage == "Complete" else None


def _tell(context: Context, status: CaptionJobStatus) -> None:
    items = status.items
    context.view.say(f"   {items.done:,} captions, {items.failed} failed, {items.reused} reused")
    for sample in status.sample_captions:
        context.view.say(f"   “{sample}”")
    if status.features:
        made = status.features
        context.view.say(
            f"   features: {made.vocabulary_size:,} tokens, {made.tokens_per_item:.1f} an item, "
            f"{made.coverage:.0%} of the items have some"
        )
