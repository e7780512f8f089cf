"""Figures by how often training saw the item: where captions should help most is where it saw little."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.ranking import bootstrap, metrics, split
from fathom.ranking.bootstrap import Panel
from fathom.ranking.figures import Interval, Slice
from fathom.ranking.interactions import Interactions

NAMES: Final = ("head", "torso", "tail", "new")
#: Where head and torso end: shares of the training interactions, the most frequent items first.
_HEAD, _TORSO = 0.5, 0.9


def measure(
    events: Interactions, parts: split.Parts, scores: Mapping[str, NDArray[np.float64]]
) -> list[Slice]:
    """Return the figures of each slice; `scores` are each arm's on the test interactions, Captions first."""
    test = parts == split.TEST
    frequency = np.bincount(events.item[parts == split.TRAIN], minlength=len(events.items))
    kind = kinds(frequency)[events.item[test]]
    label, item, user = events.label[test], events.item[test], events.user[test]
    return [
        _slice(name, label[own], item[own], user[own], {arm: s[own] for arm, s in scores.items()})
        for name, own in ((name, kind == name) for name in NAMES)
    ]


def kinds(frequency: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the slice [n] of items that training saw `frequency` [n] times."""
    order = np.argsort(-frequency, kind="stable")
    before = np.cumsum(frequency[order]) - frequency[order]
    share = np.empty(len(frequency))
    share[order] = before / max(frequency.sum(), 1)
    seen = np.where(share < _HEAD, "head", np.where(share < _TORSO, "torso", "tail"))
    return np.where(frequency == 0, "new", seen)


def finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Leave out what cannot be computed (GAUC where no user has both labels); JSON has no NaN."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _slice(
    name: str,
    label: NDArray[Any],
    item: NDArray[np.int64],
    user: NDArray[np.int64],
    scores: Mapping[str, NDArray[np.float64]],
) -> Slice:
    return Slice(
        name=name,
        items=len(np.unique(item)),
        rows=len(label),
        positives=int(label.sum()),
        auc=finite({arm: metrics.auc(label, s) for arm, s in scores.items()}),
        log_loss=finite({arm: metrics.log_loss(label, s) for arm, s in scores.items()}),
        differences=_differences(label, user, scores) if 0 < label.sum() < len(label) else {},
    )


def _differences(
    label: NDArray[Any], user: NDArray[np.int64], scores: Mapping[str, NDArray[np.float64]]
) -> dict[str, Interval]:
    panel = Panel(label, user)
    judged = {arm: panel.judge(s) for arm, s in scores.items()}
    found: dict[str, Interval] = {}
    for arm in scores:
        if arm != "Captions" and (e := bootstrap.difference(judged["Captions"].auc, judged[arm].auc)):
            found[arm] = Interval(value=e.value, low=e.low, high=e.high)
    return found
