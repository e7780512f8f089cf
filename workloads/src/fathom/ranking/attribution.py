"""What caption tokens do to predictions, by occlusion: score with a token and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from fathom.features.vocabulary import FIRST
from fathom.ranking.batches import batch
from fathom.ranking.coverage import caption_fields
from fathom.ranking.evaluation import Loaded
from fathom.ranking.figures import TokenEffect, Tokens
from fathom.ranking.schema import PADDING, FeatureField
from fathom.ranking.words import Words

METHOD: Final = (
    "Occlusion (Zeiler & Fergus, arXiv 1311.2901): the mean difference in log-odds between scoring with the "
    "token and with the token taken from the item and from the items of the user's history."
)
_SAMPLE: Final = 8192
_TOKENS: Final = 200
_ROWS: Final = 256
#: A token of one item alone tells of the item rather than of the word.
_FEWEST_ITEMS: Final = 3
_EXAMPLES: Final = 3


@dataclass(frozen=True)
class _Sampled:
    """Test interactions that are looked at, and their items' tokens.

    Attributes:
        rows: [s] which of `Loaded.pairs`.
        items: [s] row of each one's item.
        values: [s, L] token ids of the items.
    """

    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    values: NDArray[np.int32]


def explain(ranker: Loaded, words: Sequence[Words], *, seed: int = 0) -> Tokens | None:
    """Return the effects of the tokens that are most frequent in a sample of the test interactions.

    Args:
        ranker: the candidate.
        words: of each of its caption features, in order.
        seed: of the sample.

    Returns:
        None where the ranker has no caption features.
    """
    features = caption_fields(ranker)
    if not features:
        return None
    count = len(ranker.pairs.label)
    rows = np.sort(np.random.default_rng(seed).permutation(count)[:_SAMPLE])
    items = ranker.pairs.item.numpy()[rows]
    found: list[TokenEffect] = []
    for (at, field), own in zip(features, words, strict=True):
        sampled = _Sampled(rows, items, ranker.held.items.columns.lists[at][items])
        found += _effects(ranker, at, field, sampled, own)
    return Tokens(sample=len(rows), method=METHOD, tested=found)


def _effects(
    ranker: Loaded, at: int, field: FeatureField, sampled: _Sampled, words: Words
) -> list[TokenEffect]:
    """Return the effects of the most frequent tokens of the list feature number `at`."""
    norms = ranker.model.item_sparse.bags[at].get_parameter("weight").norm(dim=1).numpy()
    effects: list[TokenEffect] = []
    for token in _frequent(sampled.values):
        has = np.flatnonzero((sampled.values == token).any(axis=1))
        items, first = np.unique(sampled.items[has], return_index=True)
        if len(items) < _FEWEST_ITEMS:
            continue
        chosen = sampled.rows[has[np.linspace(0, len(has) - 1, min(len(has), _ROWS)).astype(np.int64)]]
        effects.append(
            TokenEffect(
                feature=field.name,
                token=words.of(token),
                items=len(items),
                rows=len(chosen),
                weight=float(norms[token]),
                effect=_occluded(ranker, at, token, chosen),
                examples=[ranker.held.items.names[row - 1] for row in items[np.argsort(first)][:_EXAMPLES]],
            )
        )
    return effects


def _frequent(values: NDArray[np.int32]) -> list[int]:
    """Return the tokens in most rows of `values` [s, L]; ids below FIRST are none."""
    tokens, counts = np.unique(values[values >= FIRST], return_counts=True)
    return tokens[np.argsort(-counts, kind="stable")][:_TOKENS].tolist()


def _occluded(ranker: Loaded, at: int, token: int, rows: NDArray[Any]) -> float:
    """Return the mean log-odds of `rows` minus those without `token`."""
    with torch.inference_mode():
        whole = batch(ranker.tables, ranker.pairs, torch.from_numpy(rows), ranker.info.features.history)
        values = list(whole.item.lists)
        values[at] = values[at].masked_fill(values[at] == token, PADDING)
        without = whole._replace(item=whole.item._replace(lists=values))
        return float((ranker.model(whole) - ranker.model(without)).mean())
