"""What training minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fathom.ranking.model import Batch, Ranker


class AllTasks(nn.Module):
    """A ranker whose `forward` gives the logits of all tasks: DistributedDataParallel calls nothing else."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, batch: Batch) -> Tensor:
        """Return logits [n, 1 + T]."""
        return self.ranker.all_tasks(batch)


def total_loss(
    logits: Tensor, label: Tensor, tasks: Tensor | None, importance: Sequence[float], weight: Tensor
) -> Tensor:
    """Return Σ over rows of the cross-entropy of the main task plus the others', each times its importance.

    Args:
        logits: [n, 1 + T].
        label: [n] of the main task.
        tasks: [n, T] of the others, NaN where there is none; None where T is 0.
        importance: T factors.
        weight: [n] factors of the rows.
    """
    main = binary_cross_entropy_with_logits(logits[:, 0], label, weight, reduction="sum")
    if tasks is None:
        return main
    there = ~tasks.isnan()
    # NaN times zero is NaN, so what is missing must not be computed with at all.
    factors = there * weight[:, None] * torch.tensor(importance, device=logits.device)
    return main + binary_cross_entropy_with_logits(
        logits[:, 1:], tasks.nan_to_num(), factors, reduction="sum"
    )
