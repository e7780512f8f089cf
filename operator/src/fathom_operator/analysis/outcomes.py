"""What outcomes show: calibration, AUC, normalised entropy, and how many turned out well.

All of it comes from two histograms of scores, one of what turned out well and one of what did not, which can
be added over pods and windows. Within a bucket scores are taken as its middle, for both versions alike.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from fathom_operator.analysis.comparison import Comparison, Missing, compare_means
from fathom_operator.analysis.counts import Counts, Histogram, NotComparableError, merged
from fathom_operator.analysis.estimates import Estimate
from fathom_operator.analysis.windows import Window

Measure = Callable[[Sequence[Counts]], Estimate | None]


def calibration(windows: Sequence[Window], alpha: float, planned: float) -> Comparison | Missing:
    """Compare how far mean score over mean outcome is from 1, as |log|; delta is by how much further.

    Against stable, not against 1: outcomes come late, and are missing, for both alike.
    """
    stable, candidate = (_log_calibration(counts) for counts in _versions(windows))
    compared = _compare(windows, lambda counts: _away_from_0(_log_calibration(counts)), alpha, planned)
    if isinstance(compared, Missing) or stable is None or candidate is None:
        return compared
    return replace(compared, stable=math.exp(stable.value), candidate=math.exp(candidate.value))


def _away_from_0(estimate: Estimate | None) -> Estimate | None:
    """Return the absolute value."""
    if estimate is None or estimate.value >= 0:
        return estimate
    return replace(estimate, value=-estimate.value, influences=tuple(-i for i in estimate.influences))


def auc(windows: Sequence[Window], alpha: float, planned: float) -> Comparison | Missing:
    """Compare the areas under the ROC curve."""
    return _compare(windows, _auc, alpha, planned, harm=-1)


def normalized_entropy(windows: Sequence[Window], alpha: float, planned: float) -> Comparison | Missing:
    """Compare log loss over the entropy of the base rate (He et al. 2014)."""
    return _compare(windows, _normalized_entropy, alpha, planned)


def outcome_rate(windows: Sequence[Window], alpha: float, planned: float) -> Comparison | Missing:
    """Compare the shares of what turned out well; delta is the log of their ratio, relative if small."""
    compared = _compare(windows, _log_outcome_rate, alpha, planned, harm=-1)
    if isinstance(compared, Missing):
        return compared
    return replace(
        compared,
        stable=math.exp(compared.stable),
        candidate=math.exp(compared.candidate),
        delta=math.expm1(compared.delta),
        low=math.expm1(compared.low),
        high=math.expm1(min(compared.high, 100.0)),
    )


def _compare(
    windows: Sequence[Window], measure: Measure, alpha: float, planned: float, harm: int = 1
) -> Comparison | Missing:
    stable, candidate = (measure(counts) for counts in _versions(windows))
    for version, estimate in (("candidate", candidate), ("stable version", stable)):
        if estimate is None:
            return Missing(f"the {version} has no outcomes of both kinds yet")
    if stable is None or candidate is None:
        return Missing("there are no outcomes yet")
    if _edges(windows, "candidate") != _edges(windows, "stable"):
        raise NotComparableError("the two versions count outcomes in other buckets")
    return compare_means(candidate, stable, alpha, planned, harm=harm)


def _versions(windows: Sequence[Window]) -> tuple[list[Counts], list[Counts]]:
    return [w.stable for w in windows], [w.candidate for w in windows]


def _edges(windows: Sequence[Window], version: str) -> set[tuple[float, ...]]:
    return {e for w in windows for h in _both(getattr(w, version)) if (e := h.edges)}


def _both(counts: Counts) -> tuple[Histogram, Histogram]:
    return counts.positives, counts.negatives


def _sums(counts: Sequence[Counts]) -> tuple[Histogram, Histogram] | None:
    positives, negatives = merged(c.positives for c in counts), merged(c.negatives for c in counts)
    return None if positives.size <= 0 or negatives.size <= 0 else (positives, negatives)


def _log_calibration(counts: Sequence[Counts]) -> Estimate | None:
    """Return the log of mean score over mean outcome."""
    sums = _sums(counts)
    if sums is None or sums[0].total + sums[1].total <= 0:
        return None
    scored, well = sums[0].total + sums[1].total, sums[0].size
    ratio = scored / well
    influences = tuple(
        (c.positives.total + c.negatives.total - ratio * c.positives.size) / scored for c in counts
    )
    return Estimate(math.log(ratio), 1 / well, influences, well + sums[1].size)


def _log_outcome_rate(counts: Sequence[Counts]) -> Estimate | None:
    sums = _sums(counts)
    if sums is None:
        return None
    well, n = sums[0].size, sums[0].size + sums[1].size
    influences = tuple(c.positives.size / well - c.outcomes / n for c in counts)
    return Estimate(math.log(well / n), (1 - well / n) / well, influences, n)


def _auc(counts: Sequence[Counts]) -> Estimate | None:
    """Return the AUC; its variance by the placements of DeLong, DeLong & Clarke-Pearson 1988, on buckets."""
    sums = _sums(counts)
    if sums is None:
        return None
    positives, negatives = sums
    below_n, below_p = _placements(negatives), _placements(positives)
    area = math.fsum(c * v for c, v in zip(positives.counts, below_n, strict=True)) / positives.size
    gain = [(v - area) / positives.size for v in below_n]
    loss = [(1 - v - area) / negatives.size for v in below_p]
    variance = _sum_of(positives, [g * g for g in gain]) + _sum_of(negatives, [v * v for v in loss])
    influences = tuple(_sum_of(c.positives, gain) + _sum_of(c.negatives, loss) for c in counts)
    return Estimate(area, variance, influences, positives.size + negatives.size)


def _placements(histogram: Histogram) -> list[float]:
    """Return, for each bucket, which share of the histogram lies below its middle."""
    placements, below = list[float](), 0.0
    for count in histogram.counts:
        placements.append((below + count / 2) / histogram.size)
        below += count
    return placements


def _sum_of(histogram: Histogram, values: Sequence[float]) -> float:
    if not histogram.edges:
        return 0.0
    return sum(map(operator.mul, histogram.counts, values))


def _normalized_entropy(counts: Sequence[Counts]) -> Estimate | None:
    """Return NE = log loss / H(base rate); its variance and influences by the delta method."""
    sums = _sums(counts)
    if sums is None:
        return None
    positives, negatives = sums
    middles = _middles(positives.edges)
    loss_p, loss_n = [-math.log(m) for m in middles], [-math.log1p(-m) for m in middles]
    n = positives.size + negatives.size
    base = positives.size / n
    entropy = -base * math.log(base) - (1 - base) * math.log1p(-base)
    loss = (_sum_of(positives, loss_p) + _sum_of(negatives, loss_n)) / n
    value, slope = loss / entropy, math.log((1 - base) / base)
    # d(loss/H) of one more outcome: its loss, less the loss that was expected of an outcome of its kind.
    of_p = [(v - value * (entropy + slope * (1 - base))) / (n * entropy) for v in loss_p]
    of_n = [(v - value * (entropy - slope * base)) / (n * entropy) for v in loss_n]
    variance = _sum_of(positives, [v * v for v in of_p]) + _sum_of(negatives, [v * v for v in of_n])
    influences = tuple(_sum_of(c.positives, of_p) + _sum_of(c.negatives, of_n) for c in counts)
    return Estimate(value, variance, influences, n)


def _middles(edges: tuple[float, ...]) -> list[float]:
    """Return the middle of each bucket, of scores from 0 to 1."""
    bounds = [0.0, *(min(1.0, max(0.0, e)) for e in edges), 1.0]
    middles = [(low + high) / 2 for low, high in pairwise(bounds)]
    return [min(1 - 1e-6, max(1e-6, m)) for m in middles]
