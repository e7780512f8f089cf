"""What is particular to RecModels, for the reconciler."""

from __future__ import annotations

from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import REC_MODELS
from fathom_operator.plan import Key, Plan
from fathom_operator.platform import Platform
from fathom_operator.recmodel.asker import Asker
from fathom_operator.recmodel.decide import decide, refuse
from fathom_operator.recmodel.evidence import Evidences
from fathom_operator.recmodel.observe import RecModelSeen, observe
from fathom_operator.recmodel.scraper import PodScraper, Scraper
from fathom_operator.reports import Reports
from fathom_operator.times import Clock, utc_now


class RecModelController:
    """Observes and decides about RecModels."""

    resource = REC_MODELS

    def __init__(
        self,
        platform: Platform,
        reports: Reports,
        clock: Clock = utc_now,
        scraper: Scraper | None = None,
        asker: Asker | None = None,
    ) -> None:
        """Take what decisions know of the installation, where pods' reports are kept, what reads and asks."""
        self._evidences = Evidences(scraper or PodScraper(), asker)
        self._platform = platform
        self._reports = reports
        self._clock = clock

    def observe(self, kube: Kube, key: Key) -> RecModelSeen | None:
        """Return the RecModel and what it owns, None if it is gone."""
        return observe(kube, self._reports, self._evidences, self._clock, key)

    def decide(self, seen: RecModelSeen) -> Plan:
        """Return what shall be."""
        return decide(seen, self._platform)

    def refuse(self, seen: RecModelSeen, message: str) -> Plan:
        """Return what shall be when the API server refuses a child."""
        return refuse(seen, message)
