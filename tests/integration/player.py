"""What plays a controller does on a thread of its own: rounds over a namespace, until stopped."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

import httpx
from integration.kube import Namespace, Object, Refused

_INTERVAL = 0.1


@dataclass
class Player(ABC):
    """The controllers of one namespace."""

    namespace: Namespace
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    @abstractmethod
    def settles(self) -> Iterable[tuple[str, Callable[[Object], None]]]:
        """Yield kinds, and what brings the status of one of them to what its spec says."""

    @contextmanager
    def playing(self) -> Generator[Self]:
        """Play until the end of the context."""
        thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            # Where no answer came, a real controller would try again, too.
            with suppress(httpx.TransportError):
                self._round()

    def _round(self) -> None:
        for kind, settle in self.settles():
            for each in self.namespace.list(kind):
                try:
                    settle(each)
                except Refused as refused:
                    # Deleted or changed meanwhile: the next round sees what is there then.
                    if refused.code not in {404, 409}:
                        raise

    def say(self, kind: str, obj: Object, status: Object) -> None:
        """Write `status` of `obj`, unless that is what it says."""
        if any(obj.get("status", {}).get(key) != value for key, value in status.items()):
            self.namespace.patch_status(kind, obj["metadata"]["name"], status)
