"""All that a decision about a Backfill needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fathom_api import BackfillSpec, BackfillStatus
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import BACKFILLS, CONFIG_MAPS, INFERENCE_SERVICES, JOBS, SERVICES
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
from fathom_operator.recmodel.services import ServiceView, service_view
from fathom_operator.reports import Reports
from fathom_operator.times import Clock

_OWNED: Final = (JOBS, CONFIG_MAPS, SERVICES, INFERENCE_SERVICES)


@dataclass(frozen=True)
class BackfillSeen(Seen[BackfillSpec, BackfillStatus]):
    """A Backfill, what it owns and how its gallery is served."""

    services: dict[str, ServiceView] = field(default_factory=dict[str, ServiceView])
    #: API groups that serving needs and the cluster does not have.
    not_installed: tuple[str, ...] = ()


def observe(kube: Kube, reports: Reports, clock: Clock, key: Key) -> BackfillSeen | None:
    """Return the Backfill and what it owns, None if it is gone."""
    obj = read(kube, BACKFILLS, key)
    if obj is None:
        return None
    owner = owner_of(obj)
    children = owned(kube, owner, _OWNED)
    spec, invalid = parse_spec(BackfillSpec, obj)
    lacks = spec is not None and spec.serving is not None and not kube.served(INFERENCE_SERVICES)
    return BackfillSeen(
        obj=obj,
        spec=spec,
        invalid=invalid,
        status=parse_status(BackfillStatus, obj),
        now=clock(),
        children=children,
        jobs=jobs_in(children),
        pods=pods_of(kube, owner),
        missing_claims=missing_claims(kube, key.namespace, obj.get("spec", {})),
        reports=dict(reports.of(key)),
        services={r.name: service_view(o) for r, o in children.items() if r.kind == INFERENCE_SERVICES.kind},
        not_installed=(INFERENCE_SERVICES.group,) if lacks else (),
    )
