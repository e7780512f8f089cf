"""Parts of rankers: embeddings of one side, cross layers, pairwise dots, the MLP on top."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.ranking.columns import Columns
from fathom.ranking.schema import PADDING, UNKNOWN, FeatureField, categorical, lists
from fathom_api.learning import Pooling

#: Width from which cross layers are of low rank; below, the full matrix is cheap.
FULL_RANK_WIDTH = 1024

#: Spread of embeddings at first. Much smaller, and learning stands still for epochs before features begin to
#: interact; much larger, and what is rare stays noise (chosen on the validation split of MovieLens-100K).
INITIAL = 0.1


#: Makes a table of embeddings of so many rows and columns; its `weight` are the rows that lie here.
MakeTable = Callable[[int, int], Any]


class ColumnTensors(NamedTuple):
    """Features of one side as tensors.

    Attributes:
        ids: [n, C].
        lists: J of [n, L], 0 where padded.
        numeric: [n, K].
        weights: for each list [n, L], or None where all weights are 1; empty: they all are.
    """

    ids: Tensor
    lists: list[Tensor]
    numeric: Tensor
    weights: Sequence[Tensor | None] = ()

    def take(self, rows: Tensor) -> ColumnTensors:
        """Return the features of `rows`."""
        weights = [w if w is None else w[rows] for w in self.weights]
        return ColumnTensors(self.ids[rows], [v[rows] for v in self.lists], self.numeric[rows], weights)


def from_columns(columns: Columns) -> ColumnTensors:
    """Return `columns` as tensors that share their memory."""
    weights = [w if w is None else torch.from_numpy(w) for w in columns.weights]
    lists_of = [torch.from_numpy(values) for values in columns.lists]
    return ColumnTensors(torch.from_numpy(columns.ids), lists_of, torch.from_numpy(columns.numeric), weights)


def whole_table(rows: int, dim: int) -> nn.Embedding:
    """Return a table [R, D] of embeddings that all lie here."""
    table = nn.Embedding(rows, dim)
    nn.init.normal_(table.weight, std=INITIAL)
    return table


def held(table: nn.Module) -> range:
    """Return the rows of a table that lie here: all, unless they are divided among processes."""
    return getattr(table, "held", None) or range(len(table.get_parameter("weight")))


class SparseArch(nn.Module):
    """Embeddings of one side's ids: one table for all categorical features, one for each list feature.

    One fused table is several times faster on CPUs than one for each feature, and the same mathematically.
    """

    def __init__(self, fields: list[FeatureField], dim: int, table: MakeTable = whole_table) -> None:
        super().__init__()
        sizes = [f.size for f in categorical(fields)]
        offsets = torch.tensor([sum(sizes[:i]) for i in range(len(sizes))], dtype=torch.int32)
        self.register_buffer("offsets", offsets, persistent=False)
        self.table = table(sum(sizes), dim)
        self.bags = nn.ModuleList(Bag(f.size, dim, f.pooling) for f in lists(fields))
        self.dim = dim
        # Whom nobody knows begins, and where training never meets one stays, in the middle of the known.
        unknown, here = offsets + UNKNOWN, held(self.table)
        with torch.no_grad():
            self.table.weight[unknown[(unknown >= here.start) & (unknown < here.stop)] - here.start] = 0.0

    def embed(self, ids: Tensor) -> Tensor:
        """Return the embeddings [n, C, D] of `ids` [n, C]."""
        return self.table(ids + self.get_buffer("offsets"))

    def pool(self, values: list[Tensor], rows: int, weights: Sequence[Tensor | None] = ()) -> Tensor:
        """Return the pooled embeddings [n, J, D] of `values`, J tensors [n, L]; n is `rows`."""
        if not values:
            return self.table.weight.new_zeros(rows, 0, self.dim)
        every = weights or [None] * len(values)
        return torch.stack([bag(v, w) for bag, v, w in zip(self.bags, values, every, strict=True)], dim=1)


class Bag(nn.EmbeddingBag):
    """Embeddings of the ids of a list made one; 0 pads, a list of nothing is the zero vector.

    Mean and Sum: Σ e / n and Σ e. Weighted: Σ w e. Attention: Σ a e with a = softmax(q·e / √D + log w), q
    learned from zero on, so that it begins as the mean weighted by w.
    """

    def __init__(self, size: int, dim: int, pooling: Pooling) -> None:
        super().__init__(size, dim, mode="mean" if pooling == "Mean" else "sum", padding_idx=PADDING)
        self.pooling = pooling
        if pooling == "Attention":
            self.query = nn.Parameter(torch.zeros(dim))
        nn.init.normal_(self.weight, std=INITIAL)
        nn.init.zeros_(self.weight[PADDING])

    def forward(self, values: Tensor, weights: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Return the vectors [n, D] of `values` [n, L]; `weights` [n, L] in (0, 1], all 1 if None."""
        if self.pooling == "Attention":
            return super().forward(values, per_sample_weights=self._attention(values, weights))
        return super().forward(values, per_sample_weights=weights if self.pooling == "Weighted" else None)

    def _attention(self, values: Tensor, weights: Tensor | None) -> Tensor:
        """Return the share [n, L] of each token."""
        # q·e once for each token there is, not for each place it stands at: lists are wide, tokens repeat.
        scores = functional.embedding(values, (self.weight @ self.query).unsqueeze(1)).squeeze(2)
        scores = scores / math.sqrt(self.embedding_dim)
        if weights is not None:
            scores = scores + weights.clamp(min=torch.finfo(weights.dtype).tiny).log()
        # A finite mask: a softmax over nothing but -inf is NaN, and its gradient too.
        return scores.masked_fill(values == PADDING, torch.finfo(scores.dtype).min).softmax(dim=1)


