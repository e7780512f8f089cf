"""Rankers folded for serving: the item's share is computed once a version, the user's once a request.

What is left for each pair is what neither decides alone. All identities are exact; only rounding differs.
A user's and an item's inputs are rows `[fields, numbers]`; a batch is some users and, for each, some items in
a row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.ranking.architectures.base import Architecture
from fathom.ranking.architectures.dcnv2 import DCNv2
from fathom.ranking.architectures.dlrm import DLRM
from fathom.ranking.layers import ExpertMixture


@dataclass(frozen=True)
class Sides:
    """Widths of what goes in: fields of each side, their dimension, numbers of each side."""

    user_fields: int
    item_fields: int
    dim: int
    user_numbers: int
    item_numbers: int

    @property
    def user_width(self) -> int:
        """Width of a user's row."""
        return self.user_fields * self.dim + self.user_numbers

    @property
    def item_width(self) -> int:
        """Width of an item's row."""
        return self.item_fields * self.dim + self.item_numbers

    def columns(self) -> tuple[Tensor, Tensor]:
        """Return where the columns of both rows are in the model's input: all fields, then all numbers."""
        fields = (self.user_fields + self.item_fields) * self.dim
        user, item = self.user_fields * self.dim, self.item_fields * self.dim
        at = torch.arange(self.user_width + self.item_width)
        own = torch.cat([at[:user], at[fields : fields + self.user_numbers]])
        return own, torch.cat([at[user : user + item], at[fields + self.user_numbers :]])


@dataclass(frozen=True)
class Users:
    """Q users, folded.

    Attributes:
        rows: [Q, user width].
        folded: what the architecture made of them, each [Q, …].
    """

    rows: Tensor
    folded: tuple[Tensor, ...] = field(default=())


class Folded(ABC):
    """A ranker's interaction, folded.

    Attributes:
        parts: width of what is kept of each item besides its row; 0 where there is nothing to keep.
    """

    parts: int = 0

    def items(self, rows: Tensor) -> Tensor:
        """Return what depends on items alone, [n, parts], of their `rows` [n, item width]."""
        return rows.new_empty(len(rows), 0)

    @abstractmethod
    def users(self, rows: Tensor) -> Users:
        """Return what depends on users alone, of their `rows` [Q, user width]."""

    @abstractmethod
    def logits(self, users: Users, sizes: Sequence[int], rows: Tensor, parts: Tensor) -> Tensor:
        """Return logits [n] of n = Σ `sizes` items: `sizes[q]` of them for user q, one after the other."""


def fold(interaction: Architecture, sides: Sides, dtype: torch.dtype = torch.float32) -> Folded:
    """Return `interaction` folded; what is left for each pair is multiplied in `dtype`."""
    if isinstance(interaction, DCNv2) and not _mixes(interaction):
        return FoldedDCNv2(interaction, sides, dtype)
    if isinstance(interaction, DLRM) and not sides.item_numbers:
        return FoldedDLRM(interaction, sides, dtype)
    return Unfolded(interaction, sides)


class Unfolded(Folded):
    """Any interaction, called with all fields and numbers of each pair."""

    def __init__(self, interaction: Architecture, sides: Sides) -> None:
        self._interaction = interaction
        self._sides = sides

    def users(self, rows: Tensor) -> Users:
        """Return the users as they are."""
        return Users(rows)

    def logits(self, users: Users, sizes: Sequence[int], rows: Tensor, parts: Tensor) -> Tensor:
        """Return the interaction's own logits."""
        sides = self._sides
        user = spread(users.rows, sizes)
        at, to = sides.user_fields * sides.dim, sides.item_fields * sides.dim
        vectors = (some.unflatten(1, (-1, sides.dim)) for some in (user[:, :at], rows[:, :to]))
        return self._interaction(*vectors, torch.cat([user[:, at:], rows[:, to:]], dim=1))


class FoldedDCNv2(Folded):
    """DCN V2 with x₀ = [u; v], user and item.

    The first cross layer and the MLP's first are linear in u and v. So is the last cross layer's share of the
    logit in its input x: w·(x₀ ⊙ (W x + b) + x) = (Wᵀ(w ⊙ x₀) + w)·x + (w ⊙ b)·x₀, a dot product with what
    is a user's plus an item's. With two cross layers no matrix product of the cross network is left.
    """

    def __init__(self, model: DCNv2, sides: Sides, dtype: torch.dtype) -> None:
        user, item = sides.columns()
        order = torch.cat([user, item])
        layers = [affine(layer.get_submodule("transform")) for layer in model.cross.layers]
        layers = [(weight[order][:, order], bias[order]) for weight, bias in layers]
        deep = linears(model.deep)
        (head,) = linears([model.over])
        over, self._width = head.weight[0], len(order)
        cross_over, deep_over = over[: self._width][order], over[self._width :]
        last, last_bias = layers[-1]
        # x₁ = x₀ ⊙ (W x₀ + b + 1): the one is added to the bias.
        first = (layers[0][0], layers[0][1] + 1) if len(layers) > 1 else (last[:0], last_bias[:0])
        self._crossed = len(first[1])
        self._middle = [Product(weight, bias, dtype) for weight, bias in layers[1:-1]]
        self._deep = [Product(layer.weight, layer.bias, dtype) for layer in deep[1:]]
        self._deep_over = deep_over.clone()
        deep_first = deep[0].weight[:, order]
        scaled, constant = cross_over[:, None] * last, (cross_over * last_bias)[None]
        linear = torch.cat([first[0], deep_first, scaled.T, constant])
        bias = torch.cat([first[1], deep[0].bias, cross_over, head.bias])
        self._linear_user = linear[:, : len(user)].T.contiguous()
        self._linear_item = linear[:, len(user) :].T.contiguous()
        self._bias = bias
        self._cuts = [self._crossed + len(deep[0].bias), self._width, 1]
        self.parts = len(bias)

    def items(self, rows: Tensor) -> Tensor:
        """Return the items' summands."""
        return rows @ self._linear_item

    def users(self, rows: Tensor) -> Users:
        """Return the users' summands, biases included."""
        return Users(rows, (torch.addmm(self._bias, rows, self._linear_user),))

    def logits(self, users: Users, sizes: Sequence[int], rows: Tensor, parts: Tensor) -> Tensor:
        """Return logits [n]."""
        both = parts + spread(users.folded[0], sizes)
        first, last, constant = both.split(self._cuts, dim=1)
        inputs = torch.cat([spread(users.rows, sizes), rows], dim=1)
        x = inputs * first[:, : self._crossed] if self._crossed else inputs
        for layer in self._middle:
            x = torch.addcmul(x, inputs, layer(x))
        deep = mlp(first[:, self._crossed :].relu(), self._deep)
        return torch.linalg.vecdot(x, last) + constant[:, 0] + deep @ self._deep_over


