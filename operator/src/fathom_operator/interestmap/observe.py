"""All that a decision about an InterestMap needs."""

from __future__ import annotations

from dataclasses import dataclass

from fathom_api import InterestMapSpec, InterestMapStatus
from fathom_operator.catalogues import CatalogueSeen, catalogue_of
from fathom_operator.interestmap.guiding import guide_of
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import INTEREST_MAPS, REC_MODELS
from fathom_operator.observation import Seen, gather, read
from fathom_operator.plan import Key
from fathom_operator.reports import Reports
from fathom_operator.times import Clock


@dataclass(frozen=True)
class InterestMapSeen(Seen[InterestMapSpec, InterestMapStatus]):
    """An InterestMap, what it owns, what it is made from and whom it guides."""

    #: None where there is no CaptionJob of that name.
    catalogue: CatalogueSeen | None = None
    #: Whether the RecModel of `spec.serving` is there.
    ranker: bool = False
    #: Another InterestMap that guides the same RecModel and was first.
    rival: str | None = None


def observe(kube: Kube, reports: Reports, clock: Clock, key: Key) -> InterestMapSeen | None:
    """Return the InterestMap and what it owns, None if it is gone."""
    obj = read(kube, INTEREST_MAPS, key)
    if obj is None:
        return None
    found = gather(kube, reports, clock, obj, (InterestMapSpec, InterestMapStatus))
    spec = found.spec
    return InterestMapSeen(
        **vars(found),
        catalogue=_catalogue(kube, key.namespace, spec),
        ranker=_ranker(kube, key.namespace, spec),
        rival=_rival(kube, key, spec),
    )


def _catalogue(kube: Kube, namespace: str, spec: InterestMapSpec | None) -> CatalogueSeen | None:
    return catalogue_of(kube, namespace, spec.captions.caption_job) if spec else None


def _ranker(kube: Kube, namespace: str, spec: InterestMapSpec | None) -> bool:
    if spec is None or spec.serving is None:
        return False
    return kube.get(REC_MODELS, namespace, spec.serving.rec_model) is not None


def _rival(kube: Kube, key: Key, spec: InterestMapSpec | None) -> str | None:
    if spec is None or spec.serving is None:
        return None
    first = guide_of(kube.items(INTEREST_MAPS, key.namespace), spec.serving.rec_model)
    return None if first is None or first.name == key.name else first.name
