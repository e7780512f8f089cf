"""What the retriever counts; requests, errors and latency are the same metrics as a ranker's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter, Gauge

from fathom.retrieval.following import Look
from fathom.retrieval.parts import SpaceName
from fathom.serving.metrics import ERRORS, LATENCY, PROTOCOLS, REQUESTS

_MODEL: Final = ["model_name", "model_version"]
QUERIES: Final = Counter("fathom_retrieval_queries", "Queries answered; a request may hold many.", _MODEL)
HITS: Final = Counter(
    "fathom_retrieval_hits", "Items returned, by the space they were found in.", [*_MODEL, "space"]
)
ITEMS: Final = Gauge("fathom_retrieval_items", "Items that can be found, by space.", [*_MODEL, "space"])
PROGRESS: Final = Gauge("fathom_retrieval_progress", "Share of items under the new model, 0 to 1.", _MODEL)
PARTS: Final = Counter(
    "fathom_retrieval_parts", "Parts of the gallery, by what became of them.", [*_MODEL, "result"]
)


class Metrics:
    """The metrics of one retriever; its own thread tells of looks, the event loop's of everything else."""

    def __init__(self, name: str, version: str) -> None:
        self._labels = labels = (name, version)
        # A counter that is there from the start lets rates be told from gaps.
        self._queries = QUERIES.labels(*labels)
        self._latency = {
            protocol: LATENCY.labels(*labels, protocol) for protocol in PROTOCOLS if protocol != "grpc"
        }
        for space in ("old", "new"):
            HITS.labels(*labels, space)
        for result in ("came", "went", "failed"):
            PARTS.labels(*labels, result)

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Count a request."""
        REQUESTS.labels(*self._labels, protocol, str(code)).inc()
        self._latency[protocol].observe(seconds)

    def failed(self, kind: str) -> None:
        """Count an error of `kind`, one of a fixed set."""
        ERRORS.labels(*self._labels, kind).inc()

    def found(self, queries: int, hits: Mapping[SpaceName, int]) -> None:
        """Count what was found."""
        self._queries.inc(queries)
        for space, count in hits.items():
            HITS.labels(*self._labels, space).inc(count)

    def looked(self, look: Look) -> None:
        """Count what one look at the gallery brought."""
        for result, count in (("came", look.came), ("went", look.went), ("failed", look.failed)):
            PARTS.labels(*self._labels, result).inc(count)

    def sizes(self, sizes: Mapping[SpaceName, int], progress: float) -> None:
        """Tell how many items each space has."""
        PROGRESS.labels(*self._labels).set(progress)
        for space, count in sizes.items():
            ITEMS.labels(*self._labels, space).set(count)
