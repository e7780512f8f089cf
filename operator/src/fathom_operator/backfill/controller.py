"""What is particular to Backfills, for the reconciler."""

from __future__ import annotations

from fathom_operator.backfill.decide import decide, refuse
from fathom_operator.backfill.observe import BackfillSeen, observe
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import BACKFILLS
from fathom_operator.plan import Key, Plan
from fathom_operator.platform import Platform
from fathom_operator.reports import Reports
from fathom_operator.times import Clock, utc_now


class BackfillController:
    """Observes and decides about Backfills."""

    resource = BACKFILLS

    def __init__(self, platform: Platform, reports: Reports, clock: Clock = utc_now) -> None:
        """Take what decisions know of the installation and where pods' reports are kept."""
        self._platform = platform
        self._reports = reports
        self._clock = clock

    def observe(self, kube: Kube, key: Key) -> BackfillSeen | None:
        """Return the Backfill and what it owns, None if it is gone."""
        return observe(kube, self._reports, self._clock, key)

    def decide(self, seen: BackfillSeen) -> Plan:
        """Return what shall be."""
        return decide(seen, self._platform)

    def refuse(self, seen: BackfillSeen, message: str) -> Plan:
        """Return what shall be when the API server refuses a child."""
        return refuse(seen, message)
