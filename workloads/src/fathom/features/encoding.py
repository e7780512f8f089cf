"""From the terms of captions to the tokens of items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fathom.features.counting import Ints, listed
from fathom.features.grams import Found
from fathom.features.vocabulary import UNKNOWN, Numbering


@dataclass(frozen=True)
class Encoded:
    """Tokens of some items.

    Attributes:
        offsets: int64 [n + 1].
        ids: int64 [m]; item i has `ids[offsets[i]:offsets[i + 1]]`.
        known: items with a known token.
        unknown: items that say something of which nothing is known; they have the one id UNKNOWN.
    """

    offsets: Ints
    ids: Ints
    known: int
    unknown: int

    def array(self) -> pa.Array:
        """Return the ids as an array of lists."""
        offsets, ids = pa.array(self.offsets.astype(np.int32)), pa.array(self.ids.astype(np.int32))
        return pa.ListArray.from_arrays(offsets, ids)


def encode(found: Found, numbering: Numbering, limit: int) -> Encoded:
    """Return at most `limit` ids of each caption, each once, the rarest first: they say most about an item.

    A caption of which nothing has an id gets UNKNOWN, one that says nothing gets none.
    """
    lengths, ranks = listed(len(found.spoken), *found.parts)
    kept = np.minimum(lengths, limit)
    if len(ranks) > kept.sum():
        starts = np.cumsum(lengths) - lengths
        ranks = ranks[np.arange(len(ranks)) - np.repeat(starts, lengths) < limit]
    unknown = found.spoken & (lengths == 0)
    ids = np.insert(numbering.by_rank[ranks], (np.cumsum(kept) - kept)[unknown], UNKNOWN)
    offsets = np.concatenate([[0], np.cumsum(kept + unknown)])
    return Encoded(offsets, ids, int(np.count_nonzero(lengths)), int(unknown.sum()))
