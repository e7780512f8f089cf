"""All that a decision about an InterestMap needs."""

from __future__ import annotations

from dataclasses import dataclass

from fathom_api import CaptionJobSpec, CaptionJobStatus, InterestMapSpec, InterestMapStatus
from fathom_api.captionjob import Artifact
from fathom_operator.conditions import told
from fathom_operator.interestmap.guiding import guide_of
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import CAPTION_JOBS, INTEREST_MAPS, REC_MODELS, Obj
from fathom_operator.observation import Seen, gather, parse_spec, parse_status, read
from fathom_operator.plan import Key
from fathom_operator.reports import Reports
from fathom_operator.times import Clock


@dataclass(frozen=True)
class CatalogueSeen:
    """The CaptionJob whose captions say what the items show."""

    name: str
    #: None where its spec is not valid; it has no captions then.
    spec: CaptionJobSpec | None = None
    captions: Artifact | None = None
    #: The model it took from another CaptionJob.
    model: Artifact | None = None
    stage: str = "Pending"
    #: What its condition Ready says, and whether it waits for somebody.
    message: str = ""
    stalled: bool = False


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


def catalogue_seen(obj: Obj) -> CatalogueSeen:
    """Return what an InterestMap wants to know of a CaptionJob."""
    spec, _ = parse_spec(CaptionJobSpec, obj)
    status = parse_status(CaptionJobStatus, obj)
    message, stalled = told(status.conditions)
    return CatalogueSeen(
        name=obj["metadata"]["name"],
        spec=spec,
        captions=status.captions if spec else None,
        model=status.run.model,
        stage=status.stage,
        message=message,
        stalled=stalled,
    )


def _catalogue(kube: Kube, namespace: str, spec: InterestMapSpec | None) -> CatalogueSeen | None:
    obj = kube.get(CAPTION_JOBS, namespace, spec.captions.caption_job) if spec else None
    return catalogue_seen(obj) if obj else None


def _ranker(kube: Kube, namespace: str, spec: InterestMapSpec | None) -> bool:
    if spec is None or spec.serving is None:
        return False
    return kube.get(REC_MODELS, namespace, spec.serving.rec_model) is not None


def _rival(kube: Kube, key: Key, spec: InterestMapSpec | None) -> str | None:
    if spec is None or spec.serving is None:
        return None
    first = guide_of(kube.items(INTEREST_MAPS, key.namespace), spec.serving.rec_model)
    return None if first is None or first.name == key.name else first.name
