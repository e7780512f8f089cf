"""Adding up what the pods of one piece of work say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from fathom_api.progress import Progress
from fathom_operator.reports import Report
from fathom_operator.times import text
from fathom_operator.views import PodView, latest_by_index
from fathom_operator.work import WorkState


@dataclass(frozen=True)
class Tally:
    """All pods of one piece of work together; of `parts` that there are, `heard` have spoken."""

    parts: int
    heard: int
    total: int = 0
    done: int = 0
    failed: int = 0
    reused: int = 0
    per_second: float | None = None
    metrics: Mapping[str, float] | None = None
    samples: tuple[str, ...] = ()
    last_at: datetime | None = None
    #: Pods that are there but have not said anything to us yet.
    silent: int = 0

    @property
    def fraction(self) -> float:
        """Return the share that is done, failed units counted: 0 to 1."""
        return min(1.0, (self.done + self.failed) / self.total) if self.total else 0.0

    @property
    def percent(self) -> int:
        """Return the share that is done, in whole percent, rounded down."""
        return int(100 * self.fraction)

    def eta(self, now: datetime) -> str | None:
        """Return when all will be done at this speed, None if that cannot be told."""
        left = self.total - self.done - self.failed
        if not self.per_second or not self.total or left <= 0:
            return None
        return text(now + timedelta(seconds=left / self.per_second))


def tally(state: WorkState, reports: Mapping[str, Report], parts: int = 1) -> Tally:
    """Return the sum over the pods of `state`; parts not heard of count as the others' mean."""
    pods = latest_by_index(state.pods)
    known = {i: p for i, pod in pods.items() if (p := _progress(pod, reports)) is not None}
    said = [known[i] for i in sorted(known)]
    rates = [known[i].per_second for i in known if pods[i].active]
    at = [reports[pod.uid].at for pod in pods.values() if pod.uid in reports]
    total = sum(p.total for p in said)
    return Tally(
        parts=parts,
        heard=len(said),
        total=round(total * parts / len(said)) if said else 0,
        done=sum(p.done for p in said),
        failed=sum(p.failed for p in said),
        reused=sum(p.reused for p in said),
        per_second=round(sum(rate or 0.0 for rate in rates), 3) if any(rates) else None,
        metrics=finite(said[-1].metrics) if said else None,
        samples=tuple(dict.fromkeys(sample for p in said for sample in p.samples))[:3],
        last_at=max(at, default=None),
        silent=len(pods) - len(known),
    )


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers among `metrics`: JSON, and so a status, has neither NaN nor infinity."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _progress(pod: PodView, reports: Mapping[str, Report]) -> Progress | None:
    if pod.outcome is not None and pod.outcome.result == "Succeeded":
        return pod.outcome.progress
    report = reports.get(pod.uid)
    return report.progress if report else None
