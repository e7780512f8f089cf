"""Where embeddings begin: the less training meets one, the nearer to zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from fathom.ranking.occurrences import Used

#: Interactions that make an embedding's first spread half of what it is for the very frequent. Chosen on
#: validation parts: MovieLens-100K, and rows that `benchmarks.training` makes (see docs/design).
HALF: Final = 50.0


@torch.no_grad()
def shrink_rare(used: Sequence[Used]) -> None:
    """Multiply each embedding by c / (c + 50), c being how often training meets it.

    A random first vector is noise until it is learned away, which takes the rare longest, and what is never
    met stays as it began. Small first vectors for all are no way out: the frequent then begin to interact
    only after an epoch.
    """
    for table, count, _ in used:
        table.mul_((count / (count + HALF)).to(table.dtype).unsqueeze(1))
