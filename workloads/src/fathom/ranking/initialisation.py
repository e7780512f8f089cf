"""Where embeddings begin: the less training meets one, the nearer to zero."""

from __future__ import annotations

from itertools import chain
from typing import Final

import torch

from fathom.ranking.batches import Pairs, Tables
from fathom.ranking.model import Ranker
from fathom.ranking.regularisation import occurrences

#: Interactions that make an embedding's first spread half of what it is for the very frequent. Chosen on
#: validation parts: MovieLens-100K, and rows that `benchmarks.training` makes (see docs/design).
HALF: Final = 50.0


@torch.no_grad()
def shrink_rare(ranker: Ranker, tables: Tables, pairs: Pairs) -> None:
    """Multiply each embedding by c / (c + 50), c being how often training meets it.

    A random first vector is noise until it is learned away, which takes the rare longest, and what is never
    met stays as it began. Small first vectors for all are no way out: the frequent then begin to interact
    only after an epoch.
    """
    of_users = occurrences(ranker.user_sparse, tables.users, pairs.user)
    of_items = occurrences(ranker.item_sparse, tables.items, pairs.item)
    for table, count, _ in chain(of_users, of_items):
        table.mul_((count / (count + HALF)).to(table.dtype).unsqueeze(1))
