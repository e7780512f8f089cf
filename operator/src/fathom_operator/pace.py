"""How often a status is written: at once where it says something new, progress at most every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Key

#: No resource's progress is written more often, in seconds.
PROGRESS_SECONDS: Final = 5.0
#: Fields that say how far the work is, not what is done.
_PROGRESS: Final = frozenset(
    {
        "estimatedCompletionTime",
        "fineTune",
        "items",
        "itemsPerSecond",
        "lastCheckpointTime",
        "lastProgressTime",
        "percent",
        "sampleCaptions",
        "shards",
        "training",
        "usage",
    }
)


class Pace:
    """When the status of each resource was last written."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing written."""
        self._clock = clock
        self._lock = threading.Lock()
        self._written: dict[Key, float] = {}

    def wait(self, key: Key, before: Obj, status: Obj) -> float | None:
        """Return for how many seconds `status` must wait; None if it may be written, which then counts."""
        with self._lock:
            now = self._clock()
            left = self._written.get(key, float("-inf")) + PROGRESS_SECONDS - now
            if left > 0 and _news(before) == _news(status):
                return left
            self._written[key] = now
            return None

    def forget(self, key: Key) -> None:
        """Forget a resource that is gone."""
        with self._lock:
            self._written.pop(key, None)


def _news(status: Obj) -> dict[str, Any]:
    """Return what of `status` is written at once."""
    out = {name: value for name, value in status.items() if name not in _PROGRESS}
    # Their messages count items, and a run its tokens.
    out["conditions"] = [{**c, "message": ""} for c in status.get("conditions", [])]
    out["run"] = {name: value for name, value in status.get("run", {}).items() if name != "tokens"}
    return out
