"""Rankers measured side by side on the test interactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fathom.ranking import bootstrap, bundle, context, cost, fingerprints, history, metrics, slices, split
from fathom.ranking.batches import Pairs, Tables, predict
from fathom.ranking.bootstrap import Estimate, Judged, Panel
from fathom.ranking.bundle import BundleInfo, Parts
from fathom.ranking.figures import ArmResult, Cost, Difference, EvaluationReport, Interval, SearchResult
from fathom.ranking.interactions import Interactions
from fathom.ranking.items import tensors
from fathom.ranking.model import Ranker
from fathom.ranking.slices import finite
from fathom_api.recmodel import Split


@dataclass(frozen=True)
class Arm:
    """A ranker's predictions on the test interactions.

    Attributes:
        info: what it is.
        digest: of its bundle.
        scores: [n] P(label = 1).
        seen: share of the test interactions that it was trained on.
        cost: what its training took, where that is known.
        search: how its hyper-parameters were found, where they were searched.
    """

    info: BundleInfo
    digest: str
    scores: NDArray[np.float64]
    seen: float
    cost: Cost | None = None
    search: SearchResult | None = None


@dataclass(frozen=True)
class Loaded:
    """A ranker and the test interactions as it takes them.

    Attributes:
        info: what it is.
        held: its tables.
        digest: of its bundle.
        model: it itself, ready to score.
        tables: users and items by its own rows; who or what it does not know is row 0.
        pairs: the test interactions, in the order of the data.
    """

    info: BundleInfo
    held: Parts
    digest: str
    model: Ranker
    tables: Tables
    pairs: Pairs


def load(folder: Path, events: Interactions, parts: split.Parts) -> Loaded:
    """Return the bundle in `folder` and the test interactions in its own rows.

    Raises:
        InvalidInputError: the bundle is unfinished or damaged.
    """
    info, held, digest = bundle.read(folder)
    tables, pairs = _inputs(info, held, events, parts)
    return Loaded(info, held, digest, bundle.ranker(folder, info, held.weights), tables, pairs)


def score(folder: Path, events: Interactions, parts: split.Parts) -> Arm:
    """Return what the bundle in `folder` predicts for the test interactions, as it would when it serves them.

    Raises:
        InvalidInputError: the bundle is unfinished or damaged.
    """
    loaded = load(folder, events, parts)
    scores = predict(loaded.model, loaded.tables, loaded.pairs, loaded.info.features.history)
    seen = fingerprints.overlap(events.hashes[parts == split.TEST], loaded.held.training_rows)
    return Arm(loaded.info, loaded.digest, scores, seen, cost.read(folder), cost.read_search(folder))


def _inputs(info: BundleInfo, held: Parts, events: Interactions, parts: split.Parts) -> tuple[Tables, Pairs]:
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
    around = context.encoded(
        events.context, info.features.of_requests, held.vocabularies["user"], len(events), test
    )
    ids, numbers = (own if own is None else torch.from_numpy(own) for own in around.told)
    pairs = Pairs(*(torch.from_numpy(values) for values in columns))
    return tables, pairs._replace(context_ids=ids, context_numeric=numbers)


def report(events: Interactions, parts: split.Parts, how: Split, arms: Mapping[str, Arm]) -> EvaluationReport:
    """Return the figures of `arms`, which must hold Captions."""
    test = np.flatnonzero(parts == split.TEST)
    label, user = events.label[test], events.user[test]
    # Captions first: everything is told against it.
    scores = {"Captions": arms["Captions"].scores} | {name: arm.scores for name, arm in arms.items()}
    return EvaluationReport(
        split=how,
        split_digest=split.digest(events, parts),
        rows=len(test),
        users=len(np.unique(user)),
        items=len(np.unique(events.item[test])),
        base_rate=float(label.mean()),
        arms={name: _result(arm, label, user) for name, arm in arms.items()},
        differences=_differences(label, user, scores),
        slices=slices.measure(events, parts, scores),
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
        metrics=finite(figures),
        calibration=metrics.calibration_bins(label, arm.scores),
        curve=arm.info.curve,
        best_epoch=int(arm.info.metrics["epoch"]),
        cost=arm.cost,
        search=arm.search,
    )


def _differences(
    label: NDArray[Any], user: NDArray[np.int64], scores: Mapping[str, NDArray[np.float64]]
) -> list[Difference]:
    panel = Panel(label, user)
    ours = panel.judge(scores["Captions"])
    return [
        _difference(name, ours, panel.judge(other)) for name, other in scores.items() if name != "Captions"
    ]


def _difference(against: str, ours: Judged, other: Judged) -> Difference:
    auc = bootstrap.difference(ours.auc, other.auc)
    if auc is None:  # The split has both classes, and most draws of its users then have.
        auc = Estimate(float(ours.auc[0] - other.auc[0]), -1.0, 1.0)
    more = {
        "relativeAuc": bootstrap.relative(ours.auc, other.auc),
        "relaImpr": bootstrap.rela_impr(ours.auc, other.auc),
        "gauc": bootstrap.difference(ours.gauc, other.gauc),
        "logLoss": bootstrap.difference(ours.log_loss, other.log_loss),
        "normalizedEntropy": bootstrap.difference(ours.normalized_entropy, other.normalized_entropy),
    }
    found = {name: Interval(value=e.value, low=e.low, high=e.high) for name, e in more.items() if e}
    return Difference(against=against, auc=auc.value, low=auc.low, high=auc.high, more=found)


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
