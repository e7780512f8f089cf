"""L2 on embeddings by how often training meets them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fathom.ranking.occurrences import Used
from fathom.ranking.optimiser import touched


class FrequencyPenalty:
    """The gradient of λ/2 Σ ‖e‖² / √count over the embeddings that a step learns from.

    An optimiser's weight decay pulls at every embedding in every step, also where the step says nothing of
    it; a rare one is then pulled to zero far more often than it learns, and Adam, which divides by the size
    of the gradient, makes that pull as strong as learning. Here an embedding is pulled when it learns, and
    harder against its evidence the less there is: it grows with count, this with √count.

    Of a list's mean, an embedding is 1/L: it must be L times as long as in a sum to say the same, and learns
    a gradient 1/L as large. Pulled as in a sum it would never get there; so it is pulled 1/L² as hard.
    """

    def __init__(self, used: Sequence[Used], strength: float) -> None:
        """Take how training uses the embeddings, and λ."""
        self._factors = [
            (table, (strength * share.square() / count.clamp(min=1).sqrt()).to(table.dtype).unsqueeze(1))
            for table, count, share in used
        ]

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add to the gradients of the rows that have one, dense or sparse."""
        for embeddings, factor in self._factors:
            gradient = embeddings.grad
            if gradient is None:
                continue
            if gradient.is_sparse:
                rows, values = touched(gradient)
                values.addcmul_(embeddings[rows], factor[rows])
                embeddings.grad = torch.sparse_coo_tensor(
                    rows.unsqueeze(0), values, gradient.shape, is_coalesced=True, check_invariants=False
                )
            else:
                learning = gradient.any(dim=1, keepdim=True)
                gradient.addcmul_(embeddings, factor * learning)
