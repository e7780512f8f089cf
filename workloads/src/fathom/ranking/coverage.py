"""How far caption tokens reach, and on which items they helped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.features.vocabulary import FIRST, MISSING
from fathom.ranking import metrics, split
from fathom.ranking.evaluation import Loaded
from fathom.ranking.figures import Coverage, DataNotes, ItemLift
from fathom.ranking.interactions import Interactions
from fathom.ranking.schema import FeatureField, lists
from fathom.ranking.words import Words

_EACH: Final = 4
_FEWEST_ROWS: Final = 3
_TOKENS: Final = 12


def caption_fields(ranker: Loaded) -> list[tuple[int, FeatureField]]:
    """Return the caption features and their places among the item's lists."""
    return [(at, f) for at, f in enumerate(lists(ranker.info.features.item)) if f.type == "Tokens"]


def reach(ranker: Loaded, words: Sequence[Words]) -> list[Coverage]:
    """Return how many test interactions, and items of them, have tokens of each caption feature."""
    rows = ranker.pairs.item.numpy()
    found: list[Coverage] = []
    for (at, field), own in zip(caption_fields(ranker), words, strict=True):
        values = ranker.held.items.columns.lists[at]
        tokens = (values >= FIRST).sum(axis=1)
        missing = (values == MISSING).any(axis=1)
        items = np.unique(rows)
        found.append(
            Coverage(
                feature=field.name,
                rows_with_tokens=float((tokens[rows] > 0).mean()),
                rows_without_caption=float(missing[rows].mean()),
                items_with_tokens=float((tokens[items] > 0).mean()),
                tokens_per_item=float(tokens[items].mean()),
                vocabulary=field.size - FIRST,
                unknown_share=own.unknown_share,
            )
        )
    return found


def notes(
    events: Interactions, parts: split.Parts, ranker: Loaded, made_from: Mapping[str, str]
) -> DataNotes:
    """Return what the arms were trained and judged on."""
    rows = {name: parts == number for number, name in enumerate(split.PARTS)}
    test, train = np.flatnonzero(rows["test"]), np.flatnonzero(rows["train"])
    seen = np.isin(events.user[test], events.user[train])
    pairs = ranker.pairs
    return DataNotes(
        parts={name: int(own.sum()) for name, own in rows.items()},
        rates={name: float(events.label[own].mean()) for name, own in rows.items()},
        unusable=events.unusable,
        samples=_shown(events.samples),
        unknown_users=float(1 - seen.mean()),
        with_history=float((pairs.end > pairs.start).double().mean()),
        digests=dict(made_from),
    )


def _shown(samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Return rows as texts of `column value`."""
    return {
        why: [", ".join(f"{name} {value!r}" for name, value in row.items()) for row in rows]
        for why, rows in samples.items()
    }


def lifted(
    events: Interactions,
    parts: split.Parts,
    ranker: Loaded,
    words: Sequence[Words],
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> list[ItemLift]:
    """Return the items that the first of `scores` predicts better than the second by most, and by least.

    By log loss over each item's test interactions. Chosen on them, they are examples and no evidence: the
    best of many look better than they are.
    """
    ours, other = scores
    test = np.flatnonzero(parts == split.TEST)
    item, label = events.item[test], events.label[test]
    gain = metrics.log_losses(label, other) - metrics.log_losses(label, ours)
    count = np.bincount(item)
    total = np.bincount(item, gain)
    enough = np.flatnonzero(count >= _FEWEST_ROWS)
    order = enough[np.argsort(-total[enough], kind="stable")]
    best = [i for i in order[:_EACH] if total[i] > 0]
    worst = [i for i in order[::-1][:_EACH] if total[i] < 0]
    trained = np.bincount(events.item[parts == split.TRAIN], minlength=len(events.items))
    means = {name: _mean(item, values, count) for name, values in (("p", ours), ("q", other), ("y", label))}
    places = ranker.held.items.rows()
    return [
        ItemLift(
            item_id=events.items[i],
            tokens=_tokens(ranker, words, places.get(events.items[i], 0)),
            rows=int(count[i]),
            trained=int(trained[i]),
            liked=float(means["y"][i]),
            predicted=float(means["p"][i]),
            predicted_without=float(means["q"][i]),
            gain=float(total[i]),
        )
        for i in (*best, *worst)
    ]


def _mean(at: NDArray[np.int64], values: NDArray[Any], count: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(at, values) / np.maximum(count, 1)


def _tokens(ranker: Loaded, words: Sequence[Words], row: int) -> list[str]:
    found: list[str] = []
    for (at, _), own in zip(caption_fields(ranker), words, strict=True):
        ids = ranker.held.items.columns.lists[at][row]
        found += [own.of(token) for token in ids[ids >= FIRST].tolist()]
    return found[:_TOKENS]
