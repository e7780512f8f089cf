"""Numbers that others compute, one for each version at each look: PromQL.

A look's number says nothing of how many requests are behind it, so a look is a sample: the mean of the
differences, with the variance that they show, looks that follow each other being alike as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from fathom_api.analysis import AnalysisMetric, AnalysisResult
from fathom_operator.analysis.comparison import Comparison, Missing
from fathom_operator.analysis.estimates import Estimate, design_effect
from fathom_operator.analysis.sequential import critical_value
from fathom_operator.times import text

#: Newest looks that are kept; older ones are forgotten.
LIMIT: Final = 480
_VERDICTS: Final = ("Pass", "Fail", "Inconclusive")


@dataclass(frozen=True)
class Values:
    """What was said so far: pairs of candidate and stable; `refused` counts what was no number."""

    pairs: tuple[tuple[float, float], ...] = ()
    at: datetime | None = None
    refused: int = 0
    #: What was wrong with the latest, if anything was.
    why: str = ""

    def see(self, candidate: float | None, stable: float | None, at: datetime, why: str = "") -> Values:
        """Return the values with one more look; None or NaN is no value, and never taken for 0."""
        if candidate is None or stable is None or not (math.isfinite(candidate) and math.isfinite(stable)):
            what = why or f"no number: candidate {candidate}, stable {stable}"
            return replace(self, refused=self.refused + 1, why=what)
        return replace(self, pairs=(*self.pairs, (candidate, stable))[-LIMIT:], at=at, why="")


def compare_values(values: Values, alpha: float, planned: float, harm: int) -> Comparison | Missing:
    """Compare the means of both versions' numbers."""
    if values.why:
        return Missing(values.why)
    n = len(values.pairs)
    if n < 2:
        return Missing(f"{n} values so far")
    deltas = [c - s for c, s in values.pairs]
    mean = math.fsum(deltas) / n
    estimate = _mean(deltas, mean)
    effect = design_effect(estimate, Estimate(0.0, 0.0, (0.0,) * n, n))
    # Student's t has wider tails than the normal for few looks: its variance at n - 1 degrees, as a factor.
    few = (n - 1) / (n - 3) if n > 3 else math.inf
    radius = math.sqrt(effect * few * estimate.variance * critical_value(n, planned, alpha))
    return Comparison(
        math.fsum(s for _, s in values.pairs) / n,
        math.fsum(c for c, _ in values.pairs) / n,
        mean,
        mean - radius,
        mean + radius,
        n,
        n,
        harm,
        effect,
    )


def _mean(deltas: Sequence[float], mean: float) -> Estimate:
    n = len(deltas)
    variance = math.fsum((d - mean) ** 2 for d in deltas) / (n - 1) / n
    return Estimate(mean, variance, tuple((d - mean) / n for d in deltas), n)


def prometheus_number(answer: Any) -> tuple[float | None, str]:
    """Return the number in Prometheus' answer to an instant query; None, and why, unless there is just one.

    An answer with warnings, as of a store that did not answer Thanos, is of a part of the data: no number.
    """
    try:
        if answer["status"] != "success":
            return None, f"Prometheus refuses the query: {str(answer.get('error', ''))[:200]}"
        if warnings := answer.get("warnings"):
            return None, f"Prometheus warns: {str(warnings[0])[:200]}"
        return _only(answer["data"]["resultType"], answer["data"]["result"])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None, "the answer is none of Prometheus"


def _only(kind: Any, result: Any) -> tuple[float | None, str]:
    if kind == "scalar":
        return _number(result[1])
    if kind != "vector":
        return None, f"the query gives a {str(kind)[:20]}, and an instant vector of one number is needed"
    if not result:
        return None, "the query has no result: nothing was counted, or a name is wrong"
    if len(result) > 1:
        return None, f"the query has {len(result)} results, and one is needed: sum() or avg() them"
    return _number(result[0]["value"][1])


def _number(said: Any) -> tuple[float | None, str]:
    number = float(said)
    return (number, "") if math.isfinite(number) else (None, f"the result is {said}")


def fill_in(query: str, **variables: str) -> str:
    """Return the query with its variables: `{{canary}}` and so on."""
    for name, value in variables.items():
        query = query.replace("{{" + name + "}}", value)
    return query


def webhook_result(
    metric: AnalysisMetric, answer: Any, step: int, now: datetime, why: str = ""
) -> AnalysisResult:
    """Return what a webhook said; what cannot be understood, or did not come (None), is Inconclusive."""
    verdict = answer.get("verdict") if isinstance(answer, dict) else None
    if verdict not in _VERDICTS:
        return said(metric, "Inconclusive", why or "the webhook gave no verdict", step, now)
    return said(metric, verdict, str(answer.get("message", ""))[:500], step, now)


def said(metric: AnalysisMetric, verdict: Any, message: str, step: int, now: datetime) -> AnalysisResult:
    """Return a verdict that somebody else came to."""
    return AnalysisResult(
        metric=metric.name,
        step=step,
        verdict=verdict,
        dry_run=metric.dry_run,
        time=text(now),
        message=message[:500],
    )
