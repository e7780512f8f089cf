"""What a rollout's spec says of its checks, for people who read their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fathom_api import RecModelSpec
from fathom_api.analysis import AnalysisMetric

_LOWER_IS_WORSE: Final = ("AUC", "OutcomeRate")
_UNITS: Final[Mapping[str, str]] = {
    "ErrorRate": "share of the requests",
    "UnknownFeatureRate": "share of the candidates",
    "LatencyP50": "difference relative to stable",
    "LatencyP99": "difference relative to stable",
    "Calibration": "log of predicted over observed, how much further from 0",
    "OutcomeRate": "log of the ratio",
    "ScorePSI": "the index itself",
    "ScoreKS": "the distance itself",
}


@dataclass(frozen=True)
class Check:
    """What is known of a check beside its looks; nothing, if the spec has it no more."""

    what: str = ""
    #: Of the difference.
    unit: str = ""
    #: 1: more is worse, -1: less is worse, 0: not known.
    harm: int = 0


def checks(spec: RecModelSpec) -> dict[str, Check]:
    """Return the checks of a spec by their names."""
    return {m.name: _check(m) for m in spec.serving.rollout.analysis} if spec.serving else {}


def _check(metric: AnalysisMetric) -> Check:
    if metric.metric is not None:
        harm = -1 if metric.metric in _LOWER_IS_WORSE else 1
        return Check(metric.metric, _UNITS.get(metric.metric, "difference"), harm)
    if metric.prometheus is not None:
        return Check("Prometheus", "difference", 1 if metric.prometheus.better == "Lower" else -1)
    return Check("Job" if metric.job else "webhook")
