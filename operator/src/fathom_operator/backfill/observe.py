"""All that a decision about a Backfill needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fathom_api import BackfillSpec, BackfillStatus
from fathom_operator.catalogues import CatalogueSeen, catalogue_of
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import BACKFILLS, CONFIG_MAPS, INFERENCE_SERVICES, JOBS, SERVICES
from fathom_operator.observation import Seen, gather, read
from fathom_operator.plan import Key
from fathom_operator.recmodel.services import ServiceView, services_in
from fathom_operator.reports import Reports
from fathom_operator.times import Clock

_OWNED: Final = (JOBS, CONFIG_MAPS, SERVICES, INFERENCE_SERVICES)


@dataclass(frozen=True)
class BackfillSeen(Seen[BackfillSpec, BackfillStatus]):
    """A Backfill, what it owns and how its gallery is served."""

    services: dict[str, ServiceView] = field(default_factory=dict[str, ServiceView])
    #: The CaptionJob of `spec.gallery`; None where it names none, or there is none of that name.
    catalogue: CatalogueSeen | None = None
    #: API groups that serving needs and the cluster does not have.
    not_installed: tuple[str, ...] = ()


def observe(kube: Kube, reports: Reports, clock: Clock, key: Key) -> BackfillSeen | None:
    """Return the Backfill and what it owns, None if it is gone."""
    obj = read(kube, BACKFILLS, key)
    if obj is None:
        return None
    found = gather(kube, reports, clock, obj, (BackfillSpec, BackfillStatus), owns=_OWNED)
    spec = found.spec
    lacks = spec is not None and spec.serving is not None and not kube.served(INFERENCE_SERVICES)
    return BackfillSeen(
        **vars(found),
        services=services_in(found.children),
        catalogue=_catalogue(kube, key.namespace, spec),
        not_installed=(INFERENCE_SERVICES.group,) if lacks else (),
    )


def _catalogue(kube: Kube, namespace: str, spec: BackfillSpec | None) -> CatalogueSeen | None:
    named = spec.gallery.caption_job if spec else None
    return catalogue_of(kube, namespace, named) if named else None