class FoldedDLRM(Folded):
    """DLRM whose items have no numbers: its dots are of the user's vectors, the item's, or one of each.

    The last kind, times its weights of the MLP's first layer, is linear in the item: a matrix for each user.
    """

    def __init__(self, model: DLRM, sides: Sides, dtype: torch.dtype) -> None:
        self._model, self._sides = model, sides
        own = 1 + sides.user_fields
        first, second = model.interaction.get_buffer("pairs")
        deep = linears(model.deep)
        dense, dots = deep[0].weight.split([sides.dim, len(first)], dim=1)
        of_user, of_item = second < own, first >= own
        self._user_dots = torch.triu_indices(own, own, offset=1)
        self._item_dots = torch.triu_indices(sides.item_fields, sides.item_fields, offset=1)
        self._user_weight = torch.cat([dense, dots[:, of_user]], dim=1)
        self._item_weight = dots[:, of_item].T.contiguous()
        self._cross_weight = dots[:, ~of_user & ~of_item].unflatten(1, (own, sides.item_fields))
        self._bias = deep[0].bias
        self._deep = [Product(layer.weight, layer.bias, dtype) for layer in deep[1:]]
        self._over = model.over
        self.parts = len(self._bias)

    def items(self, rows: Tensor) -> Tensor:
        """Return what the dots among an item's own vectors add to the MLP's first layer."""
        return dots(rows.unflatten(1, (self._sides.item_fields, -1)), self._item_dots) @ self._item_weight

    def users(self, rows: Tensor) -> Users:
        """Return what a user's own dots add, and the matrix for the dots with items."""
        sides = self._sides
        fields, numbers = rows.split([sides.user_fields * sides.dim, sides.user_numbers], dim=1)
        dense = self._model.dense(torch.cat([numbers, numbers.new_ones(len(rows), 1)], dim=1))
        vectors = torch.cat([dense, fields], dim=1).unflatten(1, (-1, sides.dim))
        own = torch.cat([dense, dots(vectors, self._user_dots)], dim=1)
        added = functional.linear(own, self._user_weight, self._bias)
        cross = torch.einsum("qsd,hsf->qfdh", vectors, self._cross_weight).flatten(1, 2)
        return Users(rows, (added, cross))

    def logits(self, users: Users, sizes: Sequence[int], rows: Tensor, parts: Tensor) -> Tensor:
        """Return logits [n]."""
        added, cross = users.folded
        crossed = [some @ cross[q] for q, some in enumerate(rows.split(list(sizes)))]
        first = torch.cat(crossed) + parts + spread(added, sizes)
        return self._over(mlp(first.relu(), self._deep)).squeeze(1)


class Product:
    """x Wᵀ + b, multiplied in `dtype` and returned in single precision."""

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        self._weight, self._bias, self._dtype = weight.detach().to(dtype), bias.detach().to(dtype), dtype

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product [n, out] for `x` [n, in]."""
        if self._dtype == torch.float32:
            return functional.linear(x, self._weight, self._bias)
        return functional.linear(x.to(self._dtype), self._weight, self._bias).float()


def _mixes(model: DCNv2) -> bool:
    """Return whether a cross layer is a mixture of experts, which is not linear."""
    return any(isinstance(layer.get_submodule("transform"), ExpertMixture) for layer in model.cross.layers)


def mlp(x: Tensor, layers: list[Product]) -> Tensor:
    """Return `x` [n, W] after `layers`, each followed by a ReLU."""
    for layer in layers:
        x = layer(x).relu_()
    return x


def dots(vectors: Tensor, pairs: Tensor) -> Tensor:
    """Return the dot products [n, P] of P `pairs` [2, P] among `vectors` [n, F, D]."""
    return torch.bmm(vectors, vectors.transpose(1, 2))[:, pairs[0], pairs[1]]


def spread(users: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return each user's row of `users` [Q, W] as often as it has items: [Σ sizes, W]."""
    if len(sizes) == 1:
        return users.expand(sizes[0], -1)
    return users.repeat_interleave(torch.tensor(sizes), dim=0, output_size=sum(sizes))


def linears(layers: Any) -> list[nn.Linear]:
    """Return the linear layers of an MLP."""
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


def affine(transform: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight [W, W] and bias [W] of a cross layer's transform; one of low rank is multiplied out."""
    if isinstance(transform, nn.Linear):
        return transform.weight, transform.bias
    narrow, wide = linears(transform)
    return wide.weight @ narrow.weight, wide.bias
