"""The small networks that become transforms, and the loop that trains them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.backfill.arrays import Bools, Floats, Ints
from fathom.backfill.belonging import Belonging
from fathom.backfill.methods import Tell
from fathom.backfill.transform import Layer, Transform

#: Items of a class that come into a batch together: without any there is no positive to learn from.
_TOGETHER: Final = 4


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. Adam; the rate rises for a tenth of the steps and falls as a cosine."""

    epochs: int = 50
    batch: int = 512
    rate: float = 1e-3
    decay: float = 1e-4
    least_steps: int = 300


class Network(nn.Module):
    """x [B, into] → unit(S x + MLP(x)) [B, out]: blocks of Linear → BN → ReLU, then Linear (2301.03767, 4.1).

    S starts as `skip` and is learned; the MLP's last layer then starts at zero, so training starts from S.
    """

    def __init__(self, into: int, out: int, *, hidden: int, blocks: int, skip: Floats | None) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        width = into
        for _ in range(blocks):
            parts += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
            width = hidden
        last = nn.Linear(width, out)
        self.mlp = nn.Sequential(*parts, last)
        self.skip: nn.Parameter | None = None
        if skip is not None:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.skip = nn.Parameter(torch.from_numpy(skip.copy()))

    def forward(self, given: Tensor) -> Tensor:
        """Return transformed vectors of unit length."""
        through = self.mlp(given)
        return functional.normalize(through if self.skip is None else through + given @ self.skip.T, dim=1)

    @torch.no_grad()
    def folded(self) -> Transform:
        """Return what it has learned, batch normalisations folded into the layers before them."""
        layers: list[Layer] = []
        modules = list(self.mlp)
        for at, module in enumerate(modules):
            if not isinstance(module, nn.Linear):
                continue
            weight, bias = module.weight.double(), module.bias.double()
            norm = modules[at + 1] if at + 1 < len(modules) else None
            if isinstance(norm, nn.BatchNorm1d):
                scale = norm.weight.double() / torch.sqrt(_tracked(norm.running_var) + norm.eps)
                weight = weight * scale[:, None]
                bias = (bias - _tracked(norm.running_mean)) * scale + norm.bias.double()
            layers.append(Layer(_numpy(weight), _numpy(bias), norm is not None))
        return Transform(tuple(layers), None if self.skip is None else _numpy(self.skip))


def train(
    networks: Iterable[nn.Module],
    loss: Callable[[Ints, Bools], Tensor],
    belonging: Belonging,
    schedule: Schedule,
    *,
    seed: int,
    tell: Tell,
) -> None:
    """Train `networks` by `loss`, which is given a batch's rows and which of them belong together.

    Deterministic for a `seed` on one kind of processor and number of threads.
    """
    chance = np.random.default_rng(seed)
    modules = list(networks)
    weights = [parameter for module in modules for parameter in module.parameters()]
    count = belonging.count
    size = min(schedule.batch, count)
    each = max(count // size, 1)
    epochs = max(schedule.epochs, -(-schedule.least_steps // each))
    optimiser = torch.optim.AdamW(weights, lr=schedule.rate, weight_decay=schedule.decay)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=epochs * each, pct_start=0.1
    )
    groups = belonging.groups()
    for epoch in range(epochs):
        total = 0.0
        for rows in batches(count, size, groups, chance):
            value = loss(rows, belonging.between(rows, rows))
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            rates.step()
            total += float(value.detach())
        tell(epoch + 1, epochs, {"loss": total / each})
    for module in modules:
        module.eval()


def batches(count: int, size: int, groups: list[Ints], chance: np.random.Generator) -> Iterable[Ints]:
    """Yield ⌊count / size⌋ batches of `size` different rows, no row twice; some of a group together."""
    if count <= size:
        yield chance.permutation(count).astype(np.int64)
        return
    # A row's key decides its batch: rows of a group share keys in handfuls, others have one of their own.
    keys = chance.random(count)
    for group in groups:
        shuffled = chance.permutation(group)
        keys[shuffled] = np.repeat(chance.random(-(-len(group) // _TOGETHER)), _TOGETHER)[: len(group)]
    order = np.lexsort((chance.random(count), keys)).astype(np.int64)
    for at in range(0, count // size * size, size):
        yield order[at : at + size]


def _tracked(given: Tensor | None) -> Tensor:
    if given is None:
        raise RuntimeError("a batch normalisation that keeps no running statistics cannot be folded")
    return given.double()


def _numpy(given: Tensor) -> Floats:
    return np.ascontiguousarray(given.detach().cpu().numpy(), dtype=np.float32)
