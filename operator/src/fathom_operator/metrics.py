"""Prometheus metrics of the operator; series of a resource end with the resource."""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from fathom_operator.plan import Key

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self, depth: Callable[[], float], leads: Callable[[], bool]) -> None:
        """Take how the queue's depth and whether we lead can be asked for."""
        self.registry = CollectorRegistry()
        self.stages = Stages()
        self.registry.register(self.stages)
        self._seconds = Histogram(
            "fathom_operator_reconcile_seconds", "How long a reconcile took.", ["kind"],
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self._errors = Counter(
            "fathom_operator_reconcile_errors", "Reconciles that failed and are tried again.",
            ["kind", "error"], registry=self.registry,
        )  # fmt: skip
        self._reports = Counter(
            "fathom_operator_progress_reports", "Progress reports of pods.", ["answer"],
            registry=self.registry,
        )  # fmt: skip
        Gauge(
            "fathom_operator_queue_depth", "Resources that wait for a worker.", registry=self.registry
        ).set_function(depth)
        Gauge("fathom_operator_leader", "1 where this replica leads.", registry=self.registry).set_function(
            leads
        )

    def reconciled(self, kind: str, seconds: float) -> None:
        """Count a reconcile."""
        self._seconds.labels(kind).observe(seconds)

    def failed(self, kind: str, error: Exception) -> None:
        """Count a reconcile that failed."""
        self._errors.labels(kind, type(error).__name__).inc()

    def reported(self, answer: int) -> None:
        """Count a progress report by the HTTP status of the answer."""
        self._reports.labels(str(answer)).inc()


class Stages(Collector):
    """How many resources are in each stage, counted when asked."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._stages: dict[Key, str] = {}

    def put(self, key: Key, stage: str) -> None:
        """Note the stage of a resource."""
        with self._lock:
            self._stages[key] = stage

    def drop(self, key: Key) -> None:
        """Forget a resource that is gone."""
        with self._lock:
            self._stages.pop(key, None)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the counts by kind, namespace and stage."""
        with self._lock:
            counts = Tally((key.kind, key.namespace, stage) for key, stage in self._stages.items())
        family = GaugeMetricFamily(
            "fathom_resources", "Resources by stage.", labels=["kind", "namespace", "stage"]
        )
        for labels, count in sorted(counts.items()):
            family.add_metric(labels, count)
        yield family
