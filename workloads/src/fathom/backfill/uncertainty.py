"""How unsure the alignment of an item is, told from its old vector alone (FastFill, ICLR 2023)."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fathom.backfill import arrays
from fathom.backfill.arrays import Bools, Floats, Ints
from fathom.backfill.belonging import Belonging
from fathom.backfill.compatibility import Compatibility
from fathom.backfill.networks import Schedule, train
from fathom.errors import InvalidInputError

_SCHEDULE: Final = Schedule(epochs=50, rate=1e-3, decay=1e-2)
_HIDDEN: Final = 128


def uncertainty(
    compatibility: Compatibility,
    old_pairs: NDArray[np.floating],
    new_pairs: NDArray[np.floating],
    gallery: NDArray[np.floating],
    *,
    seed: int = 0,
) -> Floats:
    """Return log σ² of each item of `gallery`, float32 [n]; the most uncertain move first.

    A Gaussian with variance σ²(φ_old(x)) for what the transform leaves, r = ‖ψ(φ_new(x)) − φ_old(x)‖, is
    fitted on pairs: ½ (r² / σ² + log σ²). FastFill trains it beside its forward transform; ours is the
    reverse one, so the residual is measured in the old space. Items that have not moved have no new vector
    yet, which is why σ² is a function of the old one.

    Args:
        compatibility: with a query transform.
        old_pairs, new_pairs: a sample in both spaces, best one that ψ has not learned from.
        gallery: old vectors of the items to order, [n, d_old].
        seed: of the network.

    Raises:
        InvalidInputError: the compatibility has no query transform, or vectors cannot be used.
    """
    if compatibility.query is None:
        raise InvalidInputError(
            "NoTransform",
            f"order Uncertainty needs a query transform, and {compatibility.info.method} has none: "
            "use MetricCompatible, or another order",
        )
    old, new = arrays.pairs(old_pairs, new_pairs)
    items = arrays.vectors("gallery", gallery, width=old.shape[1])
    residual = ((compatibility.old_query(new) - old) ** 2).sum(axis=1)
    torch.manual_seed(seed)
    network = _LogVariance(old.shape[1], float(np.log(residual.mean() + 1e-8)))
    x, r = torch.from_numpy(old), torch.from_numpy(residual)

    def loss(rows: Ints, _: Bools) -> Tensor:
        log_variance = network(x[rows])
        return (r[rows] * torch.exp(-log_variance) + log_variance).mean() / 2

    train([network], loss, Belonging.alone(len(old)), _SCHEDULE, seed=seed, tell=lambda *_: None)
    with torch.no_grad():
        return np.concatenate([network(part).numpy() for part in torch.from_numpy(items).split(8192)])


class _LogVariance(torch.nn.Module):
    """Old vectors [B, d] → log σ² [B], which starts as a constant."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        last = torch.nn.Linear(_HIDDEN, 1)
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.constant_(last.bias, start)
        self.net = torch.nn.Sequential(torch.nn.Linear(width, _HIDDEN), torch.nn.ReLU(), last)

    def forward(self, given: Tensor) -> Tensor:
        return self.net(given)[:, 0]
