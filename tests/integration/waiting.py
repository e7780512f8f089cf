"""The one place where tests wait: for something that will be true, up to a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
#: Far above what anything here takes: a test fails by it only when something will never be true.
PATIENCE = 60.0
_INTERVAL = 0.05


def until(what: str, look: Callable[[], T | None], *, within: float = PATIENCE) -> T:
    """Return what `look` returns as soon as that is something true; an AssertionError counts as "not yet".

    Raises:
        AssertionError: it was not so within the deadline; says what was seen last.
    """
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = seen = look()
            if seen:
                return seen
        except AssertionError as error:
            last = error
        time.sleep(_INTERVAL)
    raise AssertionError(f"{what}: not so after {within:.0f} s; last seen: {last!s:.2000}")


def stays(what: str, look: Callable[[], T], *, for_seconds: float = 1.0) -> T:
    """Return what `look` returns if it returns the same all the while."""
    first = look()
    deadline = time.monotonic() + for_seconds
    while time.monotonic() < deadline:
        now = look()
        assert now == first, f"{what}: was {first!s:.1000}, became {now!s:.1000}"
        time.sleep(_INTERVAL)
    return first
