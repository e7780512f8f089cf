"""Vectors of items for a nearest-neighbour index: ⟨user, item⟩ orders items as the ranker does."""

from __future__ import annotations

import pyarrow as pa
import torch

from fathom.ranking.architectures.two_tower import TwoTower
from fathom.ranking.columns import Entities
from fathom.ranking.layers import from_columns
from fathom.ranking.model import Ranker

#: Items at once; bounds memory.
CHUNK = 65_536


def item_vectors(ranker: Ranker, items: Entities) -> pa.Table | None:
    """Return `item_id` and `vector` (fixed-size list of float32) of `items`; None if there are no towers."""
    towers = ranker.interaction
    if not isinstance(towers, TwoTower):
        return None
    known = from_columns(items.columns)
    rows = torch.arange(1, len(items.names) + 1)
    parts: list[torch.Tensor] = []
    with torch.inference_mode():
        for at in rows.split(CHUNK):
            some = known.take(at)
            pooled = ranker.item_sparse.pool(some.lists, len(at), some.weights)
            parts.append(towers.item_vector(ranker.item_side(some.ids, pooled), some.numeric))
    flat = pa.array(torch.cat(parts).flatten().numpy())
    vectors = pa.FixedSizeListArray.from_arrays(flat, towers.width)
    return pa.table({"item_id": pa.array(items.names, pa.string()), "vector": vectors})
