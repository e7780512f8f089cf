"""What a RecModel needs before it can be trained: the features of its CaptionJobs."""

from __future__ import annotations

from dataclasses import dataclass

from fathom_api import Reason
from fathom_api.captionjob import Artifact
from fathom_operator.catalogues import no_such, waiting_for
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
    namespace = seen.owner.namespace
    waits_for = frozenset(Key("CaptionJob", namespace, name) for name in seen.captions)
    if seen.guided_by is not None:
        waits_for |= {Key("InterestMap", namespace, seen.guided_by)}
    return Needs(features, missing, stalled, waits_for)


def _unknown_aspect(seen: RecModelSeen) -> Failure | None:
    for feature in seen.spec.features.captions if seen.spec else ():
        captions = seen.captions.get(feature.caption_job)
        aspects = [a.name for a in captions.features.aspects] if captions and captions.features else []
        # None told: features of a tokeniser that speaks of no aspects hold what they hold.
        if aspects and feature.aspect not in aspects:
            message = (
                f"CaptionJob {feature.caption_job} has no aspect {feature.aspect}, only "
                f"{', '.join(aspects)}: correct the aspect in spec.features.captions"
            )
            return Failure(Reason.INVALID_SPEC, message)
    return None


def _missing(seen: RecModelSeen) -> tuple[Failure | None, bool]:
    namespace = seen.owner.namespace
    if unknown := _unknown_aspect(seen):
        return unknown, True
    absent = [name for name, captions in seen.captions.items() if captions is None]
    if absent:
        return no_such(absent, namespace, "spec.features.captions", "training"), True
    for name, captions in seen.captions.items():
        if captions is not None and captions.features is None:
            return waiting_for(name, captions.stage, captions.message), captions.stalled
    return None, False
