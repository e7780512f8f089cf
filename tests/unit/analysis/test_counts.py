"""Counters: what is between two scrapes, whatever pods do meanwhile; what `/metrics` says."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from builders.counted import counts, histogram
from builders.seen import NOW
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from fathom_operator.analysis.counts import Counts, NotComparableError, Scrape, counted, merged, since
from fathom_operator.analysis.scrape import UnreadableMetricsError, read
from fathom_operator.analysis.windows import LIMIT, Evidence, Look, Window


@pytest.mark.parametrize(
    ("before", "after", "requests"),
    [
        pytest.param(Scrape(counts(10)), Scrape(counts(15)), 5, id="what came in between"),
        pytest.param(Scrape(counts(10)), Scrape(counts(4)), 4, id="a counter that fell began anew"),
        pytest.param(
            Scrape(counts(10), 1.0), Scrape(counts(12), 2.0), 12, id="another process counts from 0"
        ),
        pytest.param(
            Scrape(counts(10, errors=3)),
            Scrape(counts(12, errors=1)),
            12,
            id="one counter that fell tells of all",
        ),
    ],
)
def test_what_a_pod_counted_between_two_scrapes(before: Scrape, after: Scrape, requests: float) -> None:
    assert since(before, after).requests == requests


def test_a_pod_seen_for_the_first_time_is_where_it_starts() -> None:
    before = {"a": Scrape(counts(10))}
    after = {"a": Scrape(counts(11)), "b": Scrape(counts(500))}
    assert counted(before, after).requests == 1


def test_what_a_pod_counts_while_it_cannot_be_read_is_not_lost() -> None:
    evidence = Evidence()
    for second, requests in ((0, 10), (1, None), (2, 30)):
        pods = {} if requests is None else {"a": Scrape(counts(requests))}
        evidence = evidence.see(Look(NOW + timedelta(seconds=second), {}, pods))
    assert evidence.candidate_requests() == 20


def test_windows_become_longer_rather_than_more() -> None:
    evidence = Evidence()
    for _ in range(10 * LIMIT):
        evidence = evidence.add(Window(counts(2), counts(1)))
    assert len(evidence.windows) <= LIMIT
    assert evidence.candidate_requests() == 10 * LIMIT
    assert len({w.stable.requests for w in evidence.windows[:-1]}) == 1


def test_a_quantile_lies_within_its_bucket_by_its_share_of_it() -> None:
    seconds = histogram(10, 80, 10, 0, 0, edges=(1, 2, 3, 4))
    assert seconds.quantile(0.5) == pytest.approx(1.5)
    assert seconds.quantile(0.95) == pytest.approx(2.5)
    assert seconds.below(1.5) == pytest.approx(50)
    assert seconds.below(math.inf) == 100


def test_what_is_beyond_the_last_edge_is_taken_as_the_last_edge() -> None:
    assert histogram(0, 0, 0, 0, 7).quantile(0.5) == 0.8


def test_histograms_with_other_edges_are_never_added() -> None:
    with pytest.raises(NotComparableError):
        merged([histogram(1, 1, edges=(0.5,)), histogram(1, 1, edges=(0.6,))])


def metrics_text(version: str = "v-1") -> str:
    registry = CollectorRegistry()
    labels = ["model_name", "model_version"]
    requests = Counter("fathom_serving_requests", "", [*labels, "protocol", "code"], registry=registry)
    for protocol, code, times in (("v1", "200", 90), ("v2", "200", 5), ("v2", "400", 2), ("v1", "503", 3)):
        requests.labels("shop", version, protocol, code).inc(times)
    Counter("fathom_serving_candidates", "", labels, registry=registry).labels("shop", version).inc(950)
    Counter("fathom_serving_unknown_items", "", labels, registry=registry).labels("shop", version).inc(19)
    latency = Histogram(
        "fathom_serving_latency_seconds", "", [*labels, "protocol"], buckets=(0.01, 0.1), registry=registry
    )
    for protocol, seconds in (("v1", 0.0078125), ("v1", 0.0625), ("v2", 0.0625), ("v2", 7.0)):
        latency.labels("shop", version, protocol).observe(seconds)
    outcome = Histogram(
        "fathom_serving_outcome_score", "", [*labels, "label"], buckets=(0.5, 1.0), registry=registry
    )
    outcome.labels("shop", version, "1").observe(0.75)
    outcome.labels("shop", version, "0").observe(0.25)
    outcome.labels("shop", version, "0").observe(0.125)
    return generate_latest(registry).decode()


def test_metrics_are_read_over_protocols_and_codes() -> None:
    assert read(metrics_text(), "v-1").counts == Counts(
        requests=100,
        errors=5,
        candidates=950,
        unknown=19,
        latency=histogram(1, 2, 1, edges=(0.01, 0.1), total=7.1328125),
        positives=histogram(0, 1, 0, edges=(0.5, 1.0), total=0.75),
        negatives=histogram(2, 0, 0, edges=(0.5, 1.0), total=0.375),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "counts no requests", id="nothing"),
        pytest.param("<html>502</html>", "text format|counts no requests", id="a proxy's page"),
        pytest.param(metrics_text("v-2"), "counts no requests of v-1", id="another version's"),
        pytest.param(metrics_text().replace(" 90.0", " NaN"), "no counter is", id="NaN"),
        pytest.param(metrics_text().replace(" 90.0", " -1.0"), "no counter is", id="a negative counter"),
        pytest.param(metrics_text().replace(" 950.0", " +Inf"), "no counter is", id="infinity"),
    ],
)
def test_what_is_no_metrics_of_this_version_is_refused_not_read_as_zero(text: str, why: str) -> None:
    with pytest.raises(UnreadableMetricsError, match=why):
        read(text, "v-1")
