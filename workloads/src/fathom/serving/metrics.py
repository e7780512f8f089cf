"""What the server counts; KServe's own four histograms know neither errors nor versions."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge, Histogram

from fathom.serving.histograms import Histograms
from fathom.serving.online import Online
from fathom.serving.scoring import Scored

_MODEL: Final = ["model_name", "model_version"]
PROTOCOLS: Final = ("v1", "v2", "grpc")
#: Bounds at most 10 % apart from 1 ms to 100 ms (25 a factor of ten): a p99 told from buckets is off by less.
LATENCY_BUCKETS: Final = (
    *(round(10 ** (n / 25 - 3), 6) for n in range(51)),
    *(0.13, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.63, 0.8, 1.0, 1.6, 2.5, 5.0, 10.0),
)

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
    buckets=LATENCY_BUCKETS,
)
CANDIDATES: Final = Counter("fathom_serving_candidates", "Items scored.", _MODEL)
UNKNOWN_ITEMS: Final = Counter(
    "fathom_serving_unknown_items", "Candidates of which nothing is known.", _MODEL
)
UNKNOWN_USERS: Final = Counter(
    "fathom_serving_unknown_users", "Queries for somebody whom the bundle does not know.", _MODEL
)
SCORES: Final = Histograms("fathom_serving_score", "Scores given, P(label = 1).", _MODEL)
ITEMS: Final = Gauge("fathom_serving_items", "Items that can be ranked.", _MODEL)
RELOADS: Final = Gauge(
    "fathom_serving_item_reloads", "New tables of items seen, by what became of them.", [*_MODEL, "result"]
)
GUIDES: Final = Gauge(
    "fathom_serving_guide_reloads", "Tables of interests seen, by what became of them.", [*_MODEL, "result"]
)
GUIDED: Final = Counter(
    "fathom_serving_guided_items", "Items shown because a table led the user there.", _MODEL
)
OUTCOMES: Final = Counter("fathom_serving_feedback", "Outcomes posted, by fate.", [*_MODEL, "result"])
OUTCOME_SCORES: Final = Histograms(
    "fathom_serving_outcome_score", "Scores of what has an outcome, by outcome.", [*_MODEL, "label"]
)
LOG_LOSS: Final = Counter("fathom_serving_feedback_log_loss", "Sum of −log P(outcome).", _MODEL)
AUC: Final = Gauge("fathom_serving_online_auc", "AUC over all outcomes since the start.", _MODEL)
ENTROPY: Final = Gauge("fathom_serving_online_normalized_entropy", "Log loss over that of the mean.", _MODEL)
CALIBRATION: Final = Gauge("fathom_serving_online_calibration", "Sum of scores over outcomes 1.", _MODEL)


class Metrics:
    """The metrics of one model and version; used by the event loop's thread alone."""

    def __init__(self, name: str, version: str) -> None:
        self._labels = labels = (name, version)
        # A counter that is there from the start lets rates be told from gaps; looking one up costs more than
        # counting.
        self._candidates = CANDIDATES.labels(*labels)
        self._unknown_items = UNKNOWN_ITEMS.labels(*labels)
        self._unknown_users = UNKNOWN_USERS.labels(*labels)
        self._guided = GUIDED.labels(*labels)
        self._latency = {protocol: LATENCY.labels(*labels, protocol) for protocol in PROTOCOLS}
        SCORES.start(*labels)
        for label in ("0", "1"):
            OUTCOME_SCORES.start(*labels, label)
        self._online: Online | None = None

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Count a request."""
        REQUESTS.labels(*self._labels, protocol, str(code)).inc()
        self._latency[protocol].observe(seconds)

    def failed(self, kind: str) -> None:
        """Count an error of `kind`, one of a fixed set."""
        ERRORS.labels(*self._labels, kind).inc()

    def scored(self, scored: list[Scored]) -> None:
        """Count what was scored."""
        self._candidates.inc(sum(s.candidates for s in scored))
        self._unknown_items.inc(sum(s.unknown for s in scored))
        self._unknown_users.inc(sum(not s.known_user for s in scored))
        self._guided.inc(sum(why is not None for s in scored for why in s.why or ()))
        for one in scored:
            SCORES.observe(one.scores, *self._labels)

    def items(self, count: int) -> None:
        """Tell how many items can be ranked."""
        ITEMS.labels(*self._labels).set(count)

    def reloads(self, results: dict[str, int]) -> None:
        """Tell how many new tables of items were taken and how many refused."""
        for result, count in results.items():
            RELOADS.labels(*self._labels, result).set(count)

    def guides(self, results: dict[str, int]) -> None:
        """Tell how many tables of interests were taken and how many refused."""
        for result, count in results.items():
            GUIDES.labels(*self._labels, result).set(count)

    def fates(self, counts: dict[str, int]) -> None:
        """Count outcomes by what became of them."""
        for result, count in counts.items():
            OUTCOMES.labels(*self._labels, result).inc(count)

    def outcomes(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> None:
        """Take outcomes: scores [n] and labels [n]."""
        if self._online is None:
            self._online = Online()
        online, before = self._online, self._online.log_loss
        online.add(scores, labels)
        for label in (0, 1):
            OUTCOME_SCORES.observe(scores[labels == label], *self._labels, str(label))
        LOG_LOSS.labels(*self._labels).inc(online.log_loss - before)
        AUC.labels(*self._labels).set(online.auc())
        ENTROPY.labels(*self._labels).set(online.normalized_entropy())
        CALIBRATION.labels(*self._labels).set(online.calibration())
