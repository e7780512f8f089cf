"""What people see: steps with the time they took, and a live line where there is a terminal to draw it on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO


class View:
    """Prints steps. On a terminal a live line is redrawn; in a log it is a line of its own, now and then."""

    def __init__(
        self,
        out: TextIO = sys.stdout,
        *,
        clock: Callable[[], float] = time.monotonic,
        quiet: float = 10.0,
    ) -> None:
        """Take where to print and the least time in seconds between live lines in a log."""
        self._out = out
        self._clock = clock
        self._quiet = quiet
        self._began = clock()
        self._live = ""
        self._lived_at = float("-inf")
        self.times: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Print lines, each behind the time since the start."""
        self._clear()
        for line in text.splitlines():
            print(f"{self._elapsed()}  {line}", file=self._out, flush=True)

    def show(self, text: str) -> None:
        """Print a block as it is: a table, a list."""
        self._clear()
        print(text, file=self._out, flush=True)

    def live(self, text: str) -> None:
        """Show where things are just now."""
        if self._out.isatty():
            line = f"{self._elapsed()}    {text}"[:160]
            print(f"\r\033[K{line}", end="", file=self._out, flush=True)
            self._live = line
        elif text != self._live and self._clock() - self._lived_at >= self._quiet:
            self._live, self._lived_at = text, self._clock()
            print(f"{self._elapsed()}    {text}", file=self._out, flush=True)

    @contextmanager
    def step(self, title: str) -> Generator[None]:
        """Announce a step and say how long it took."""
        self.say(f"── {title}")
        began = self._clock()
        yield
        self.times[title] = self._clock() - began
        self.say(f"   done in {duration(self.times[title])}")

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def _elapsed(self) -> str:
        return duration(self.elapsed).rjust(6)

    def _clear(self) -> None:
        if self._live and self._out.isatty():
            print("\r\033[K", end="", file=self._out)
        self._live, self._lived_at = "", float("-inf")


def duration(seconds: float) -> str:
    """Return `seconds` as minutes and seconds: 75 → `1:15`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
