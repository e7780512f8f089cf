"""Small convolutional networks for drawings: what plays the old and the new model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.backfill.omniglot import Part

_BATCH: Final = 128
#: Drawings are turned, moved and scaled by up to this much while training: radians, of the half side, share.
_TURN, _SHIFT, _SCALE = 0.2, 0.1, 0.15


@dataclass(frozen=True)
class Shape:
    """Channels of each block (each halves the side), width of the embedding, and epochs of training."""

    channels: tuple[int, ...]
    width: int
    epochs: int = 12


SMALL: Final = Shape((8, 8), 64)
LARGE: Final = Shape((16, 32), 128)


class Encoder(nn.Module):
    """Pictures [B, 1, side, side] → embeddings [B, width], not normalised."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for into, out in zip((1, *shape.channels), shape.channels, strict=False):
            blocks += [nn.Conv2d(into, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.LazyLinear(shape.width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return embeddings."""
        return self.head(self.blocks(pictures).flatten(1))


def train(part: Part, shape: Shape, seed: int) -> Encoder:
    """Return an encoder that tells the characters of `part` apart, by softmax cross-entropy."""
    torch.manual_seed(seed)
    classes, targets = np.unique(part.labels, return_inverse=True)
    encoder = Encoder(shape)
    pictures, labels = torch.from_numpy(part.pictures), torch.from_numpy(targets)
    encoder(pictures[:2])
    classifier = nn.Linear(shape.width, len(classes))
    weights = [*encoder.parameters(), *classifier.parameters()]
    steps = shape.epochs * (len(part) // _BATCH)
    optimiser = torch.optim.AdamW(weights, lr=2e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    encoder.train()
    for _ in range(shape.epochs):
        for rows in torch.randperm(len(part))[: len(part) // _BATCH * _BATCH].split(_BATCH):
            loss = functional.cross_entropy(classifier(encoder(_changed(pictures[rows]))), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
    return encoder.eval()


@torch.no_grad()
def embed(encoder: Encoder, part: Part) -> NDArray[np.float32]:
    """Return embeddings float32 [n, width]."""
    return torch.cat([encoder(b) for b in torch.from_numpy(part.pictures).split(512)]).numpy()


def _changed(pictures: Tensor) -> Tensor:
    """Return `pictures` [B, 1, S, S], each turned, moved and scaled a little."""
    count = len(pictures)
    turn = (torch.rand(count) * 2 - 1) * _TURN
    scale = 1 + (torch.rand(count) * 2 - 1) * _SCALE
    cosine, sine = torch.cos(turn) * scale, torch.sin(turn) * scale
    shift = (torch.rand(count, 2) * 2 - 1) * _SHIFT
    rows = torch.stack(
        [torch.stack([cosine, -sine, shift[:, 0]], 1), torch.stack([sine, cosine, shift[:, 1]], 1)], 1
    )
    grid = functional.affine_grid(rows, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)
