"""Transforms that are trained: ψ by the old vectors, ψ and ρ by what belongs together, and baselines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fathom.backfill.arrays import Bools, Floats, Ints
from fathom.backfill.belonging import Belonging
from fathom.backfill.closed_form import least_squares
from fathom.backfill.losses import metric_compatible, reverse_query
from fathom.backfill.networks import Network, Schedule, Tell, train
from fathom.backfill.transform import Transform

_RESIDUAL: Final = Schedule(epochs=50, rate=1e-3)


@dataclass(frozen=True)
class Settings:
    """Of the networks and the contrastive loss; docs/design says where they come from.

    Attributes:
        hidden: width of the hidden layers, as a multiple of the wider space.
        widest: most that this comes to: beyond it, time goes up with the square and a sample is soon learned
            by heart.
        blocks: Linear → BN → ReLU blocks before the last Linear.
        temperature: τ of the contrastive loss.
        contrast: weight of L_MCL beside L_RQT.
        learn_new: whether ρ is learned.
        schedule: how long and how fast.
    """

    hidden: int = 2
    widest: int = 1024
    blocks: int = 2
    temperature: float = 0.1
    contrast: float = 1.0
    learn_new: bool = True
    schedule: Schedule = field(default_factory=Schedule)


def query_transform(
    new: Floats, old: Floats, *, seed: int, tell: Tell, settings: Settings | None = None
) -> Transform:
    """Return ψ that minimises L_RQT = mean d(ψ(φ_new(x)), φ_old(x)) (arXiv 2301.03767, section 4.1).

    No labels, both models as they are.
    """
    settings = settings or Settings()
    torch.manual_seed(seed)
    network = _network(new, old, settings)
    x, y = torch.from_numpy(new), torch.from_numpy(old)

    def loss(rows: Ints, _: Bools) -> Tensor:
        return reverse_query(network(x[rows]), y[rows])

    train([network], loss, Belonging.alone(len(new)), settings.schedule, seed=seed, tell=tell)
    return network.folded()


def residual(given: Floats, wanted: Floats, *, seed: int, tell: Tell) -> Transform:
    """Return given → wanted as least squares and an MLP for what they leave (residual MLP of 2509.23471).

    From old to new it is a forward-compatible transform (FCT, CVPR 2022) without side information.
    """
    settings = Settings(hidden=2, blocks=1, schedule=_RESIDUAL)
    torch.manual_seed(seed)
    network = _network(given, wanted, settings)
    x, y = torch.from_numpy(given), torch.from_numpy(wanted)

    def loss(rows: Ints, _: Bools) -> Tensor:
        return functional.mse_loss(network(x[rows]), y[rows]) * y.shape[1]

    train([network], loss, Belonging.alone(len(given)), settings.schedule, seed=seed, tell=tell)
    return network.folded()


def metric_compatible_pair(
    new: Floats, old: Floats, belonging: Belonging, *, seed: int, tell: Tell, settings: Settings | None = None
) -> tuple[Transform, Transform | None]:
    """Return ψ and ρ that minimise L_RQT + λ L_MCL (arXiv 2301.03767, section 4.2 and 4.3).

    ρ starts as the identity, ψ as least squares: training never starts from something worse than those.
    ρ is None where `settings.learn_new` is off.
    """
    settings = settings or Settings()
    torch.manual_seed(seed)
    backward = _network(new, old, settings)
    forward = _network(new, new, replace(settings, blocks=1)) if settings.learn_new else None
    x, y = torch.from_numpy(new), torch.from_numpy(old)

    def loss(rows: Ints, together: Bools) -> Tensor:
        there = backward(x[rows])
        here = x[rows] if forward is None else forward(x[rows])
        contrast = metric_compatible(
            there @ y[rows].T, here @ here.T, torch.from_numpy(together), settings.temperature
        )
        return reverse_query(there, y[rows]) + settings.contrast * contrast

    networks = [backward] if forward is None else [backward, forward]
    train(networks, loss, belonging, settings.schedule, seed=seed, tell=tell)
    return backward.folded(), None if forward is None else forward.folded()


def backward_compatible(
    new: Floats, old: Floats, belonging: Belonging, *, seed: int, tell: Tell
) -> Transform:
    """Return a new head, new → old space, whose vectors are searched in the old gallery as they are.

    Backward-compatible training (BCT, Shen et al., CVPR 2020) as far as it goes with the new backbone as it
    is: classification by the head's own class vectors, and its influence loss, classification by the old
    space's. Where an old classifier is not to be had, as here, BCT takes the classes' mean old vectors.
    """
    torch.manual_seed(seed)
    settings = Settings()
    head = _network(new, old, settings)
    x, y = torch.from_numpy(new), torch.from_numpy(old)

    def loss(rows: Ints, together: Bools) -> Tensor:
        there = head(x[rows])
        own = torch.from_numpy(together)
        itself = torch.eye(len(rows), dtype=torch.bool)
        weights = own.float() / own.sum(dim=1, keepdim=True)
        means = functional.normalize(weights @ y[rows], dim=1)
        influence = _contrast(there @ means.T, own, settings.temperature)
        return influence + _contrast(
            (there @ there.T).masked_fill(itself, -1), own & ~itself, settings.temperature
        )

    train([head], loss, belonging, settings.schedule, seed=seed, tell=tell)
    return head.folded()


def _contrast(cosines: Tensor, positive: Tensor, temperature: float) -> Tensor:
    """Return the mean of −log of the share of exp(cosine / τ) that positives hold, rows without one aside."""
    scores = cosines / temperature
    held = torch.logsumexp(scores.masked_fill(~positive, float("-inf")), dim=1)
    known = positive.any(dim=1)
    if not known.any():
        return scores.new_zeros(())
    return (torch.logsumexp(scores, dim=1) - held)[known].mean()


def _network(given: Floats, wanted: Floats, settings: Settings) -> Network:
    skip = np.eye(given.shape[1], dtype=np.float32) if given is wanted else least_squares(given, wanted)
    hidden = min(settings.hidden * max(given.shape[1], wanted.shape[1]), settings.widest)
    return Network(given.shape[1], wanted.shape[1], hidden=hidden, blocks=settings.blocks, skip=skip)
