"""What requests show: errors, unknown features, latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from fathom_operator.analysis.comparison import Comparison, Missing, compare_rates
from fathom_operator.analysis.counts import Counts, Histogram, total
from fathom_operator.analysis.estimates import Estimate, design_effect, rate
from fathom_operator.analysis.sequential import rank_bounds
from fathom_operator.analysis.windows import Window

Number = Callable[[Counts], float]


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

    Bounds of each version's quantile: the quantiles at the ranks that the true one can have (Howard & Ramdas
    2022), for an effective number of requests. The design effect is that of the share of requests slower
    than the quantile of both together.
    """

    def compare(windows: Sequence[Window], alpha: float, planned: float) -> Comparison | Missing:
        stable, candidate = (
            total(w.stable for w in windows).latency,
            total(w.candidate for w in windows).latency,
        )
        for version, histogram in (("candidate", candidate), ("stable version", stable)):
            if histogram.size <= 0:
                return Missing(f"the {version} has no latencies yet")
        q_stable, q_candidate = stable.quantile(share), candidate.quantile(share)
        if candidate.counts[-1] > (1 - share) * candidate.size:
            q_candidate = math.inf
        if stable.counts[-1] > (1 - share) * stable.size or q_stable <= 0:
            return Missing(
                f"the latency of the stable version is beyond the last bucket, {stable.edges[-1]:g} s"
            )
        effect = _effect(windows, (stable + candidate).quantile(share))
        low_c, high_c = _bounds(candidate, share, effect, alpha / 2)
        low_s, high_s = _bounds(stable, share, effect, alpha / 2)
        return Comparison(
            q_stable,
            q_candidate,
            q_candidate / q_stable - 1,
            low_c / high_s - 1 if high_s < math.inf else -1.0,
            high_c / low_s - 1 if low_s > 0 else math.inf,
            candidate.size,
            min(candidate.size, stable.size),
            1,
            effect,
        )

    return compare


def _effect(windows: Sequence[Window], threshold: float) -> float:
    def slower(histograms: Sequence[Histogram]) -> Estimate:
        sizes = [h.size for h in histograms]
        return rate([n - h.below(threshold) for h, n in zip(histograms, sizes, strict=True)], sizes)

    return design_effect(
        slower([w.candidate.latency for w in windows]), slower([w.stable.latency for w in windows])
    )


def _bounds(histogram: Histogram, share: float, effect: float, alpha: float) -> tuple[float, float]:
    low, high = rank_bounds(share, histogram.size / effect, alpha)
    beyond = histogram.size - histogram.counts[-1]
    upper = math.inf if high * histogram.size > beyond else histogram.quantile(high)
    return histogram.quantile(low), upper
