"""What rollouts under way have shown so far, kept in memory: an operator that restarts begins a step anew."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from fathom_api.recmodel import RecModelStatus
from fathom_api.rollout import Rollout
from fathom_api.types import seconds
from fathom_operator.analysis.counts import Scrape
from fathom_operator.analysis.windows import Evidence, Look
from fathom_operator.plan import Key
from fathom_operator.recmodel.predictor import STAGE
from fathom_operator.recmodel.scraper import Scraper
from fathom_operator.views import PodView

#: A look this much too early is a look.
_SLACK: Final = 0.9


@dataclass(frozen=True)
class Shown:
    """The evidence of one step of one candidate."""

    candidate: str = ""
    step: int = 0
    evidence: Evidence = field(default_factory=Evidence)
    at: datetime | None = None
    #: Restarts of the candidate's pods when the step began, and since then.
    restarts_before: dict[str, int] = field(default_factory=dict[str, int])
    restarts: int = 0


class Evidences:
    """What is known of each rollout; workers share it."""

    def __init__(self, scraper: Scraper) -> None:
        """Take what reads the pods."""
        self._scraper = scraper
        self._lock = threading.Lock()
        self._shown: dict[Key, Shown] = {}

    def forget(self, key: Key) -> None:
        """Forget a rollout that is over, or whose resource is gone."""
        with self._lock:
            self._shown.pop(key, None)

    def look(
        self, key: Key, rollout: Rollout, status: RecModelStatus, pods: Iterable[PodView], now: datetime
    ) -> Shown:
        """Return the evidence of the step that `status` is in, with a look at the pods if one is due."""
        if status.rollout is None or status.candidate is None or status.stable is None:
            self.forget(key)
            return Shown()
        stable, candidate = status.stable.name, status.candidate.name
        both = [p for p in pods if p.stage == STAGE and p.run in {stable, candidate} and not p.deleting]
        with self._lock:
            before = self._shown.get(key, Shown())
        shown = _of_step(before, candidate, status.rollout.step, rollout, both)
        if rollout.analysis and _is_due(shown, rollout, now):
            look = self._at(both, stable, candidate, now)
            begun = status.rollout.step_started_at is not None
            evidence = shown.evidence.see(look) if begun else replace(shown.evidence, last=look)
            shown = replace(shown, evidence=evidence, at=now)
        with self._lock:
            self._shown[key] = shown
        return shown

    def _at(self, pods: list[PodView], stable: str, candidate: str, now: datetime) -> Look:
        ready = [pod for pod in pods if pod.ready and pod.ip]
        read = self._scraper(ready)
        blind = tuple(sorted(pod.name for pod in ready if pod.name not in read))

        def of(version: str) -> dict[str, Scrape]:
            return {p.name: read[p.name] for p in ready if p.run == version and p.name in read}

        return Look(now, of(stable), of(candidate), blind)


def _of_step(before: Shown, candidate: str, step: int, rollout: Rollout, pods: list[PodView]) -> Shown:
    """Return what was shown in this step so far; another step, or candidate, begins with nothing."""
    restarts = {pod.name: pod.restarts for pod in pods if pod.run == candidate}
    if (before.candidate, before.step) == (candidate, step):
        since = sum(max(0, n - before.restarts_before.get(name, 0)) for name, n in restarts.items())
        return replace(before, restarts=since)
    baking = step >= len(rollout.steps) and before.candidate == candidate
    evidence = before.evidence.without_stable() if baking else Evidence()
    return Shown(candidate, step, replace(evidence, last=None), restarts_before=restarts)


def _is_due(shown: Shown, rollout: Rollout, now: datetime) -> bool:
    return shown.at is None or (now - shown.at).total_seconds() >= _SLACK * seconds(rollout.interval)
