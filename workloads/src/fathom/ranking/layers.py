"""Parts of rankers: embeddings of one side, cross layers, pairwise dots, the MLP on top."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.ranking.schema import PADDING, UNKNOWN, FeatureField, categorical, lists

#: Width from which cross layers are of low rank; below, the full matrix is cheap.
FULL_RANK_WIDTH = 1024

#: Spread of embeddings at first. Much smaller, and learning stands still for epochs before features begin to
#: interact; much larger, and what is rare stays noise (chosen on the validation split of MovieLens-100K).
INITIAL = 0.1


class ColumnTensors(NamedTuple):
    """Features of one side as tensors: ids [n, C], lists of [n, L], numeric [n, K]."""

    ids: Tensor
    lists: list[Tensor]
    numeric: Tensor


class SparseArch(nn.Module):
    """Embeddings of one side's ids: one table for all categorical features, one for each list feature.

    One fused table is several times faster on CPUs than one for each feature, and the same mathematically.
    """

    def __init__(self, fields: list[FeatureField], dim: int) -> None:
        super().__init__()
        sizes = [f.size for f in categorical(fields)]
        offsets = torch.tensor([sum(sizes[:i]) for i in range(len(sizes))], dtype=torch.int32)
        self.register_buffer("offsets", offsets, persistent=False)
        self.table = nn.Embedding(sum(sizes), dim)
        self.bags = nn.ModuleList(
            nn.EmbeddingBag(f.size, dim, mode=f.pooling.lower(), padding_idx=0) for f in lists(fields)
        )
        self.dim = dim
        for weight in self.parameters():
            nn.init.normal_(weight, std=INITIAL)
        # Whom nobody knows begins, and where training never meets one stays, in the middle of the known.
        with torch.no_grad():
            self.table.weight[offsets + UNKNOWN] = 0.0
        for bag in self.bags:
            nn.init.zeros_(bag.get_parameter("weight")[PADDING])

    def embed(self, ids: Tensor) -> Tensor:
        """Return the embeddings [n, C, D] of `ids` [n, C]."""
        return self.table(ids + self.get_buffer("offsets"))

    def pool(self, values: list[Tensor], rows: int) -> Tensor:
        """Return the pooled embeddings [n, J, D] of `values`, J tensors [n, L]; n is `rows`."""
        if not values:
            return self.table.weight.new_zeros(rows, 0, self.dim)
        return torch.stack([bag(v) for bag, v in zip(self.bags, values, strict=True)], dim=1)


def profile(history: Tensor, pooled: Tensor) -> Tensor:
    """Return the mean [n, D] of the rows of `pooled` [U, D] that `history` [n, H] names; row 0 is none."""
    return functional.embedding_bag(history, pooled, mode="mean", padding_idx=0)


class CrossLayer(nn.Module):
    """x₀ ⊙ (W xₗ + b) + xₗ (DCN V2, arXiv 2008.13535, equation 1); wide inputs use W = U Vᵀ (section 4.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        rank = width // 4
        self.transform: nn.Module = (
            nn.Linear(width, width)
            if width <= FULL_RANK_WIDTH
            else nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, width))
        )

    def forward(self, first: Tensor, x: Tensor) -> Tensor:
        """Return the next layer [n, W] after `x` [n, W]; `first` [n, W] is the network's input."""
        return first * self.transform(x) + x


class CrossNet(nn.Module):
    """Cross layers one after another: [n, W] → [n, W], features crossed up to degree layers + 1."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossLayer(width) for _ in range(layers))

    def forward(self, first: Tensor) -> Tensor:
        """Return the crossed features [n, W] of `first` [n, W]."""
        x = first
        for layer in self.layers:
            x = layer(first, x)
        return x


class PairwiseDots(nn.Module):
    """Dot products of each pair of F vectors (DLRM, arXiv 1906.00091): [n, F, D] → [n, F (F - 1) / 2]."""

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.register_buffer("pairs", torch.triu_indices(fields, fields, offset=1), persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the dot products of `vectors` [n, F, D], those above the Gram matrix's diagonal."""
        first, second = self.get_buffer("pairs")
        return torch.bmm(vectors, vectors.transpose(1, 2))[:, first, second]


class MLP(nn.Sequential):
    """Linear, ReLU and dropout for each width in `widths`: [n, `width`] → [n, widths[-1]]."""

    def __init__(self, width: int, widths: list[int], dropout: float = 0.0) -> None:
        parts: list[nn.Module] = []
        for before, after in zip([width, *widths], widths, strict=False):
            parts += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*parts)
