"""Ending in an orderly way when a pod is told to go."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Stop:
    """Whether, and by which signal, we were told to end."""

    signal: int | None = None

    def check(self) -> None:
        """End the process with the signal's exit code, if it came; call it where nothing would be lost."""
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@contextmanager
def on_sigterm() -> Generator[Stop]:
    """Put SIGTERM off until `Stop.check` is called, for as long as the block lasts."""
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
