"""Whose turn it is to compute: those that decode media, or the model where it runs on the same CPUs.

Both at once are slower than one after the other: each operation of the model ends with its slowest thread,
and waits for Python's lock besides.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager


class Turns:
    """Lets at most `decoders` decode at once, and, if `apart`, nobody while the model computes."""

    def __init__(self, decoders: int, *, apart: bool) -> None:
        self._most = decoders
        self._apart = apart
        self._changed = threading.Condition()
        self._decoding = 0
        self._models = 0

    @contextmanager
    def decode(self) -> Generator[None]:
        """Wait until there is a place among those that decode, and take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._decoding < self._most and not self._models)
            self._decoding += 1
        try:
            yield
        finally:
            with self._changed:
                self._decoding -= 1
                self._changed.notify_all()

    @contextmanager
    def generate(self) -> Generator[None]:
        """Wait until those that decode now have done so, and let nobody begin."""
        if not self._apart:
            yield
            return
        with self._changed:
            self._models += 1
            self._changed.wait_for(lambda: not self._decoding)
        try:
            yield
        finally:
            with self._changed:
                self._models -= 1
                self._changed.notify_all()
