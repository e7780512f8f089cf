"""Rankers measured side by side on the test interactions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from fathom.ranking import bundle, fingerprints, history, metrics, split
from fathom.ranking.batches import Pairs, Tables, predict
from fathom.ranking.bootstrap import auc_difference
from fathom.ranking.bundle import BundleInfo, Parts
from fathom.ranking.interactions import Interactions
from fathom.ranking.scorer import tensors
from fathom_api.meta import StatusModel
from fathom_api.recmodel import Split


class ArmResult(StatusModel):
    """One ranker's figures."""

    digest: str = Field(description="`sha256:` of the bundle.")
    parameters: int = Field(description="Parameters of the model.")
    metrics: dict[str, float] = Field(description="auc, gauc, logLoss, normalizedEntropy, calibration.")
    calibration: list[dict[str, float]] = Field(description="prediction, label and rows, by prediction.")


class Difference(StatusModel):
    """AUC of Captions minus that of another arm."""

    against: str = Field(description="The other arm.")
    auc: float = Field(description="Difference; positive is better.")
    low: float = Field(description="Lower end of the 95 % interval, paired bootstrap over users.")
    high: float = Field(description="Upper end.")


class Slice(StatusModel):
    """Figures on the test interactions of some items."""

    name: str = Field(
        description="head: the most frequent items, half of the training interactions; tail: the other items "
        "with any; cold: items without."
    )
    items: int = Field(description="Items with test interactions.")
    rows: int = Field(description="Test interactions.")
    positives: int = Field(description="Those with label 1.")
    auc: dict[str, float] = Field(description="Of each arm; none where a class is missing.")
    log_loss: dict[str, float] = Field(description="Of each arm.")


class EvaluationReport(StatusModel):
    """`evaluation.json`."""

    split: Split = Field(description="How the test interactions were held out.")
    split_digest: str = Field(description="`sha256:` of which interaction is in which part.")
    rows: int = Field(description="Test interactions.")
    users: int = Field(description="Users among them.")
    items: int = Field(description="Items among them.")
    base_rate: float = Field(description="Share of label 1.")
    arms: dict[str, ArmResult] = Field(description="Figures of each arm.")
    differences: list[Difference] = Field(description="Captions against each other arm.")
    slices: list[Slice] = Field(description="By how often training saw the item.")
    notes: list[str] = Field(description="What to keep in mind when reading.")


@dataclass(frozen=True)
class Arm:
    """A ranker's predictions on the test interactions.

    Attributes:
        info: what it is.
        digest: of its bundle.
        scores: [n] P(label = 1).
        seen: share of the test interactions that it was trained on.
    """

    info: BundleInfo
    digest: str
    scores: NDArray[np.float64]
    seen: float


def score(folder: Path, events: Interactions, parts: split.Parts) -> Arm:
    """Return what the bundle in `folder` predicts for the test interactions, as it would when it serves them.

    Raises:
        InvalidInputError: the bundle is unfinished or damaged.
    """
    info, held, digest = bundle.read(folder)
    model = bundle.ranker(folder, info, held.weights)
    tables, pairs = _inputs(held, events, parts)
    scores = predict(model, tables, pairs, info.features.history)
    seen = fingerprints.overlap(events.hashes[parts == split.TEST], held.training_rows)
    return Arm(info, digest, scores, seen)


def _inputs(held: Parts, events: Interactions, parts: split.Parts) -> tuple[Tables, Pairs]:
    """Return the test interactions in the bundle's own rows; who or what it does not know is row 0."""
    test = np.flatnonzero(parts == split.TEST)
    users, items = held.users.rows(), held.items.rows()
    user = np.array([users.get(name, 0) for name in events.users], np.int64)[events.user]
    item = np.array([items.get(name, 0) for name in events.items], np.int64)[events.item]
    before = history.before_each(events, parts == split.TRAIN)
    columns = (user[test], item[test], before.start[test], before.end[test], events.label[test])
    tables = Tables(
        tensors(held.users.columns), tensors(held.items.columns), torch.from_numpy(item[before.at])
    )
    return tables, Pairs(*(torch.from_numpy(values) for values in columns))


