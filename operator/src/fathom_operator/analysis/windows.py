"""What both versions counted side by side since a step began, window by window.

Windows, not only sums: requests are not independent (one user asks often, a slow minute is slow for all), and
how much sums of windows vary tells by how much. There are never more than `LIMIT`: then two become one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from fathom_operator.analysis.counts import Counts, Scrape, counted, total

LIMIT: Final = 64


@dataclass(frozen=True)
class Window:
    """What was counted between two looks."""

    stable: Counts
    candidate: Counts

    def __add__(self, other: Window) -> Window:
        return Window(total([self.stable, other.stable]), total([self.candidate, other.candidate]))


@dataclass(frozen=True)
class Look:
    """The pods of both versions at one moment, by name; `blind` are ready ones that could not be read."""

    at: datetime
    stable: Mapping[str, Scrape]
    candidate: Mapping[str, Scrape]
    blind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that was seen in one step."""

    windows: tuple[Window, ...] = ()
    last: Look | None = None
    #: How many looks a window holds; the newest may hold fewer.
    looks: int = 1
    #: Looks that the newest window holds.
    filled: int = 0

    def see(self, look: Look) -> Evidence:
        """Return the evidence with what was counted since the look before."""
        before = self.last
        if before is None:
            return replace(self, last=look)
        window = Window(counted(before.stable, look.stable), counted(before.candidate, look.candidate))
        # A pod that could not be read this time is read again: what it counts meanwhile is not lost.
        stable = {**before.stable, **look.stable}
        last = replace(look, stable=stable, candidate={**before.candidate, **look.candidate})
        return self.add(window, last)

    def add(self, window: Window, last: Look | None = None) -> Evidence:
        """Return the evidence with one more look's window."""
        if self.windows and self.filled < self.looks:
            windows = (*self.windows[:-1], self.windows[-1] + window)
            return replace(self, windows=windows, last=last, filled=self.filled + 1)
        if len(self.windows) >= LIMIT:
            halved = replace(self, windows=pairs(self.windows), looks=2 * self.looks)
            return replace(halved, windows=(*halved.windows, window), last=last, filled=1)
        return replace(self, windows=(*self.windows, window), last=last, filled=1)

    def without_stable(self) -> Evidence:
        """Return the evidence that a bake begins with: what stable did last, beside nothing of the candidate.

        From then on the candidate is alone, so its windows stand beside nothing of stable.
        """
        return Evidence(tuple(Window(w.stable, Counts()) for w in self.windows), filled=1)

    def candidate_requests(self) -> float:
        """Return how many requests the candidate has answered."""
        return math.fsum(w.candidate.requests for w in self.windows)


def pairs(windows: Sequence[Window]) -> tuple[Window, ...]:
    """Return windows twice as long."""
    joined = [a + b for a, b in zip(windows[::2], windows[1::2], strict=False)]
    return (*joined, *windows[len(joined) * 2 :])