def profile(history: Tensor, pooled: Tensor, half_life: int | None = None) -> Tensor:
    """Return the mean [n, D] of the rows of `pooled` [U, D] that `history` [n, H] names; row 0 is none.

    With `half_life`, place k of the history counts 2^(-k / half_life); the latest is at 0.
    """
    if half_life is None:
        return functional.embedding_bag(history, pooled, mode="mean", padding_idx=0)
    recency = torch.exp2(-torch.arange(history.shape[1], device=history.device) / half_life)
    weights = (history != 0) * recency.to(pooled.dtype)
    total = functional.embedding_bag(history, pooled, mode="sum", padding_idx=0, per_sample_weights=weights)
    return total / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


class CrossLayer(nn.Module):
    """x₀ ⊙ (W xₗ + b) + xₗ (DCN V2, arXiv 2008.13535, equation 1).

    Of low rank, W = U Vᵀ (equation 2), or a mixture of such experts (section 4.1).
    """

    def __init__(self, width: int, rank: int | None = None, experts: int | None = None) -> None:
        super().__init__()
        low = rank or (None if width <= FULL_RANK_WIDTH else width // 4)
        self.transform = _transform(width, low, experts or 1)

    def forward(self, first: Tensor, x: Tensor) -> Tensor:
        """Return the next layer [n, W] after `x` [n, W]; `first` [n, W] is the network's input."""
        return first * self.transform(x) + x


def _transform(width: int, rank: int | None, experts: int) -> nn.Module:
    if rank is None:
        return nn.Linear(width, width)
    if experts == 1:
        return nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, width))
    return ExpertMixture(width, rank, experts)


class ExpertMixture(nn.Module):
    """Σᵢ Gᵢ(x) Uᵢ g(Cᵢ g(Vᵢᵀ x)) + b: what is crossed with x₀ in a mixture of low-rank experts.

    DCN V2, section 4.1, with g = tanh and G a softmax: as the shares add up to 1, the experts' common b and
    x₀ stand outside the sum.
    """

    def __init__(self, width: int, rank: int, experts: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(experts, rank, width))
        self.core = nn.Parameter(torch.empty(experts, rank, rank))
        self.up = nn.Parameter(torch.empty(experts, width, rank))
        self.bias = nn.Parameter(torch.zeros(width))
        self.gate = nn.Linear(width, experts)
        for matrices in (self.down, self.core, self.up):
            for matrix in matrices:
                nn.init.xavier_normal_(matrix)

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, W] of `x` [n, W]."""
        inner = torch.einsum("erw,nw->ner", self.down, x).tanh()
        inner = torch.einsum("esr,ner->nes", self.core, inner).tanh()
        return torch.einsum("ewr,ner,ne->nw", self.up, inner, self.gate(x).softmax(dim=1)) + self.bias


class CrossNet(nn.Module):
    """Cross layers one after another: [n, W] → [n, W], features crossed up to degree layers + 1."""

    def __init__(self, width: int, layers: int, rank: int | None = None, experts: int | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossLayer(width, rank, experts) for _ in range(layers))

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