def report(events: Interactions, parts: split.Parts, how: Split, arms: Mapping[str, Arm]) -> EvaluationReport:
    """Return the figures of `arms`, which must hold Captions."""
    test = np.flatnonzero(parts == split.TEST)
    label, user = events.label[test], events.user[test]
    ours = arms["Captions"].scores
    return EvaluationReport(
        split=how,
        split_digest=split.digest(events, parts),
        rows=len(test),
        users=len(np.unique(user)),
        items=len(np.unique(events.item[test])),
        base_rate=float(label.mean()),
        arms={name: _result(arm, label, user) for name, arm in arms.items()},
        differences=[
            _difference(name, auc_difference(label, ours, arm.scores, user))
            for name, arm in arms.items()
            if name != "Captions"
        ],
        slices=_slices(events, parts, {name: arm.scores for name, arm in arms.items()}),
        notes=_notes(arms, split.digest(events, parts)),
    )


def _result(arm: Arm, label: NDArray[Any], user: NDArray[np.int64]) -> ArmResult:
    figures = {
        "auc": metrics.auc(label, arm.scores),
        "gauc": metrics.gauc(label, arm.scores, user),
        "logLoss": metrics.log_loss(label, arm.scores),
        "normalizedEntropy": metrics.normalized_entropy(label, arm.scores),
        "calibration": metrics.calibration(label, arm.scores),
    }
    return ArmResult(
        digest=arm.digest,
        parameters=arm.info.sizes["parameters"],
        metrics=_finite(figures),
        calibration=metrics.calibration_bins(label, arm.scores),
    )


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Leave out what cannot be computed (GAUC where no user has both labels); JSON has no NaN."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _difference(against: str, interval: tuple[float, float, float]) -> Difference:
    auc, low, high = interval
    return Difference(against=against, auc=auc, low=low, high=high)


def _slices(
    events: Interactions, parts: split.Parts, scores: Mapping[str, NDArray[np.float64]]
) -> list[Slice]:
    test = parts == split.TEST
    frequency = np.bincount(events.item[parts == split.TRAIN], minlength=len(events.items))
    kind = _kinds(frequency)[events.item[test]]
    label, item = events.label[test], events.item[test]
    return [_slice(name, kind == name, label, item, scores) for name in ("head", "tail", "cold")]


def _kinds(frequency: NDArray[np.int64]) -> NDArray[np.str_]:
    order = np.argsort(-frequency, kind="stable")
    before = np.cumsum(frequency[order]) - frequency[order]
    head = np.zeros(len(frequency), np.bool_)
    head[order[before < frequency.sum() / 2]] = True
    return np.where(frequency == 0, "cold", np.where(head, "head", "tail"))


def _slice(
    name: str,
    chosen: NDArray[np.bool_],
    label: NDArray[Any],
    item: NDArray[np.int64],
    scores: Mapping[str, NDArray[np.float64]],
) -> Slice:
    labels = label[chosen]
    return Slice(
        name=name,
        items=len(np.unique(item[chosen])),
        rows=int(chosen.sum()),
        positives=int(labels.sum()),
        auc=_finite({arm: metrics.auc(labels, s[chosen]) for arm, s in scores.items()}),
        log_loss=_finite({arm: metrics.log_loss(labels, s[chosen]) for arm, s in scores.items()}),
    )


def _notes(arms: Mapping[str, Arm], digest: str) -> list[str]:
    """Say where the arms are not on equal terms."""
    ours = arms["Captions"].info
    notes: list[str] = []
    for name, arm in arms.items():
        if arm.seen:
            notes.append(
                f"{name} was trained on {arm.seen:.1%} of the test interactions; its figures flatter it."
            )
        elif arm.info.split_digest != digest:
            notes.append(f"{name} was trained on other interactions, none of them in this test split.")
        if name in {"WithoutCaptions", "ShuffledCaptions"} and (
            (arm.info.model, arm.info.training) != (ours.model, ours.training)
        ):
            notes.append(f"{name} was trained with other parameters than Captions; do not compare them.")
    return notes
