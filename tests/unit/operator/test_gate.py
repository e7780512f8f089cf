"""The gate: value, baseline, improvement and verdict of each comparison."""

from __future__ import annotations

from typing import Any

import pytest

from fathom_api.recmodel import Arm, Gate, Metrics
from fathom_operator.recmodel.gate import failed, judge


def measured(**auc: float | None) -> dict[Arm, Metrics]:
    return {arm: Metrics(auc=value) for arm, value in auc.items()}  # type: ignore[misc]


CASES = [
    pytest.param(
        {}, measured(Captions=0.7), "Skipped", "nothing is served yet", id="nothing is served: skipped"
    ),
    pytest.param(
        {}, measured(Captions=0.7, Serving=0.69), "Pass", "+0.0100", id="better than what is served: pass"
    ),
    pytest.param(
        {}, measured(Captions=0.7, Serving=0.7), "Pass", "+0.0000", id="as good, no improvement asked: pass"
    ),
    pytest.param(
        {},
        measured(Captions=0.69, Serving=0.7),
        "Fail",
        "less than +0, the least",
        id="worse than served: fail",
    ),
    pytest.param(
        {"minDelta": 0.02},
        measured(Captions=0.71, Serving=0.7),
        "Fail",
        "less than +0.02",
        id="better, but by less than was asked: fail",
    ),
    pytest.param(
        {"minDelta": 0.01},
        measured(Captions=0.71, Serving=0.7),
        "Pass",
        "",
        id="better by just what was asked: pass",
    ),
    pytest.param(
        {"minDelta": -0.05},
        measured(Captions=0.66, Serving=0.7),
        "Pass",
        "",
        id="a loss that is allowed: pass",
    ),
    pytest.param(
        {}, measured(Serving=0.7), "Fail", "no AUC of the candidate", id="no number of its own: fail"
    ),
    pytest.param(
        {},
        measured(Captions=float("nan"), Serving=0.7),
        "Fail",
        "no AUC of the candidate",
        id="not a number is no number: fail",
    ),
    pytest.param(
        {},
        measured(Captions=0.7, Serving=None),
        "Fail",
        "no AUC of Serving",
        id="served but not measured: fail",
    ),
    pytest.param(
        {"against": ["WithoutCaptions"]},
        measured(Captions=0.7),
        "Fail",
        "no AUC of WithoutCaptions",
        id="a control that is missing: fail, not skipped",
    ),
]


@pytest.mark.parametrize(("gate", "metrics", "verdict", "words"), CASES)
def test_verdict(gate: dict[str, Any], metrics: dict[Arm, Metrics], verdict: str, words: str) -> None:
    [given] = judge(Gate.model_validate(gate), metrics)
    assert given.verdict == verdict
    assert words in given.message
    assert (failed([given]) is not None) == (verdict == "Fail")


@pytest.mark.parametrize("metric", ["LogLoss", "NormalizedEntropy"])
def test_of_losses_less_is_better(metric: str) -> None:
    gate = Gate.model_validate({"metric": metric, "against": ["WithoutCaptions"]})
    fewer: dict[Arm, Metrics] = {
        "Captions": Metrics(log_loss=0.5, normalized_entropy=0.8),
        "WithoutCaptions": Metrics(log_loss=0.6, normalized_entropy=0.9),
    }
    [verdict] = judge(gate, fewer)
    assert (verdict.verdict, verdict.delta) == ("Pass", pytest.approx(0.1))


def test_every_comparison_gets_a_verdict_and_one_failure_closes_the_gate() -> None:
    gate = Gate.model_validate({"against": ["Serving", "WithoutCaptions"]})
    verdicts = judge(gate, measured(Captions=0.7, Serving=0.6, WithoutCaptions=0.8))
    assert [v.verdict for v in verdicts] == ["Pass", "Fail"]
    assert "WithoutCaptions 0.8000" in (failed(verdicts) or "")
