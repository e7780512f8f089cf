"""What pods have used: requested amounts × time, added up in portions; pure.

A status remembers until when it has counted, and a portion is what lies between that and now. So no time is
counted twice, nothing need be remembered of a pod, and pods that are gone stay counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from fathom_api.captionjob import Usage
from fathom_operator.prices import Prices, is_paid_for
from fathom_operator.times import parse, text
from fathom_operator.views import PodView

#: While all pods go on, a portion is at least so many seconds: the status is not written for less.
_PORTION: Final = 60.0


def counted(usage: Usage, pods: Iterable[PodView], prices: Prices, now: datetime) -> Usage:
    """Return `usage` with what `pods` have used since it was last counted."""
    ran = [pod for pod in pods if pod.started is not None]
    if not ran:
        return usage
    until = now.replace(microsecond=0)
    since = parse(usage.counted_until) if usage.counted_until else min(parse(p.started or "") for p in ran)
    steady = any(pod.runs for pod in ran) and not any(pod.runs and pod.deleting for pod in ran)
    if steady and (until - since).total_seconds() < _PORTION:
        return usage
    added = _added(ran, since, until)
    return _with(usage, added, prices, text(until)) if added else usage


def gpus(seconds: dict[str, float]) -> float:
    """Return the seconds of all GPUs together."""
    return sum(amount for name, amount in seconds.items() if name not in {"cpu", "memory"})


def _added(pods: Iterable[PodView], since: datetime, until: datetime) -> dict[str, float]:
    added: dict[str, float] = {}
    for pod in pods:
        begin = max(since, parse(pod.started)) if pod.started else until
        end = min(until, parse(pod.ended)) if pod.ended else until
        seconds = (end - begin).total_seconds()
        for name, amount in pod.requests.items():
            if seconds > 0 and is_paid_for(name):
                added[name] = added.get(name, 0.0) + amount * seconds
    return added


def _with(usage: Usage, added: dict[str, float], prices: Prices, until: str) -> Usage:
    before = usage.resource_seconds
    seconds = {name: round(before.get(name, 0.0) + added.get(name, 0.0), 3) for name in {*before, *added}}
    return usage.model_copy(
        update={
            "resource_seconds": dict(sorted(seconds.items())),
            "cpu_seconds": round(seconds.get("cpu", 0.0)),
            "gpu_seconds": round(gpus(seconds)),
            "estimated_cost": prices.cost(seconds),
            "counted_until": until,
        }
    )
