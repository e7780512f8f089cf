"""The work queue between watches and workers.

A key is queued at most once and never worked on by two workers at a time; a key that is added while it is
worked on is worked on once more after that. Failures come back after a delay that doubles. Threads wait on
one condition variable.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)


class Queue(Generic[KeyT]):
    """Keys to work on."""

    def __init__(
        self,
        *,
        base_delay: float = 0.5,
        max_delay: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the delay after a first failure and the longest one, in seconds."""
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._clock = clock
        self._changed = threading.Condition()
        self._due: dict[KeyT, float] = {}
        # Entries whose time is no longer that of `_due`, or whose key is at work, are passed over.
        self._heap: list[tuple[float, int, KeyT]] = []
        self._count = 0
        self._at_work: dict[KeyT, float] = {}
        self._failures: dict[KeyT, int] = {}
        self._closed = False

    def add(self, key: KeyT) -> None:
        """Have `key` worked on as soon as possible."""
        self.add_after(key, 0.0)

    def add_after(self, key: KeyT, seconds: float) -> None:
        """Have `key` worked on in `seconds`, or earlier if it is due earlier already."""
        with self._changed:
            due = self._clock() + seconds
            if due < self._due.get(key, float("inf")):
                self._schedule(key, due)

    def retry(self, key: KeyT) -> float:
        """Have `key` worked on again after it failed; return the delay in seconds."""
        with self._changed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
        delay = min(self._max_delay, self._base_delay * 2.0 ** min(failures, 30))
        self.add_after(key, delay)
        return delay

    def forget(self, key: KeyT) -> None:
        """Forget that `key` failed."""
        with self._changed:
            self._failures.pop(key, None)

    def get(self) -> KeyT | None:
        """Return the next key when it is due and nobody works on it; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                now = self._clock()
                due = self._next_due()
                if due is not None and due <= now:
                    _, _, key = heapq.heappop(self._heap)
                    del self._due[key]
                    self._at_work[key] = now
                    return key
                self._changed.wait(None if due is None else due - now)
        return None

    def done(self, key: KeyT) -> None:
        """Say that the work on `key`, which `get` returned, has ended."""
        with self._changed:
            self._at_work.pop(key, None)
            if key in self._due:
                self._schedule(key, self._due[key])

    def _schedule(self, key: KeyT, due: float) -> None:
        self._due[key] = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))
        self._changed.notify()

    def _next_due(self) -> float | None:
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) == due and key not in self._at_work:
                return due
            heapq.heappop(self._heap)
        return None

    def close(self) -> None:
        """Send all workers home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def depth(self) -> int:
        """Return how many keys are due and wait for a worker."""
        with self._changed:
            now = self._clock()
            return sum(due <= now for due in self._due.values())

    def longest_work(self) -> float:
        """Return for how many seconds the slowest worker has been at its key."""
        with self._changed:
            now = self._clock()
            return max((now - since for since in self._at_work.values()), default=0.0)
