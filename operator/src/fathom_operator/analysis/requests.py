"""What requests show: errors, unknown features, latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from fathom_operator.analysis.comparison import Comparison, Missing, compare_rates
from fathom_operator.analysis.counts import Counts, Histogram, NotComparableError, merged
from fathom_operator.analysis.estimates import Estimate, drift, rate
from fathom_operator.analysis.sequential import critical_value
from fathom_operator.analysis.windows import Window

Number = Callable[[Counts], float]
_HALVINGS: Final = 40
#: A quantile may fail a candidate once so many requests were slower, over so many windows.
_EARLIEST_SLOWER: Final = 50
_EARLIEST_WINDOWS: Final = 12


def error_rate(windows: Sequence[Window], alpha: float, planned: float) -> Comparison | Missing:
    """Compare the shares of requests answered with an error."""
    return _rates(windows, lambda c: c.errors, lambda c: c.requests, alpha, "requests")


def unknown_feature_rate(windows: Sequence[Window], alpha: float, planned: float) -> Comparison | Missing:
    """Compare the shares of candidates that the bundle does not know."""
    return _rates(windows, lambda c: c.unknown, lambda c: c.candidates, alpha, "candidates")


def _rates(
    windows: Sequence[Window], successes: Number, trials: Number, alpha: float, what: str
) -> Comparison | Missing:
    candidate = _rate([w.candidate for w in windows], successes, trials)
    stable = _rate([w.stable for w in windows], successes, trials)
    if candidate is None:
        return Missing(f"the candidate has no {what} yet")
    if stable is None:
        return Missing(f"the stable version has no {what} yet")
    return compare_rates(candidate, stable, alpha)


def _rate(counts: Sequence[Counts], successes: Number, trials: Number) -> Estimate | None:
    by_window = [trials(c) for c in counts]
    if math.fsum(by_window) <= 0:
        return None
    return rate([min(successes(c), n) for c, n in zip(counts, by_window, strict=True)], by_window)


def latency(share: float) -> Callable[[Sequence[Window], float, float], Comparison | Missing]:
    """Return the comparison of the latency below which `share` of the requests are; delta is relative.

    A ratio m of the two quantiles is excluded where the share of the candidate's requests that are slower
    than m times the quantile of stable is too far from `1 - share`. So quantiles are compared by counting
    (Howard & Ramdas 2022), which needs no density; the distance is held against the normal mixture, widened
    as Student's t for how few windows tell how long slow minutes last.
    """

    def compare(windows: Sequence[Window], alpha: float, planned: float) -> Comparison | Missing:
        stable, candidate = _latencies(windows)
        for version, histogram in (("candidate", candidate), ("stable version", stable)):
            if histogram.size <= 0:
                return Missing(f"the {version} has no latencies yet")
        if stable.edges != candidate.edges:
            raise NotComparableError("the two versions count latencies in other buckets")
        q_stable, q_candidate = _quantile(stable, share), _quantile(candidate, share)
        if not 0 < q_stable < math.inf:
            return Missing(
                f"the latency of the stable version is beyond its last bucket, {stable.edges[-1]:g} s"
            )
        lasting = drift(
            _slower([w.candidate.latency for w in windows], q_candidate),
            _slower([w.stable.latency for w in windows], q_stable),
        )
        fewest = min(candidate.size, stable.size)
        critical = lasting.widened(critical_value(fewest, planned, 2 * alpha))

        def excess(ratio: float) -> float:
            """Return by how many times its bound the candidate's share of slower requests is off, signed."""
            slower = 1 - candidate.below(ratio * q_stable) / candidate.size
            variance = slower * (1 - slower) / candidate.size + share * (1 - share) / stable.size
            return (slower - (1 - share)) / math.sqrt(critical * variance)

        slowest = candidate.edges[-1] / q_stable
        low = _last(lambda ratio: excess(ratio) > 1, 0.0, slowest)
        high = _last(lambda ratio: excess(ratio) > -1, low, slowest)
        return Comparison(
            q_stable,
            q_candidate,
            q_candidate / q_stable - 1,
            low - 1,
            high - 1 if high < slowest else math.inf,
            candidate.size,
            fewest,
            1,
            lasting.effect,
            early=len(windows) >= _EARLIEST_WINDOWS and (1 - share) * fewest >= _EARLIEST_SLOWER,
        )

    return compare


def _latencies(windows: Sequence[Window]) -> tuple[Histogram, Histogram]:
    """Return the histograms of stable and candidate."""
    return merged([w.stable.latency for w in windows]), merged([w.candidate.latency for w in windows])


def _quantile(histogram: Histogram, share: float) -> float:
    """Return the quantile; infinite where it is beyond the last edge."""
    beyond = histogram.counts[-1] > (1 - share) * histogram.size
    return math.inf if beyond else histogram.quantile(share)


def _slower(histograms: Sequence[Histogram], threshold: float) -> Estimate:
    sizes = [h.size for h in histograms]
    return rate([n - h.below(threshold) for h, n in zip(histograms, sizes, strict=True)], sizes)


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return where what holds at `low`, perhaps, and no more later, ends; `high` if it holds there still."""
    if holds(high):
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
