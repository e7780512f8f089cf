"""The latest progress of each pod, in memory: pods repeat it, so a new operator soon knows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fathom_api.progress import Progress
from fathom_operator.plan import Key
from fathom_operator.times import Clock, utc_now

_KEPT_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Report:
    """What a pod said, and when."""

    progress: Progress
    at: datetime


class Reports:
    """Reports by parent and pod; wakes the parent at most every `wake_seconds`."""

    def __init__(
        self,
        wake: Callable[[Key, float], None],
        *,
        wake_seconds: float = 5.0,
        report_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Clock = utc_now,
    ) -> None:
        """Call `wake(key, delay)` when there is news; a pod may report every `report_seconds`."""
        self._wake = wake
        self._wake_seconds = wake_seconds
        self._report_seconds = report_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._reports: dict[Key, dict[str, Report]] = {}
        self._heard_at: dict[str, float] = {}
        self._woken_at: dict[Key, float] = {}

    def too_soon(self, pod_uid: str) -> bool:
        """Return whether this pod reported a moment ago."""
        with self._lock:
            return self._clock() - self._heard_at.get(pod_uid, float("-inf")) < self._report_seconds

    def add(self, key: Key, pod_uid: str, progress: Progress) -> None:
        """Keep a pod's report and wake its parent."""
        with self._lock:
            now = self._clock()
            self._drop_old(key, now)
            self._heard_at[pod_uid] = now
            self._reports.setdefault(key, {})[pod_uid] = Report(progress, self._wall_clock())
            last = self._woken_at.get(key, float("-inf"))
            due = last if last > now else max(now, last + self._wake_seconds)
            self._woken_at[key] = due
        self._wake(key, due - now)

    def _drop_old(self, key: Key, now: float) -> None:
        """Drop the reports of pods that have said nothing for an hour: a resource may have runs for years."""
        reports = self._reports.get(key, {})
        old = [uid for uid in reports if now - self._heard_at.get(uid, now) > _KEPT_SECONDS]
        for uid in old:
            del reports[uid]
            del self._heard_at[uid]

    def of(self, key: Key) -> Mapping[str, Report]:
        """Return the latest report of each pod of `key`, by the pod's uid."""
        with self._lock:
            return dict(self._reports.get(key, {}))

    def forget(self, key: Key) -> None:
        """Drop the reports of a resource that is gone."""
        with self._lock:
            for uid in self._reports.pop(key, {}):
                self._heard_at.pop(uid, None)
            self._woken_at.pop(key, None)
