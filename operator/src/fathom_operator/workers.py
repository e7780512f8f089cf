"""Threads that take keys from the queue and reconcile them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from fathom_operator.kube.errors import ConflictError, KubeError
from fathom_operator.leader import NotLeaderError
from fathom_operator.metrics import Metrics
from fathom_operator.plan import Key
from fathom_operator.queue import Queue
from fathom_operator.reconciler import Result

_log = logging.getLogger(__name__)


class Reconciles(Protocol):
    """A reconciler, whatever its kind."""

    def reconcile(self, key: Key) -> Result | None:
        """Reconcile a resource; None if it is gone."""
        ...


class Dependencies:
    """Who waits for whom: a RecModel for its CaptionJobs."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._lock = threading.Lock()
        self._waits_for: dict[Key, frozenset[Key]] = {}

    def put(self, key: Key, waits_for: frozenset[Key]) -> None:
        """Note what `key` waits for."""
        with self._lock:
            if waits_for:
                self._waits_for[key] = waits_for
            else:
                self._waits_for.pop(key, None)

    def waiting_for(self, key: Key) -> list[Key]:
        """Return those that a change of `key` concerns."""
        with self._lock:
            return [waiter for waiter, keys in self._waits_for.items() if key in keys]


class Workers:
    """A pool of worker threads."""

    def __init__(
        self,
        queue: Queue[Key],
        reconcilers: Mapping[str, Reconciles],
        dependencies: Dependencies,
        metrics: Metrics,
        gone: Callable[[Key], None],
    ) -> None:
        """Reconcile the kinds of `reconcilers`; `gone` is told of resources that are no more."""
        self._queue = queue
        self._reconcilers = reconcilers
        self._dependencies = dependencies
        self._metrics = metrics
        self._gone = gone
        self._threads: list[threading.Thread] = []

    def start(self, count: int) -> None:
        """Start `count` workers."""
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def alive(self) -> bool:
        """Return whether all workers run."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self, seconds: float) -> None:
        """Let the workers finish what they are at, for `seconds` at most."""
        self._queue.close()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (key := self._queue.get()) is not None:
            try:
                self.reconcile(key)
            finally:
                self._queue.done(key)

    def reconcile(self, key: Key) -> None:
        """Reconcile `key` once and see to it that it comes back when it should."""
        started = time.monotonic()
        try:
            result = self._reconcilers[key.kind].reconcile(key)
        except NotLeaderError:
            _log.info("%s: not reconciled, another replica leads", key)
            return
        except Exception as error:
            self._failed(key, error)
            return
        self._metrics.reconciled(key.kind, time.monotonic() - started)
        self._queue.forget(key)
        if result is None:
            self._dependencies.put(key, frozenset())
            self._metrics.stages.drop(key)
            self._gone(key)
            return
        self._metrics.stages.put(key, result.stage)
        self._dependencies.put(key, result.waits_for)
        for concerned in result.wakes:
            self._queue.add(concerned)
        if result.look_again is not None:
            self._queue.add_after(key, result.look_again)

    def _failed(self, key: Key, error: Exception) -> None:
        self._metrics.failed(key.kind, error)
        delay = self._queue.retry(key)
        if isinstance(error, ConflictError):
            _log.info("%s: %s; again in %.1f s", key, error, delay)
        elif isinstance(error, KubeError):
            _log.warning("%s: %s; again in %.1f s", key, error, delay)
        else:
            _log.error("%s: again in %.1f s", key, delay, exc_info=error)
