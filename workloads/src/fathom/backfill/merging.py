"""Exact merged search over a gallery of which some items have moved: what a served one must equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fathom.backfill.arrays import Bools, Floats, Ints
from fathom.backfill.compatibility import Compatibility, Merge
from fathom.backfill.metrics import ranked
from fathom.errors import InvalidInputError

#: Of reciprocal rank fusion (Cormack, Clarke & Büttcher, SIGIR 2009).
_RRF: Final = 60


@dataclass(frozen=True)
class Scores:
    """How near each item is to each query in both spaces, ready to be merged.

    Attributes:
        old: float32 [queries, items], minus the distance to the old vector, on the new distances' scale.
        new: float32 [queries, items], minus the distance to the new vector.
        merge: what decides between them.
    """

    old: Floats
    new: Floats
    merge: Merge

    def at(self, moved: Bools) -> Floats:
        """Return float32 [queries, items], higher is nearer, when the items `moved` [items] have moved."""
        if self.merge == "CutOver":
            return self.new if moved.all() else self.old
        if self.merge == "Rank":
            return np.where(moved[None, :], _fused(self.new, moved), _fused(self.old, ~moved))
        return np.where(moved[None, :], self.new, self.old)


def scored(
    compatibility: Compatibility,
    gallery_old: Floats,
    gallery_new: Floats,
    queries_new: Floats,
    queries_old: Floats | None = None,
    *,
    own: Ints | None = None,
) -> Scores:
    """Return the scores of every query and item.

    Args:
        compatibility: between the two spaces.
        gallery_old: the items' old vectors, [n, d_old].
        gallery_new: the same items' new vectors, as the model made them, [n, d_new].
        queries_new: [q, d_new].
        queries_old: [q, d_old]; only for methods that embed queries with both models.
        own: for each query the row of the gallery that is the query itself and is left out, int64 [q].

    Raises:
        InvalidInputError: the method needs `queries_old`, or widths differ.
    """
    if compatibility.needs_old_query:
        if queries_old is None:
            raise InvalidInputError(
                "NeedsOldModel", f"{compatibility.info.method} needs each query's vector by the old model too"
            )
        backward = queries_old
    else:
        backward = compatibility.old_query(queries_new)
    forward = compatibility.new_vector(queries_new)
    old = -compatibility.merge_distance(1 - backward @ compatibility.old_vector(gallery_old).T)
    new = forward @ compatibility.new_vector(gallery_new).T - 1
    if own is not None:
        rows = np.arange(len(own))
        old[rows, own] = new[rows, own] = -np.inf
    return Scores(old, new, compatibility.info.merge)


def plain(queries: Floats, gallery: Floats, *, own: Ints | None = None) -> Floats:
    """Return the scores of one model's search, float32 [queries, items], as `Scores.old` has them."""
    found = queries @ gallery.T - 1
    if own is not None:
        found[np.arange(len(own)), own] = -np.inf
    return found


def _fused(scores: Floats, among: Bools) -> Floats:
    """Return 1 / (60 + rank) of the items `among`, ranked with each other; −inf stays."""
    limited = np.where(among[None, :], scores, -np.inf)
    order = ranked(limited)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, scores.shape[1] + 1)[None, :], axis=1)
    return np.where(np.isneginf(scores), -np.inf, 1 / (_RRF + ranks)).astype(np.float32)
