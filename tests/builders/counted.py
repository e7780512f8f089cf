"""What pods counted, and rollouts to judge it by, with everything at a plain default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from builders.seen import NOW
from fathom_api.analysis import AnalysisResult
from fathom_api.rollout import Rollout
from fathom_operator.analysis.counts import Counts, Histogram
from fathom_operator.analysis.judge import Seen
from fathom_operator.analysis.windows import Evidence, Look, Window

LATENCY_EDGES = (0.01, 0.02, 0.04, 0.08)
SCORE_EDGES = (0.2, 0.4, 0.6, 0.8)


def histogram(*counts: float, edges: Sequence[float] = SCORE_EDGES, total: float = 0.0) -> Histogram:
    return Histogram(tuple(edges), tuple(counts), total)


def counts(requests: float = 0, errors: float = 0, **more: Any) -> Counts:
    return Counts(requests=requests, errors=errors, **more)


def windows(stable: Counts, candidate: Counts, times: int = 20) -> tuple[Window, ...]:
    """Return as many windows, all alike."""
    return (Window(stable, candidate),) * times


def seen(
    stable: Counts,
    candidate: Counts,
    times: int = 20,
    *,
    step: int = 0,
    at: Any = NOW,
    blind: tuple[str, ...] = (),
) -> Seen:
    evidence = Evidence(windows(stable, candidate, times), Look(at, {}, {}, blind))
    return Seen(evidence, step)


def rollout(*metrics: str | dict[str, Any], **more: Any) -> Rollout:
    """Return a rollout of one step of 10 % that judges these metrics."""
    analysis = [{"name": m, "metric": m} if isinstance(m, str) else m for m in metrics]
    document = {"steps": [{"weight": 10, "pause": "60s"}], "minSamples": 1000, "analysis": analysis}
    return Rollout.model_validate(document | more)


def result(verdict: str, metric: str = "ErrorRate", **more: Any) -> AnalysisResult:
    document = {"metric": metric, "verdict": verdict, "time": "2026-01-31T12:00:00Z", "message": "because"}
    return AnalysisResult.model_validate(document | more)
