"""The one way the demo and the tests wait: look until it is so, with a deadline and a policy for hiccups."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from demo.kube import KubeError

T = TypeVar("T")

#: What an API server says while it or the network has a hiccup; everything else is an error at once.
TRANSIENT = (
    "connection refused",
    "connection reset",
    "i/o timeout",
    "tls handshake timeout",
    "unexpected eof",
    "http2: client connection lost",
    "etcdserver:",
    "serviceunavailable",
    "the server is currently unable",
    "the object has been modified",
    "failed calling webhook",
)


class DeadlineError(Exception):
    """It did not become so in time."""


def transient(error: KubeError) -> bool:
    """Return whether trying again may help."""
    return any(sign in str(error).lower() for sign in TRANSIENT)


def wait_for(
    what: str,
    look: Callable[[], T | None],
    *,
    timeout: float,
    every: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return the first result of `look` that is not None (or False); look every so many seconds.

    Raises:
        DeadlineError: there was none within `timeout` seconds.
        KubeError: an error that does not pass by itself.
    """
    deadline = clock() + timeout
    last: KubeError | None = None
    while True:
        try:
            seen = look()
            if seen is not None and seen is not False:
                return seen
        except KubeError as error:
            if not transient(error):
                raise
            last = error
        if clock() >= deadline:
            raise DeadlineError(f"{what}: not within {timeout:g} s") from last
        sleep(every)
