"""What the server counts; KServe's own four histograms know neither errors nor versions."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

from fathom.serving.scoring import Scored

_MODEL: Final = ["model_name", "model_version"]
_BUCKETS: Final = (0.001, 0.002, 0.004, 0.006, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)

REQUESTS: Final = Counter(
    "fathom_serving_requests", "Inference requests answered.", [*_MODEL, "protocol", "code"]
)
ERRORS: Final = Counter(
    "fathom_serving_errors", "Requests not answered with scores, by reason.", [*_MODEL, "kind"]
)
LATENCY: Final = Histogram(
    "fathom_serving_latency_seconds",
    "From the request's first byte read to the answer's last written.",
    [*_MODEL, "protocol"],
    buckets=_BUCKETS,
)
CANDIDATES: Final = Counter("fathom_serving_candidates", "Items scored.", _MODEL)
UNKNOWN_ITEMS: Final = Counter(
    "fathom_serving_unknown_items", "Candidates that the bundle does not know.", _MODEL
)
UNKNOWN_USERS: Final = Counter(
    "fathom_serving_unknown_users", "Queries for somebody whom the bundle does not know.", _MODEL
)


class Metrics:
    """The metrics of one model and version."""

    def __init__(self, name: str, version: str) -> None:
        self._labels = (name, version)
        for counter in (CANDIDATES, UNKNOWN_ITEMS, UNKNOWN_USERS):
            # A counter that is there from the start lets rates be told from gaps.
            counter.labels(*self._labels)

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Count a request."""
        REQUESTS.labels(*self._labels, protocol, str(code)).inc()
        LATENCY.labels(*self._labels, protocol).observe(seconds)

    def failed(self, kind: str) -> None:
        """Count an error of `kind`, one of a fixed set."""
        ERRORS.labels(*self._labels, kind).inc()

    def scored(self, scored: list[Scored]) -> None:
        """Count what was scored."""
        CANDIDATES.labels(*self._labels).inc(sum(s.candidates for s in scored))
        UNKNOWN_ITEMS.labels(*self._labels).inc(sum(s.unknown for s in scored))
        UNKNOWN_USERS.labels(*self._labels).inc(sum(not s.known_user for s in scored))
