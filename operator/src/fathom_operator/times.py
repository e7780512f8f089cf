"""Points in time as the API writes them: UTC, whole seconds, `2026-01-31T12:00:00Z`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    """Return `moment` as the API writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(timestamp: str) -> datetime:
    """Return the moment that `timestamp`, of ours or of Kubernetes, names."""
    return datetime.fromisoformat(timestamp)


def soonest(*seconds: float | None) -> float | None:
    """Return the least of `seconds` from now, None where there are none."""
    return min((s for s in seconds if s is not None), default=None)


def seconds_since(timestamp: str, now: datetime) -> float:
    """Return how long ago `timestamp` was."""
    return (now - parse(timestamp)).total_seconds()
