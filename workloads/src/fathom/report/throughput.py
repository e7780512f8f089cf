"""Captions over time, from the moments at which they were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Bins that are kept; there would be more, they become twice as wide.
_MOST: Final = 4096
#: A longer pause ends a stretch of work: a suspended job, or the run before this one.
_PAUSE: Final = 1800.0
_BARS: Final = 60


@dataclass(frozen=True)
class Stretch:
    """Work without a long pause: when it began and ended (seconds since 1970) and what was made.

    `bars` are captions a second over equal spans of `width` seconds.
    """

    begin: float
    end: float
    captions: int
    tokens: int
    bars: list[float]
    width: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin


class Pace:
    """Counts captions and tokens by time; the bins widen with the time spanned, so that memory stays flat."""

    def __init__(self) -> None:
        self._width = 1
        self._bins: dict[int, tuple[int, int]] = {}
        self._last = float("-inf")

    def add(self, made_at: NDArray[np.float64], tokens: NDArray[np.float64]) -> None:
        """Count captions made at these moments, seconds since 1970."""
        known = np.isfinite(made_at) & (made_at > 0)
        if not known.any():
            return
        self._last = max(self._last, float(made_at[known].max()))
        places, where = np.unique((made_at[known] // self._width).astype(np.int64), return_inverse=True)
        captions = np.bincount(where)
        written = np.bincount(where, weights=tokens[known]).astype(np.int64)
        for place, more, words in zip(places.tolist(), captions.tolist(), written.tolist(), strict=True):
            self._put(place, more, words)
        while len(self._bins) > _MOST:
            self._widen()

    def stretches(self) -> list[Stretch]:
        """Return the stretches of work, the latest last."""
        groups: list[list[int]] = []
        for place in sorted(self._bins):
            if groups and (place - groups[-1][-1]) * self._width <= max(_PAUSE, 2 * self._width):
                groups[-1].append(place)
            else:
                groups.append([place])
        return [self._stretch(group) for group in groups]

    def _put(self, place: int, captions: int, tokens: int) -> None:
        before = self._bins.get(place, (0, 0))
        self._bins[place] = (before[0] + captions, before[1] + tokens)

    def _widen(self) -> None:
        narrow, self._bins = self._bins, {}
        self._width *= 2
        for place, (captions, tokens) in narrow.items():
            self._put(place // 2, captions, tokens)

    def _stretch(self, places: list[int]) -> Stretch:
        first, last = places[0], places[-1]
        each = -(-(last - first + 1) // _BARS)
        sums = np.zeros(-(-(last - first + 1) // each))
        for place in places:
            sums[(place - first) // each] += self._bins[place][0]
        found = [self._bins[place] for place in places]
        width = float(each * self._width)
        return Stretch(
            begin=float(first * self._width),
            end=min(float((last + 1) * self._width), max(self._last, float(first * self._width))),
            captions=sum(n for n, _ in found),
            tokens=sum(t for _, t in found),
            bars=(sums / width).tolist(),
            width=width,
        )
