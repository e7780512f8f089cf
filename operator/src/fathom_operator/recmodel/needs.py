"""What a RecModel needs before it can be trained: the features of its CaptionJobs."""

from __future__ import annotations

from dataclasses import dataclass

from fathom_api import Reason
from fathom_api.captionjob import Artifact
from fathom_operator.failures import Failure
from fathom_operator.plan import Key
from fathom_operator.recmodel.observe import RecModelSeen


@dataclass(frozen=True)
class Needs:
    """The features by name of their CaptionJob, or what is missing and whether somebody has to help."""

    features: dict[str, Artifact]
    missing: Failure | None
    stalled: bool
    waits_for: frozenset[Key]


def needs(seen: RecModelSeen) -> Needs:
    """Return what is there and what is not yet."""
    features = {
        name: Artifact(uri=captions.features.uri, digest=captions.features.digest)
        for name, captions in seen.captions.items()
        if captions is not None and captions.features is not None
    }
    missing, stalled = _missing(seen)
    waits_for = frozenset(Key("CaptionJob", seen.owner.namespace, name) for name in seen.captions)
    return Needs(features, missing, stalled, waits_for)


def _missing(seen: RecModelSeen) -> tuple[Failure | None, bool]:
    namespace = seen.owner.namespace
    absent = [name for name, captions in seen.captions.items() if captions is None]
    if absent:
        message = (
            f"no CaptionJob {', '.join(absent)} in namespace {namespace}: create it, or correct "
            "spec.features.captions; training begins by itself then"
        )
        return Failure(Reason.MISSING_CAPTION_JOB, message), True
    for name, captions in seen.captions.items():
        if captions is not None and captions.features is None:
            said = f" ({captions.stage}: {captions.message})" if captions.message else f" ({captions.stage})"
            return Failure(
                Reason.WAITING_FOR_CAPTIONS, f"waiting for CaptionJob {name}{said}"
            ), captions.stalled
    return None, False
