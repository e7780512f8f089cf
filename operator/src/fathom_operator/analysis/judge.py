"""From evidence to verdicts: what each metric of a rollout says at this look.

The chance of taking back a candidate that is as good as stable is 1 - `confidence` at most, over the whole
rollout: it is dealt out evenly to its steps, and in a step to its metrics (Bonferroni's bound). Looks cost
nothing: the bounds hold at all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from fathom_api.analysis import (
    BAKE_METRICS,
    DEFAULT_MARGINS,
    OUTCOME_METRICS,
    AnalysisMetric,
    AnalysisResult,
    BuiltInMetric,
    Interval,
)
from fathom_api.rollout import Rollout
from fathom_api.types import seconds
from fathom_operator.analysis import outcomes, requests, scores
from fathom_operator.analysis.comparison import Comparison, Missing
from fathom_operator.analysis.counts import Histogram, NotComparableError
from fathom_operator.analysis.values import Values, compare_values
from fathom_operator.analysis.windows import Evidence, Window
from fathom_operator.times import text

Compare = Callable[[Sequence[Window], float, float], Comparison | Missing]

#: Steps of a rollout that are no steps of `rollout.steps`.
SHADOW: Final = -1
#: Evidence older than so many intervals is of a source that is gone.
_STALE_AFTER: Final = 4

_BUILT_IN: Final[Mapping[BuiltInMetric, Compare]] = {
    "ErrorRate": requests.error_rate,
    "LatencyP50": requests.latency(0.5),
    "LatencyP99": requests.latency(0.99),
    "ScorePSI": scores.population_stability,
    "ScoreKS": scores.kolmogorov_smirnov,
    "UnknownFeatureRate": requests.unknown_feature_rate,
    "Calibration": outcomes.calibration,
    "AUC": outcomes.auc,
    "NormalizedEntropy": outcomes.normalized_entropy,
    "OutcomeRate": outcomes.outcome_rate,
}
_AGAINST_EVALUATION: Final = {
    "ScorePSI": scores.population_stability,
    "ScoreKS": scores.kolmogorov_smirnov,
}


@dataclass(frozen=True)
class Seen:
    """All that is known at a look."""

    evidence: Evidence
    #: The step in `rollout.steps`; `SHADOW` before the first, their number while baking.
    step: int
    #: What Prometheus said, by metric.
    values: Mapping[str, Values] = field(default_factory=dict[str, Values])
    #: What Jobs and webhooks said, by metric; None or not there while they have said nothing.
    said: Mapping[str, AnalysisResult] = field(default_factory=dict[str, AnalysisResult])
    #: Scores of the test split, from the evaluation.
    evaluation: Histogram | None = None


@dataclass(frozen=True)
class _Found:
    """What a metric is judged by."""

    metric: AnalysisMetric
    comparison: Comparison
    margin: float
    needed: float
    what: str


def judge(rollout: Rollout, seen: Seen, now: datetime) -> list[AnalysisResult]:
    """Return the verdict of each metric that can be told in this step."""
    metrics = [m for m in rollout.analysis if _is_told(m, rollout, seen.step)]
    alpha = level(rollout)
    return [_result(rollout, metric, seen, alpha, now) for metric in metrics]


def level(rollout: Rollout) -> float:
    """Return the level of one metric in one step."""
    sharing = [step for step in rollout.steps if step.weight > 0]
    stages = len(sharing) + (rollout.shadow is not None) + (seconds(rollout.bake) > 0)
    tested = [m for m in rollout.analysis if not m.dry_run and (m.metric or m.prometheus)]
    return (1 - rollout.confidence) / max(1, stages) / max(1, len(tested))


def samples_needed(rollout: Rollout, step: int) -> int:
    """Return how many requests the candidate must have answered in `step`."""
    if step == SHADOW:
        return (rollout.shadow and rollout.shadow.min_samples) or rollout.min_samples
    if step >= len(rollout.steps):
        return rollout.min_samples
    return rollout.steps[step].min_samples or rollout.min_samples


def _least_samples(metric: AnalysisMetric) -> int:
    """Return the samples a metric wants unless told otherwise: of a p99, two hundred requests beyond it."""
    return 20_000 if metric.metric == "LatencyP99" else 0


def _is_told(metric: AnalysisMetric, rollout: Rollout, step: int) -> bool:
    if SHADOW < step < len(rollout.steps) and rollout.steps[step].weight == 0:
        # Those who ask for the candidate by name are no sample of those who do not.
        return metric.job is not None or metric.webhook is not None
    if metric.metric is None:
        # There is no stable beside it to ask Prometheus about, and Jobs run at the steps.
        return metric.webhook is not None or step < len(rollout.steps)
    if step == SHADOW:
        return metric.metric not in OUTCOME_METRICS
    return step < len(rollout.steps) or metric.metric in BAKE_METRICS


def _result(
    rollout: Rollout, metric: AnalysisMetric, seen: Seen, alpha: float, now: datetime
) -> AnalysisResult:
    if metric.metric is None and metric.prometheus is None:
        said = seen.said.get(metric.name)
        return said or _inconclusive(metric, seen.step, now, "it has not answered yet")
    gone = _source_is_gone(rollout, metric, seen, now)
    needed = float(metric.min_samples or max(samples_needed(rollout, seen.step), _least_samples(metric)))
    margin = metric.margin if metric.margin is not None else DEFAULT_MARGINS[metric.metric or "ErrorRate"]
    try:
        comparison = _compare(metric, seen, alpha, needed)
    except NotComparableError as error:
        comparison = Missing(str(error))
    if isinstance(comparison, Missing):
        return _inconclusive(metric, seen.step, now, gone or comparison.message)
    if math.isnan(comparison.delta) or math.isnan(comparison.low):
        return _inconclusive(metric, seen.step, now, "it is not a number")
    what = "looks" if metric.prometheus else "samples"
    needed = float(metric.prometheus.min_looks) if metric.prometheus else needed
    return _judged(_Found(metric, comparison, margin, needed, what), gone, seen.step, now)


def _compare(metric: AnalysisMetric, seen: Seen, alpha: float, planned: float) -> Comparison | Missing:
    windows = seen.evidence.windows
    if metric.prometheus is not None:
        values = seen.values.get(metric.name, Values())
        harm = 1 if metric.prometheus.better == "Lower" else -1
        return compare_values(values, alpha, metric.prometheus.min_looks, harm)
    if metric.metric is None:
        return Missing("there is nothing to compare")
    if not windows:
        return Missing("nothing was counted yet")
    if metric.against == "Evaluation":
        if seen.evaluation is None:
            return Missing("the evaluation has no scores")
        return _AGAINST_EVALUATION[metric.metric](windows, alpha, planned, seen.evaluation)
    return _BUILT_IN[metric.metric](windows, alpha, planned)


def _source_is_gone(rollout: Rollout, metric: AnalysisMetric, seen: Seen, now: datetime) -> str | None:
    """Return why the evidence cannot be said to be of now, if so: then nothing passes by it."""
    if metric.prometheus is not None:
        at, source = seen.values.get(metric.name, Values()).at, "Prometheus has"
    else:
        at, source = seen.evidence.last.at if seen.evidence.last else None, "the pods have"
        blind = seen.evidence.last.blind if seen.evidence.last else ()
        if blind:
            return f"{len(blind)} of the pods cannot be read: {', '.join(sorted(blind)[:3])}"
    if at is None:
        return f"{source} said nothing yet"
    if now - at > timedelta(seconds=_STALE_AFTER * seconds(rollout.interval)):
        return f"{source} said nothing since {text(at)}"
    return None


def _judged(found: _Found, gone: str | None, step: int, now: datetime) -> AnalysisResult:
    comparison, metric = found.comparison, found.metric
    enough = comparison.fewest >= found.needed
    numbers = _numbers(comparison)
    if comparison.least_harm > found.margin and (enough or comparison.early):
        verdict, message = "Fail", f"{numbers}: worse by more than {found.margin:g}"
    elif gone is not None:
        verdict, message = "Inconclusive", gone
    elif not enough:
        verdict = "Inconclusive"
        message = f"{_count(comparison.fewest)} of {_count(found.needed)} {found.what}"
    elif metric.tolerance is not None and comparison.most_harm > metric.tolerance:
        verdict = "Inconclusive"
        message = f"{numbers}: harm of more than {metric.tolerance:g} is not excluded yet"
    else:
        verdict, message = "Pass", numbers
    return AnalysisResult(
        metric=metric.name,
        step=step,
        stable=_finite(comparison.stable),
        candidate=_finite(comparison.candidate),
        delta=_finite(comparison.delta),
        interval=Interval(low=_finite(comparison.low), high=_finite(comparison.high)),
        margin=found.margin,
        samples=int(comparison.samples),
        verdict=verdict,
        dry_run=metric.dry_run,
        time=text(now),
        message=message,
    )


def _inconclusive(metric: AnalysisMetric, step: int, now: datetime, why: str) -> AnalysisResult:
    return AnalysisResult(
        metric=metric.name,
        step=step,
        verdict="Inconclusive",
        dry_run=metric.dry_run,
        time=text(now),
        message=why,
    )


def _numbers(it: Comparison) -> str:
    interval = f"{it.low:+.4g} … {it.high:+.4g}"
    return f"{it.candidate:.4g} against {it.stable:.4g}, difference {it.delta:+.4g} ({interval})"


def _count(samples: float) -> str:
    return f"{int(samples):,}"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
