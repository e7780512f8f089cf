"""What a pod has counted: sums that can be added over pods and subtracted between two scrapes."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class NotComparableError(ValueError):
    """Two histograms with other edges: their buckets cannot be added or compared."""


@dataclass(frozen=True)
class Histogram:
    """How many values fell between edges; `counts` has one more than `edges`, the last for what is above."""

    edges: tuple[float, ...] = ()
    counts: tuple[float, ...] = (0.0,)
    #: Sum of the values.
    total: float = 0.0

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return sum(self.counts)

    def __sub__(self, other: Histogram) -> Histogram:
        if not other.size:
            return self
        if self.edges != other.edges:
            raise NotComparableError("buckets differ from one scrape to the next")
        counts = tuple(a - b for a, b in zip(self.counts, other.counts, strict=True))
        return Histogram(self.edges, counts, self.total - other.total)

    def below(self, value: float) -> float:
        """Return how many values are at or below `value`, within a bucket by its share of the bucket."""
        if value == math.inf:
            return self.size
        place = bisect_left(self.edges, value)
        whole = sum(self.counts[:place])
        if place == len(self.edges):
            return whole  # No upper edge to tell a share from.
        low = self.edges[place - 1] if place else 0.0
        share = (value - low) / (self.edges[place] - low) if self.edges[place] > low else 1.0
        return whole + self.counts[place] * min(1.0, max(0.0, share))

    def quantile(self, share: float) -> float:
        """Return the value below which `share` of the values lie, within a bucket by its share of the bucket.

        Values above the last edge are taken as the last edge, as Prometheus does. Buckets are coarse, so the
        value may be off by as much as a bucket, but in the same way for two versions with the same edges.
        """
        wanted, seen = share * self.size, 0.0
        for place, count in enumerate(self.counts[:-1]):
            if count and seen + count >= wanted:
                low = self.edges[place - 1] if place else 0.0
                return low + (self.edges[place] - low) * max(0.0, wanted - seen) / count
            seen += count
        return self.edges[-1] if self.edges else math.nan


@dataclass(frozen=True)
class Counts:
    """The counters of one pod, or of several, since a start."""

    requests: float = 0.0
    errors: float = 0.0
    candidates: float = 0.0
    unknown: float = 0.0
    latency: Histogram = field(default_factory=Histogram)
    scores: Histogram = field(default_factory=Histogram)
    #: Scores of what turned out well, and of what did not.
    positives: Histogram = field(default_factory=Histogram)
    negatives: Histogram = field(default_factory=Histogram)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.requests - other.requests,
            self.errors - other.errors,
            self.candidates - other.candidates,
            self.unknown - other.unknown,
            self.latency - other.latency,
            self.scores - other.scores,
            self.positives - other.positives,
            self.negatives - other.negatives,
        )

    @property
    def outcomes(self) -> float:
        """Return how many outcomes were reported."""
        return self.positives.size + self.negatives.size

    def goes_down(self) -> bool:
        """Return whether a counter is negative, as no difference of two scrapes of one process is."""
        numbers = (self.requests, self.errors, self.candidates, self.unknown)
        histograms = (self.latency, self.scores, self.positives, self.negatives)
        return min(*numbers, *(min(h.counts) for h in histograms)) < 0


@dataclass(frozen=True)
class Scrape:
    """The counters of one pod at one moment."""

    counts: Counts
    #: When its process began, seconds since 1970; None where it does not say.
    started: float | None = None


def since(before: Scrape, after: Scrape) -> Counts:
    """Return what a pod counted between two scrapes.

    A process that began anew counts from 0: then it is all that `after` holds. What the process before it
    counted after the first scrape is lost, and so is why it ended; restarts are judged by themselves.
    """
    if before.started != after.started:
        return after.counts
    try:
        counted = after.counts - before.counts
    except NotComparableError:
        return after.counts
    return after.counts if counted.goes_down() else counted


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return the sum of histograms with the same edges; those that hold nothing may have none.

    Raises:
        NotComparableError: their edges differ.
    """
    seen = [h for h in histograms if h.edges]
    if not seen:
        return Histogram()
    if any(h.edges != seen[0].edges for h in seen):
        raise NotComparableError("buckets differ from one pod or scrape to another")
    columns = zip(*(h.counts for h in seen), strict=True)
    return Histogram(seen[0].edges, tuple(map(sum, columns)), math.fsum(h.total for h in seen))


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum over pods or windows."""
    every = list(counts)
    return Counts(
        math.fsum(c.requests for c in every),
        math.fsum(c.errors for c in every),
        math.fsum(c.candidates for c in every),
        math.fsum(c.unknown for c in every),
        merged(c.latency for c in every),
        merged(c.scores for c in every),
        merged(c.positives for c in every),
        merged(c.negatives for c in every),
    )


def counted(before: Mapping[str, Scrape], after: Mapping[str, Scrape]) -> Counts:
    """Return what the pods of one version counted; a pod seen for the first time is where it starts."""
    return total(since(before[pod], scrape) for pod, scrape in after.items() if pod in before)
