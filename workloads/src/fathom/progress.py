"""Telling how far we are: to the operator over HTTPS where there is one, to the terminal elsewhere."""

from __future__ import annotations

import logging
import os
import queue
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from fathom_api.progress import ENV_CA_FILE, ENV_TOKEN_FILE, ENV_URL, Progress

_log = logging.getLogger("fathom")
Send = Callable[[Progress], None]


class ReportLostError(Exception):
    """A report did not arrive."""


class Reporter:
    """Reports progress at most every `interval` seconds; a lost report never fails or delays the work.

    Sending happens on a thread of its own that always takes the latest progress.
    """

    def __init__(
        self, send: Send, *, interval: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send = send
        self._interval = interval
        self._clock = clock
        self._sent_at = float("-inf")
        self._seen: deque[tuple[float, int]] = deque(maxlen=30)
        self._latest: queue.Queue[Progress | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)
        self.progress = Progress()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._latest.put(self.progress)
        self._latest.put(None)
        self._thread.join(timeout=10)

    def update(self, progress: Progress) -> None:
        """Take note of `progress` (its `per_second` is worked out here) and send it when it is time."""
        now = self._clock()
        self._seen.append((now, progress.done + progress.failed - progress.reused))
        self.progress = progress.model_copy(update={"per_second": self._rate()})
        if now - self._sent_at >= self._interval:
            self._sent_at = now
            self._latest.put(self.progress)

    def _rate(self) -> float | None:
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return round((last - first) / (end - start), 3) if end > start else None

    def _work(self) -> None:
        while (progress := self._latest.get()) is not None:
            try:
                self._send(progress)
            except ReportLostError as error:
                _log.warning("progress report lost (%s); the next one replaces it", error)


def reporter() -> Reporter:
    """Return a reporter: to the operator if the environment names one, else to the terminal."""
    url = os.environ.get(ENV_URL)
    return Reporter(_to_operator(url) if url else _to_terminal)


def _to_operator(url: str) -> Send:
    # Where there is no operator, it would be a third of what a shard imports before it begins.
    import httpx

    token = Path(os.environ.get(ENV_TOKEN_FILE, "/var/run/secrets/fathom/token"))
    trusted = ssl.create_default_context(cafile=os.environ.get(ENV_CA_FILE) or None)
    client = httpx.Client(verify=trusted, timeout=5)

    def send(progress: Progress) -> None:
        # The kubelet renews the token in place, so it is read each time.
        headers = {"Authorization": f"Bearer {token.read_text().strip()}", "Content-Type": "application/json"}
        content = progress.model_dump_json(by_alias=True)
        try:
            client.post(url, content=content, headers=headers).raise_for_status()
        except httpx.HTTPError as error:
            raise ReportLostError(str(error)) from error
        _to_terminal(progress)

    return send


def _to_terminal(progress: Progress) -> None:
    rate = f", {progress.per_second:.1f}/s" if progress.per_second else ""
    numbers = "".join(f", {name} {value:.4g}" for name, value in progress.metrics.items())
    failed = f", {progress.failed} failed" if progress.failed else ""
    _log.info("%d of %d%s%s%s", progress.done, progress.total, failed, rate, numbers)
