"""Which items belong together: classes, pairs, or clusters of the new vectors where nothing is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom.backfill.arrays import Bools, Floats, Ints
from fathom.errors import InvalidInputError
from fathom.features.quantiser import Quantiser


@dataclass(frozen=True)
class Belonging:
    """Which of n items belong together. An item always belongs to itself.

    Attributes:
        kind: Classes, Pairs or Clusters.
        count: n.
        classes: int64 [n], -1 where unknown; None for pairs.
        links: sorted numbers i · n + j of pairs in both directions; None for classes.
    """

    kind: str
    count: int
    classes: Ints | None = None
    links: Ints | None = None

    @property
    def _links(self) -> Ints:
        return np.empty(0, np.int64) if self.links is None else self.links

    @classmethod
    def alone(cls, count: int) -> Belonging:
        """Return that each of `count` items belongs to itself only."""
        return cls("None", count, classes=np.full(count, -1, np.int64))

    def between(self, rows: Ints, columns: Ints) -> Bools:
        """Return bool [len(rows), len(columns)]: whether row and column belong together."""
        same = rows[:, None] == columns[None, :]
        if self.classes is not None:
            own = self.classes[rows][:, None]
            return same | ((own == self.classes[columns][None, :]) & (own >= 0))
        if not len(self._links):
            return same
        wanted = rows[:, None] * self.count + columns[None, :]
        places = np.searchsorted(self._links, wanted).clip(max=len(self._links) - 1)
        return same | (self._links[places] == wanted)

    def only(self, rows: Ints) -> Belonging:
        """Return the same for the items `rows`, numbered anew."""
        if self.classes is not None:
            return Belonging(self.kind, len(rows), classes=self.classes[rows])
        numbers = np.full(self.count, -1, np.int64)
        numbers[rows] = np.arange(len(rows))
        first, second = numbers[self._links // self.count], numbers[self._links % self.count]
        kept = (first >= 0) & (second >= 0)
        return Belonging(self.kind, len(rows), links=np.sort(first[kept] * len(rows) + second[kept]))

    def groups(self) -> list[Ints]:
        """Return rows that belong together, for batches that hold more than one of a kind; singles aside."""
        if self.classes is not None:
            order = np.argsort(self.classes, kind="stable")
            cuts = np.flatnonzero(np.diff(self.classes[order])) + 1
            return [g for g in np.split(order, cuts) if len(g) > 1 and self.classes[g[0]] >= 0]
        first, second = self._links // self.count, self._links % self.count
        cuts = np.flatnonzero(np.diff(first)) + 1
        ends = zip(np.split(first, cuts), np.split(second, cuts), strict=True)
        return [np.concatenate([f[:1], s]) for f, s in ends if len(f)]


def belonging(labels: NDArray[Any] | None, new: Floats, *, seed: int) -> Belonging:
    """Return what `labels` say of the items whose new vectors are `new` [n, d].

    Args:
        labels: one class for each item, of any type, [n] (an empty text, None or a negative number: unknown);
            or int64 [m, 2], pairs of rows, such as items that the same people engage with; or None: the
            clusters of `new` by k-means, about √n of them, as pseudo-labels.
        new: float32 [n, d] of unit length.
        seed: of the clusters.

    Raises:
        InvalidInputError: their shape is another, rows are not there, or nothing belongs together.
    """
    count = len(new)
    if labels is None:
        codes = Quantiser.learn(new, 1, max(int(np.sqrt(count)), 2), seed).codes(new)[:, 0]
        return Belonging("Clusters", count, classes=codes.astype(np.int64))
    if labels.ndim == 2 and labels.shape[1] == 2:
        return _linked(labels, count)
    if labels.shape != (count,):
        raise InvalidInputError(
            "InvalidLabels",
            f"labels of shape {labels.shape} for {count} items: give one each, or pairs of rows [m, 2]",
        )
    classes = _numbered(labels)
    known = np.bincount(classes[classes >= 0]) if (classes >= 0).any() else np.zeros(1, np.int64)
    if known.max() < 2:
        raise InvalidInputError(
            "InvalidLabels", "no two items have the same label: leave labels out, or choose another column"
        )
    return Belonging("Classes", count, classes=classes)


def _numbered(labels: NDArray[Any]) -> Ints:
    if np.issubdtype(labels.dtype, np.integer):
        return np.where(labels < 0, -1, np.unique(labels, return_inverse=True)[1]).astype(np.int64)
    texts = np.array(["" if value is None else str(value) for value in labels.tolist()])
    return np.where(texts == "", -1, np.unique(texts, return_inverse=True)[1]).astype(np.int64)


def _linked(pairs: NDArray[Any], count: int) -> Belonging:
    rows = pairs.astype(np.int64)
    if not len(rows) or rows.min() < 0 or rows.max() >= count:
        raise InvalidInputError(
            "InvalidLabels",
            f"pairs must name rows 0 … {count - 1}, at least one pair; check how they were joined",
        )
    both = np.concatenate([rows, rows[:, ::-1]])
    both = both[both[:, 0] != both[:, 1]]
    return Belonging("Pairs", count, links=np.unique(both[:, 0] * count + both[:, 1]))
