"""Distributions of what streams by: histograms, frequent texts, how many are different."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fathom.report.columns import Hashes

_LIMIT: Final = 1 << 20
#: Bins cover the values up to this share; the rest is in the last one, which is open.
_SHOWN: Final = 0.99


@dataclass(frozen=True)
class Bin:
    """How many values are in [low, high]; `high` is None in a last bin that is open."""

    low: int
    high: int | None
    count: int

    @property
    def label(self) -> str:
        """The bin in words: `7`, `5–9`, `40 or more`."""
        if self.high is None:
            return f"{self.low:,} or more"
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,}–{self.high:,}"


class Histogram:
    """Counts of whole numbers from 0, exact below 2²⁰; larger ones count as that."""

    def __init__(self) -> None:
        self._counts = np.zeros(64, np.int64)
        self._sum = 0.0

    def add(self, values: NDArray[np.float64] | NDArray[np.int64]) -> None:
        """Count `values`, rounded down."""
        whole = np.clip(np.nan_to_num(values), 0, _LIMIT).astype(np.int64)
        counts = np.bincount(whole)
        if len(counts) > len(self._counts):
            grown = np.zeros(max(len(counts), 2 * len(self._counts)), np.int64)
            grown[: len(self._counts)] = self._counts
            self._counts = grown
        self._counts[: len(counts)] += counts
        self._sum += float(whole.sum())

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self._counts.sum())

    @property
    def sum(self) -> float:
        """All values together."""
        return self._sum

    @property
    def mean(self) -> float:
        """The mean, 0 of nothing."""
        return self._sum / self.total if self.total else 0.0

    def quantile(self, share: float) -> int:
        """Return the smallest number that `share` of the values do not exceed; 0 of nothing."""
        reached = np.searchsorted(np.cumsum(self._counts), math.ceil(share * self.total))
        return int(reached) if self.total else 0

    def bins(self, most: int = 24) -> list[Bin]:
        """Return at most about `most` bins of equal, round width."""
        if not self.total:
            return []
        low, high, last = self.quantile(0.0001), self.quantile(_SHOWN), self.quantile(1)
        width = _round_up((high - low + 1) / most)
        start = low // width * width
        edges = range(start, high + 1, width)
        bins = [self._bin(edge, edge + width - 1) for edge in edges]
        below, above = int(self._counts[:start].sum()), int(self._counts[edges[-1] + width :].sum())
        bins[0] = Bin(bins[0].low, bins[0].high, bins[0].count + below)
        if above and last >= edges[-1] + width:
            bins.append(Bin(edges[-1] + width, None, above))
        return bins

    def _bin(self, low: int, high: int) -> Bin:
        return Bin(low, high, int(self._counts[low : high + 1].sum()))


def _round_up(width: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50, …"""
    if width <= 1:
        return 1
    power = 10 ** math.floor(math.log10(width))
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= width))


class Frequent:
    """The most frequent texts, in the memory of `most` of them (Misra and Gries 1982).

    A count is at most `missed` too low, and never too high.
    """

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()
        self.missed = 0

    def add(self, values: list[str]) -> None:
        """Count `values`."""
        self._counts.update(values)
        if len(self._counts) <= 4 * self._most:
            return
        less = self._counts.most_common(self._most + 1)[-1][1]
        self._counts = Counter({text: n - less for text, n in self._counts.items() if n > less})
        self.missed += less

    def top(self, most: int) -> list[tuple[str, int]]:
        """Return those that certainly occur more than once and stand out of what was missed."""
        floor = max(1, self.missed)
        return [(text, n) for text, n in self._counts.most_common(most) if n > floor]


class Different:
    """How many different hashes there are: exact up to `most`, within about 2 % above.

    The smallest `most` hashes tell how densely they lie (k minimum values, Bar-Yossef et al. 2002).
    """

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._smallest = np.empty(0, np.uint64)

    def add(self, hashes: Hashes) -> None:
        """Look at `hashes`."""
        if len(self._smallest) == self._most:
            hashes = hashes[hashes < self._smallest[-1]]
        if len(hashes):
            self._smallest = np.unique(np.concatenate([self._smallest, hashes]))[: self._most]

    def count(self) -> int:
        """Return the number, estimated where there are many."""
        if len(self._smallest) < self._most:
            return len(self._smallest)
        return round((self._most - 1) / (float(self._smallest[-1]) / 2.0**64))
