"""All that a decision about a CaptionJob needs."""

from __future__ import annotations

from fathom_api import CaptionJobSpec, CaptionJobStatus
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import CAPTION_JOBS
from fathom_operator.observation import (
    Seen,
    jobs_in,
    missing_claims,
    owned,
    parse_spec,
    parse_status,
    pods_of,
    read,
)
from fathom_operator.owner import owner_of
from fathom_operator.plan import Key
from fathom_operator.reports import Reports
from fathom_operator.times import Clock

CaptionJobSeen = Seen[CaptionJobSpec, CaptionJobStatus]


def observe(kube: Kube, reports: Reports, clock: Clock, key: Key) -> CaptionJobSeen | None:
    """Return the CaptionJob and what it owns, None if it is gone."""
    obj = read(kube, CAPTION_JOBS, key)
    if obj is None:
        return None
    owner = owner_of(obj)
    children = owned(kube, owner)
    spec, invalid = parse_spec(CaptionJobSpec, obj)
    return Seen(
        obj=obj,
        spec=spec,
        invalid=invalid,
        status=parse_status(CaptionJobStatus, obj),
        now=clock(),
        children=children,
        jobs=jobs_in(children),
        pods=pods_of(kube, owner),
        missing_claims=missing_claims(kube, key.namespace, obj.get("spec", {})),
        reports=dict(reports.of(key)),
    )
