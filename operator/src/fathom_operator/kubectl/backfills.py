"""Backfills as text for people; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from fathom_api import BackfillStatus
from fathom_api.backfill_status import Probe
from fathom_api.conditions import ConditionType
from fathom_operator.conditions import find
from fathom_operator.times import seconds_since

#: How kubectl's users may name the kind before the slash.
NAMES: Final = frozenset({"backfill", "backfills", "bf", "backfills.fathom.dev"})
#: Stages in which nothing happens until people or the clock say so.
AT_REST: Final = frozenset(
    {"AwaitingApproval", "Holding", "RolledBack", "Stopped", "Retaining", "Complete", "Failed"}
)
_BAR: Final = 20
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_MOST_SPARKS: Final = 51


def backfill_lines(name: str, status: BackfillStatus, now: datetime) -> list[str]:
    """Return what a Backfill does now: how far, how fast, what the probes found."""
    ready = find(status.conditions, ConditionType.READY)
    lines = [f"{name}  {status.stage}" + (f"  ({ready.reason})" if ready else "")]
    if ready is not None and ready.message:
        lines.append(f"  {ready.message}")
    if status.items.total:
        filled = round(_BAR * status.beta)
        lines += ["", f"  {'█' * filled}{'░' * (_BAR - filled)} β {status.beta:.2f}, {_items(status)}"]
    if status.items_per_second is not None:
        lines.append(f"  {status.items_per_second:.3g} items/s{_eta(status, now)}")
    if status.estimate is not None and status.stage in {"Estimating", "AwaitingApproval"}:
        lines.append(f"  estimated: {_seconds(status.estimate.seconds)}{_cost(status.estimate.cost)}")
    if status.probes:
        lines += ["", *_curve(status.probes), f"  verdict    {status.verdict or '-'}"]
    if status.usage.estimated_cost:
        lines.append(f"  cost       {status.usage.estimated_cost} so far")
    if status.url:
        lines.append(f"  searched   at {status.url}")
    return lines


def sparkline(values: Sequence[float]) -> str:
    """Return values as a line of blocks, the least the lowest; of more than fit, some are left out."""
    step = -(-len(values) // _MOST_SPARKS)
    kept = [*values[:-1:step], values[-1]]
    low, high = min(kept), max(kept)
    if high == low:
        return _SPARKS[0] * len(kept)
    return "".join(_SPARKS[round((value - low) / (high - low) * (len(_SPARKS) - 1))] for value in kept)


def _curve(probes: Sequence[Probe]) -> list[str]:
    recall, flips = [p.recall for p in probes], [p.negative_flip_rate for p in probes]
    return [
        f"  recall     {sparkline(recall)}  {recall[0]:.4f} at {probes[0].percent} %, "
        f"{recall[-1]:.4f} at {probes[-1].percent} %",
        f"  flips      {sparkline(flips)}  at most {max(flips):.2%}, now {flips[-1]:.2%}",
    ]


def _items(status: BackfillStatus) -> str:
    items = status.items
    failed = f", {items.failed} cannot be read" if items.failed else ""
    added = f", {items.added} came or changed" if items.added else ""
    return f"{items.moved:,} of {items.total:,} items{failed}{added}"


def _eta(status: BackfillStatus, now: datetime) -> str:
    if status.estimated_completion_time is None:
        return ""
    return f", done in {_seconds(round(-seconds_since(status.estimated_completion_time, now)))}"


def _seconds(seconds: int | None) -> str:
    if seconds is None:
        return "unknown time"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0, seconds)} s"


def _cost(cost: str | None) -> str:
    return f", {cost}" if cost else ""
