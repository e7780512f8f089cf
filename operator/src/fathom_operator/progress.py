"""Adding up what the pods of one piece of work say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fathom_api.progress import Progress
from fathom_operator.digests import full
from fathom_operator.reports import Report
from fathom_operator.times import text
from fathom_operator.views import PodView, latest_by_index
from fathom_operator.work import Work, WorkState

#: Seconds since 1970 of the year 9999: what lies beyond is no time.
_LATEST_TIME: Final = 253_370_764_800.0


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
    #: Tokens that all pods wrote, those that were replaced included.
    tokens: int = 0
    #: When a pod last committed work.
    committed_at: datetime | None = None
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


def tally(state: WorkState, reports: Mapping[str, Report], parts: int = 1, total: int = 0) -> Tally:
    """Return the sum over the pods of `state`.

    Without a `total` that is known, parts not heard of count as the others' mean.
    """
    pods = latest_by_index(state.pods)
    known = {i: p for i, pod in pods.items() if (p := _progress(pod, reports)) is not None}
    said = [known[i] for i in sorted(known)]
    told = [known[i].per_second for i in known if pods[i].active]
    rates = [rate for rate in told if rate is not None and math.isfinite(rate)]
    at = [reports[pod.uid].at for pod in pods.values() if pod.uid in reports]
    estimate = round(sum(p.total for p in said) * parts / len(said)) if said else 0
    everybody = [p for pod in state.pods if (p := _progress(pod, reports)) is not None]
    return Tally(
        parts=parts,
        heard=len(said),
        total=total or estimate,
        done=sum(p.done for p in said),
        failed=sum(p.failed for p in said),
        reused=sum(p.reused for p in said),
        per_second=round(sum(rates), 3) if any(rates) else None,
        metrics=finite(said[-1].metrics) if said else None,
        samples=tuple(dict.fromkeys(sample for p in said for sample in p.samples))[:3],
        last_at=max(at, default=None),
        silent=len(pods) - len(known),
        tokens=sum(p.tokens for p in everybody),
        committed_at=_latest_commit(everybody, max(at, default=None)),
    )


def digest_of(work: Work, state: WorkState) -> str:
    """Return the digest of what `work` made: its pods', or, if they are gone, that of the task itself."""
    said = [pod.outcome for _, pod in sorted(latest_by_index(state.pods).items())]
    told = [outcome.digest for outcome in said if outcome and outcome.digest]
    if len(told) != (work.shards or 1):
        return full(work.task.document())
    return told[0] if len(told) == 1 else full(told)


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers among `metrics`: JSON, and so a status, has neither NaN nor infinity."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _latest_commit(said: Iterable[Progress], heard_at: datetime | None) -> datetime | None:
    """Return when work was last committed; a pod whose clock is ahead committed when it said so."""
    times = [p.committed_at for p in said if p.committed_at is not None and math.isfinite(p.committed_at)]
    latest = max((t for t in times if 0 <= t <= _LATEST_TIME), default=None)
    if latest is None:
        return None
    moment = datetime.fromtimestamp(latest, UTC)
    return min(moment, heard_at) if heard_at is not None else moment


def _progress(pod: PodView, reports: Mapping[str, Report]) -> Progress | None:
    if pod.outcome is not None and pod.outcome.result == "Succeeded":
        return pod.outcome.progress
    report = reports.get(pod.uid)
    return report.progress if report else None
