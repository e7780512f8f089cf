"""What is particular to InterestMaps, for the reconciler."""

from __future__ import annotations

from fathom_operator.interestmap.decide import decide, refuse
from fathom_operator.interestmap.observe import InterestMapSeen, observe
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import INTEREST_MAPS
from fathom_operator.plan import Key, Plan
from fathom_operator.platform import Platform
from fathom_operator.reports import Reports
from fathom_operator.times import Clock, utc_now


class InterestMapController:
    """Observes and decides about InterestMaps."""

    resource = INTEREST_MAPS

    def __init__(self, platform: Platform, reports: Reports, clock: Clock = utc_now) -> None:
        """Take what decisions know of the installation and where pods' reports are kept."""
        self._platform = platform
        self._reports = reports
        self._clock = clock

    def observe(self, kube: Kube, key: Key) -> InterestMapSeen | None:
        """Return the InterestMap and what it owns, None if it is gone."""
        return observe(kube, self._reports, self._clock, key)

    def decide(self, seen: InterestMapSeen) -> Plan:
        """Return what shall be."""
        return decide(seen, self._platform)

    def refuse(self, seen: InterestMapSeen, message: str) -> Plan:
        """Return what shall be when the API server refuses a pod's spec."""
        return refuse(seen, message)
