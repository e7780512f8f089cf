"""Reads `/metrics` of a pod: the Prometheus text format, into counters that can be added."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from fathom_operator.analysis.counts import Counts, Histogram, Scrape

REQUESTS: Final = "fathom_serving_requests_total"
CANDIDATES: Final = "fathom_serving_candidates_total"
UNKNOWN: Final = "fathom_serving_unknown_items_total"
LATENCY: Final = "fathom_serving_latency_seconds"
SCORES: Final = "fathom_serving_score"
#: A histogram of the scores whose outcome is known, by `label`: 1 where it turned out well, 0 where not.
OUTCOMES: Final = "fathom_serving_outcome_score"
_STARTED: Final = "process_start_time_seconds"
#: Of 4xx too: what a version refuses and another answers is the version's doing. Who asks wrongly asks both.
_FIRST_ERROR: Final = 400


class UnreadableMetricsError(ValueError):
    """The text is no metrics of ours: nothing is known of the pod, which is not the same as nothing wrong."""


def read(text: str, version: str) -> Scrape:
    """Return what a pod of `version` says.

    Raises:
        UnreadableMetricsError: it is not the text format, or it holds a counter that is NaN, infinite or
            negative, or it does not count requests of `version`.
    """
    samples: dict[str, list[Sample]] = defaultdict(list)
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples[sample.name].append(sample)
    except (ValueError, KeyError, IndexError) as error:
        raise UnreadableMetricsError(f"not the Prometheus text format: {error}") from error
    ours = {name: [s for s in found if _is_of(s, version)] for name, found in samples.items()}
    if not ours.get(REQUESTS) and not ours.get(CANDIDATES):
        raise UnreadableMetricsError(f"it counts no requests of {version}")
    errors = [s for s in ours.get(REQUESTS, []) if _code(s) >= _FIRST_ERROR]
    counts = Counts(
        requests=_sum(ours.get(REQUESTS, [])),
        errors=_sum(errors),
        candidates=_sum(ours.get(CANDIDATES, [])),
        unknown=_sum(ours.get(UNKNOWN, [])),
        latency=_histogram(ours, LATENCY),
        scores=_histogram(ours, SCORES),
        positives=_histogram(ours, OUTCOMES, {"label": "1"}),
        negatives=_histogram(ours, OUTCOMES, {"label": "0"}),
    )
    started = samples.get(_STARTED)
    return Scrape(counts, started[0].value if started else None)


def _is_of(sample: Sample, version: str) -> bool:
    return sample.labels.get("model_version", version) == version


def _code(sample: Sample) -> int:
    code = sample.labels.get("code", "")
    return int(code) if code.isdigit() else _FIRST_ERROR


def _sum(samples: Iterable[Sample]) -> float:
    return math.fsum(_checked(s) for s in samples)


def _checked(sample: Sample) -> float:
    if not math.isfinite(sample.value) or sample.value < 0:
        raise UnreadableMetricsError(f"{sample.name} is {sample.value}, which no counter is")
    return sample.value


def _histogram(
    samples: Mapping[str, list[Sample]], name: str, labels: Mapping[str, str] | None = None
) -> Histogram:
    """Return the histogram `name`, over all labels but those given."""
    wanted = (labels or {}).items()
    upto: dict[float, float] = defaultdict(float)
    for sample in samples.get(f"{name}_bucket", []):
        if wanted <= sample.labels.items():
            upto[float(sample.labels["le"])] += _checked(sample)
    if not upto:
        return Histogram()
    edges = sorted(upto)
    if edges[-1] != math.inf:
        raise UnreadableMetricsError(f"{name} has no bucket +Inf")
    counts, below = list[float](), 0.0
    for edge in edges:
        counts.append(upto[edge] - below)
        below = upto[edge]
    if min(counts) < 0:
        raise UnreadableMetricsError(f"the buckets of {name} do not rise")
    sums = [s for s in samples.get(f"{name}_sum", []) if wanted <= s.labels.items()]
    return Histogram(tuple(edges[:-1]), tuple(counts), _sum(sums))
