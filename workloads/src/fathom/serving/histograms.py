"""Histograms of many values at once: Prometheus' own takes them one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

from fathom.score_buckets import BOUNDS, label


class Histograms(Collector):
    """One histogram metric of numbers in [0, 1], by labels."""

    def __init__(self, name: str, documentation: str, labels: list[str]) -> None:
        self._describes = (name, documentation, labels)
        self._counts: dict[tuple[str, ...], NDArray[np.int64]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        REGISTRY.register(self)

    def start(self, *labels: str) -> None:
        """Show the histogram of `labels`, empty until something is observed."""
        if labels not in self._counts:
            self._counts[labels] = np.zeros(len(BOUNDS), np.int64)
            self._sums[labels] = 0.0

    def observe(self, values: NDArray[np.floating], *labels: str) -> None:
        """Count `values` in [0, 1]; the event loop's thread alone does."""
        self.start(*labels)
        places = np.searchsorted(BOUNDS, values)
        self._counts[labels] += np.bincount(places, minlength=len(BOUNDS))
        self._sums[labels] += float(values.sum(dtype=np.float64))

    def counts(self, *labels: str) -> NDArray[np.int64]:
        """Return how many values each bucket has."""
        return self._counts[labels]

    def describe(self) -> list[Metric]:
        """Return the metric without values."""
        return [HistogramMetricFamily(self._describes[0], self._describes[1], labels=self._describes[2])]

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        name, documentation, names = self._describes
        family = HistogramMetricFamily(name, documentation, labels=names)
        for labels, counts in self._counts.items():
            totals = counts.cumsum()
            buckets = [(label(bound), float(total)) for bound, total in zip(BOUNDS, totals, strict=True)]
            buckets.append(("+Inf", float(totals[-1])))
            family.add_metric(list(labels), buckets=buckets, sum_value=self._sums[labels])
        yield family
