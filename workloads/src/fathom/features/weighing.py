"""From the terms of an item's samples to its tokens, each with its weight.

A weight is the share of the samples that hold the token: an unbiased estimate of the probability that the
model says it, so what the model is unsure of counts for less, and what it would say second is not lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.features.counting import distinct
from fathom.features.encoding import Encoded
from fathom.features.grams import Found
from fathom.features.vocabulary import UNKNOWN, Numbering


@dataclass(frozen=True)
class Weighted:
    """Tokens and weights of some items.

    Attributes:
        item_ids: string [n], each once.
        tokens: of these items.
        shares: float32 [m]; the weight of each of `tokens.ids`.
    """

    item_ids: pa.Array
    tokens: Encoded
    shares: NDArray[np.float32]

    def array(self) -> pa.Array:
        """Return the weights as an array of lists."""
        return pa.ListArray.from_arrays(pa.array(self.tokens.offsets.astype(np.int32)), pa.array(self.shares))


def encode(item_ids: pa.Array, found: Found, numbering: Numbering, limit: int) -> Weighted:
    """Return at most `limit` tokens of each item, those of the most samples first, of those the rarest.

    Args:
        item_ids: string [samples]; the samples of an item follow one another.
        found: the terms of each sample.
        numbering: their ids.
        limit: most tokens of an item.
    """
    coded = item_ids.dictionary_encode()
    owner = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    samples = np.bincount(owner)
    items, width = len(samples), max(len(numbering.by_rank), 1)
    rows, ranks = distinct(*found.parts)
    keys, counts = np.unique(owner[rows] * width + ranks, return_counts=True)
    of, rank = np.divmod(keys, width)
    order = np.lexsort((rank, -counts, of))
    of, rank, counts = of[order], rank[order], counts[order]
    lengths = np.bincount(of, minlength=items)
    kept = np.arange(len(of)) - np.repeat(np.cumsum(lengths) - lengths, lengths) < limit
    of, rank, counts = of[kept], rank[kept], counts[kept]
    spoken = np.bincount(owner, weights=found.spoken, minlength=items) > 0
    unknown = spoken & (lengths == 0)
    lengths = np.minimum(lengths, limit)
    at = (np.cumsum(lengths) - lengths)[unknown]
    ids = np.insert(numbering.by_rank[rank], at, UNKNOWN)
    shares = np.insert((counts / samples[of]).astype(np.float32), at, np.float32(1))
    offsets = np.concatenate([[0], np.cumsum(lengths + unknown)])
    tokens = Encoded(offsets, ids, int(np.count_nonzero(lengths)), int(unknown.sum()))
    return Weighted(coded.dictionary, tokens, shares)
