"""The rollout's part of the API: what it refuses, and that yesterday's manifests still mean the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from builders.counted import rollout
from builders.manifests import steps
from pydantic import ValidationError

from fathom_api import recmodel
from fathom_api.analysis import AnalysisMetric, BuiltInMetric
from fathom_api.rollout import Rollout

QUERY = {"address": "http://prometheus:9090", "query": "x{v='{{version}}'}"}


@pytest.mark.parametrize(
    "document", [{}, {"steps": steps(10, 50)}, {"steps": steps(5), "progressDeadline": "5m"}]
)
def test_what_was_a_rollout_still_is_one(document: dict[str, Any]) -> None:
    old, new = recmodel.Rollout.model_validate(document), Rollout.model_validate(document)
    assert (old.progress_deadline, [(s.weight, s.pause) for s in old.steps]) == (
        new.progress_deadline,
        [(s.weight, s.pause) for s in new.steps],
    )
    assert new.analysis == []


@pytest.mark.parametrize(
    ("metric", "fix"),
    [
        ({"name": "x"}, "say exactly one of metric, prometheus, job and webhook"),
        ({"name": "x", "metric": "AUC", "webhook": {"url": "http://a/"}}, "say exactly one of"),
        ({"name": "x", "metric": "AUC", "against": "Evaluation"}, "only ScorePSI and ScoreKS"),
        ({"name": "x", "prometheus": QUERY}, "needs a margin"),
        ({"name": "x", "margin": 1, "prometheus": QUERY | {"query": "up"}}, "{{version}}"),
    ],
)
def test_a_metric_that_cannot_be_judged_is_refused_with_the_fix(metric: dict[str, Any], fix: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(fix)):
        AnalysisMetric.model_validate(metric)


@pytest.mark.parametrize(
    ("more", "fix"),
    [
        ({"steps": []}, "an analysis needs a step or a shadow"),
        ({"steps": steps(50, 10)}, "weights must rise"),
        ({"analysis": [{"name": "a", "metric": "AUC"}] * 2}, "must not be there twice"),
        ({"confidence": 1.0}, "less than or equal to 0.9999"),
    ],
)
def test_a_rollout_that_cannot_be_is_refused_with_the_fix(more: dict[str, Any], fix: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(fix)):
        rollout("ErrorRate", **more)


def test_the_names_of_metrics_are_not_those_of_the_gate_by_another_spelling() -> None:
    shared = {"AUC", "NormalizedEntropy"}
    assert shared <= set(BuiltInMetric.__args__)
    assert shared <= set(recmodel.Metric.__args__)
