"""A small evaluation of a ranker, as its report takes it."""

from typing import Any

from fathom.ranking.figures import (
    ArmResult,
    CardSection,
    Cost,
    Coverage,
    DataNotes,
    Difference,
    EvaluationReport,
    Interval,
    ItemLift,
    SearchResult,
    Slice,
    TokenEffect,
    Tokens,
    TrialResult,
)
from fathom_api.recmodel import Split


def an_arm(auc: float, **changes: Any) -> ArmResult:
    known: dict[str, Any] = {
        "digest": "sha256:ab",
        "parameters": 1234,
        "metrics": {
            "auc": auc,
            "gauc": 0.66,
            "logLoss": 0.6,
            "normalizedEntropy": 0.95,
            "calibration": 1.01,
        },
        "calibration": [
            {"prediction": 0.2, "label": 0.25, "rows": 50.0},
            {"prediction": 0.6, "label": 0.5, "rows": 50.0},
        ],
        "curve": [{"epoch": float(n), "loss": 1 / n, "validation_auc": 0.5 + n / 50} for n in (1, 2, 3)],
        "best_epoch": 3,
        "cost": Cost(seconds=75, processes=2, device="CPU (x86_64)", epochs=3),
    }
    return ArmResult(**(known | changes))


def a_difference(against: str = "WithoutCaptions", **changes: Any) -> Difference:
    known: dict[str, Any] = {"against": against, "auc": 0.02, "low": 0.01, "high": 0.03}
    known["more"] = {
        "relativeAuc": Interval(value=0.03, low=0.015, high=0.045),
        "relaImpr": Interval(value=0.12, low=0.06, high=0.18),
        "gauc": Interval(value=0.01, low=-0.01, high=0.03),
        "logLoss": Interval(value=-0.004, low=-0.006, high=-0.002),
    }
    return Difference(**(known | changes))


def an_effect(token: str = "shoe", effect: float = 0.2, **changes: Any) -> TokenEffect:
    known: dict[str, Any] = {"feature": "captions/shop", "items": 9, "rows": 90, "weight": 1.5}
    known["examples"] = ["i1", "i2"]
    return TokenEffect(token=token, effect=effect, **(known | changes))


def a_lift(item_id: str = "i1", gain: float = 1.5, **changes: Any) -> ItemLift:
    known: dict[str, Any] = {"texts": ["A red shoe", "Shoes"], "tokens": ["red", "shoe"], "rows": 12}
    known |= {"trained": 3, "liked": 0.75, "predicted": 0.7, "predicted_without": 0.4}
    return ItemLift(item_id=item_id, gain=gain, **(known | changes))


def a_slice(name: str, **changes: Any) -> Slice:
    known: dict[str, Any] = {"items": 10, "rows": 100, "positives": 40}
    known["auc"] = {"Captions": 0.7, "WithoutCaptions": 0.68}
    known["log_loss"] = {"Captions": 0.6, "WithoutCaptions": 0.61}
    known["differences"] = {"WithoutCaptions": Interval(value=0.02, low=-0.01, high=0.05)}
    return Slice(name=name, **(known | changes))


def an_evaluation(**changes: Any) -> EvaluationReport:
    trials = [
        TrialResult(number=0, pruned=False, epochs=5, value=0.69, parameters={"learningRate": 0.01}),
        TrialResult(number=1, pruned=True, epochs=1, value=0.6, parameters={"learningRate": 0.1}),
        TrialResult(number=2, pruned=False, epochs=5, value=0.7, parameters={"learningRate": 0.02}),
    ]
    search = SearchResult(metric="AUC", trials=trials, best=2, parameters=trials[2].parameters)
    known: dict[str, Any] = {
        "split": Split(strategy="ItemCold"),
        "split_digest": "sha256:cd",
        "rows": 400,
        "users": 40,
        "items": 30,
        "base_rate": 0.4,
        "arms": {
            "Captions": an_arm(0.71, search=search),
            "WithoutCaptions": an_arm(0.69),
            "Serving": an_arm(0.7, cost=None),
        },
        "differences": [a_difference(), a_difference("Serving", auc=0.01, low=-0.01, high=0.03)],
        "slices": [a_slice(name) for name in ("head", "torso", "tail", "new")],
        "coverage": [
            Coverage(
                feature="captions/shop",
                rows_with_tokens=0.9,
                rows_without_caption=0.05,
                items_with_tokens=0.95,
                tokens_per_item=4.2,
                vocabulary=120,
                unknown_share=0.3,
            )
        ],
        "tokens": Tokens(
            sample=400, method="Occlusion.", tested=[an_effect(), an_effect("hat", -0.1, weight=2.0)]
        ),
        "lifted": [a_lift(), a_lift("i2", -0.5)],
        "data": DataNotes(
            parts={"train": 3000, "validation": 400, "test": 400},
            rates={"train": 0.41, "validation": 0.4, "test": 0.4},
            unusable={"no user_id": 3},
            samples={"no user_id": ["user_id None, item_id '<b>7'"]},
            unknown_users=0.02,
            with_history=0.8,
            digests={"interactions": "sha256:ef"},
        ),
        "card": [CardSection(title="Intended use", text=["Predicts `liked`."], points=["no prices"])],
        "notes": [],
    }
    return EvaluationReport(**(known | changes))
