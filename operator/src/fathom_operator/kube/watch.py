"""Watching children: a thread for each kind and namespace, by label selector, from the last version seen.

A watch only says which parents to look at again; what is true is read anew by each reconcile. So no objects
are kept, a lost event costs no more than the time until the next resync, and after a break everything is
listed once more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import GoneError, KubeError, NotFoundError
from fathom_operator.kube.resources import Obj, Resource

_log = logging.getLogger(__name__)
#: A kind that is not installed is looked for again after this many seconds.
_ABSENT_SECONDS = 30.0
_STREAM_SECONDS = 300


class Watch(threading.Thread):
    """Calls `seen` with every object that is there at first and that changes later."""

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        namespace: str | None,
        selector: str,
        seen: Callable[[Obj], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch `resource` in `namespace`, everywhere if None."""
        super().__init__(name=f"watch-{resource.plural}-{namespace or 'all'}", daemon=True)
        self._kube = kube
        self._resource = resource
        self._namespace = namespace
        self._selector = selector
        self._seen = seen
        self._clock = clock
        self._stopped = threading.Event()
        self._active_at = clock()
        self._failures = 0

    def run(self) -> None:
        """Watch until stopped."""
        while not self._stopped.is_set():
            try:
                self.follow(self.list())
            except NotFoundError:
                self._note_life()
                self._stopped.wait(_ABSENT_SECONDS)
            except GoneError:
                _log.debug("%s: the version to watch from is gone; listing again", self.name)
            except KubeError as error:
                self._active_at = self._clock()
                self._failures += 1
                _log.warning("%s: %s", self.name, error)
                self._stopped.wait(min(30.0, 2.0**self._failures))

    def stop(self) -> None:
        """End after the event at hand."""
        self._stopped.set()

    def idle(self) -> float:
        """Return for how many seconds nothing has happened, no failure either: a thread that hangs."""
        return self._clock() - self._active_at

    def list(self) -> str:
        """Report all objects; return the version to watch from."""
        answer = self._kube.list(self._resource, self._namespace, self._selector)
        self._note_life()
        for obj in answer["items"]:
            self._seen(obj)
        return str(answer["metadata"]["resourceVersion"])

    def follow(self, version: str) -> None:
        """Report changes since `version`, through as many streams as it takes.

        Raises:
            GoneError: the version is too old.
        """
        while not self._stopped.is_set():
            events = self._kube.watch(
                self._resource, self._namespace, self._selector, version, _STREAM_SECONDS
            )
            for event in events:
                self._note_life()
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._seen(event["object"])
                if self._stopped.is_set():
                    return
            self._note_life()

    def _note_life(self) -> None:
        self._active_at = self._clock()
        self._failures = 0
