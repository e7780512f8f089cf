"""Every method by name: how it is fitted, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fathom.backfill import calibration, closed_form
from fathom.backfill.arrays import Floats, Ints
from fathom.backfill.belonging import Belonging
from fathom.backfill.compatibility import Merge, OldQuery
from fathom.backfill.transform import Transform

#: Pairs of items whose distances an isotonic calibration looks at, for each item.
_PEERS: Final = 64
_RANK: Final = 64
#: Called with epochs done, epochs in all, and figures.
Tell = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Parts:
    """What a fit learned, as in `Compatibility`."""

    query: Transform | None = None
    gallery: Transform | None = None
    old_gallery: Transform | None = None
    steps: Floats | None = None


@dataclass(frozen=True)
class Pairs:
    """What a fit learns from: items in both spaces, float32 [n, d] of unit length, and what belongs."""

    old: Floats
    new: Floats
    belonging: Belonging


@dataclass(frozen=True)
class Cost:
    """What a method asks for beyond embedding the gallery with the new model.

    Attributes:
        query_passes: encoder passes for each query while both spaces are served.
        pairs: whether a sample must be embedded by both models first.
        transforms_gallery: whether all old items are transformed and written before it starts.
        transforms_new: whether each new item goes through ρ.
        note: in words.
    """

    query_passes: int
    pairs: bool
    transforms_gallery: bool
    transforms_new: bool
    note: str


@dataclass(frozen=True)
class Method:
    """A way to serve two spaces at once.

    Attributes:
        name: as users write it.
        fit: learns; None where there is nothing to learn.
        old_query, merge: as in `Info`.
        needs_belonging: whether it learns from what belongs together.
        cost: what it asks for.
    """

    name: str
    old_query: OldQuery
    cost: Cost
    merge: Merge = "Distance"
    fit: Callable[[Pairs, int, Tell], Parts] | None = field(default=None, compare=False)
    needs_belonging: bool = False


def _query_transform(pairs: Pairs, seed: int, tell: Tell) -> Parts:
    from fathom.backfill import learned

    return Parts(query=learned.query_transform(pairs.new, pairs.old, seed=seed, tell=tell))


def _metric_compatible(pairs: Pairs, seed: int, tell: Tell) -> Parts:
    from fathom.backfill import learned

    query, gallery = learned.metric_compatible_pair(
        pairs.new, pairs.old, pairs.belonging, seed=seed, tell=tell
    )
    return Parts(query=query, gallery=gallery)


def _frozen_new(pairs: Pairs, seed: int, tell: Tell) -> Parts:
    from fathom.backfill import learned

    settings = learned.Settings(learn_new=False)
    query, _ = learned.metric_compatible_pair(
        pairs.new, pairs.old, pairs.belonging, seed=seed, tell=tell, settings=settings
    )
    return Parts(query=query)


def _procrustes(pairs: Pairs, _: int, __: Tell) -> Parts:
    return Parts(query=closed_form.procrustes(pairs.new, pairs.old))


def _low_rank(pairs: Pairs, _: int, __: Tell) -> Parts:
    return Parts(query=closed_form.low_rank_affine(pairs.new, pairs.old, _RANK))


def _residual(pairs: Pairs, seed: int, tell: Tell) -> Parts:
    from fathom.backfill import learned

    return Parts(query=learned.residual(pairs.new, pairs.old, seed=seed, tell=tell))


def _forward(pairs: Pairs, seed: int, tell: Tell) -> Parts:
    from fathom.backfill import learned

    return Parts(old_gallery=learned.residual(pairs.old, pairs.new, seed=seed, tell=tell))


def _backward_compatible(pairs: Pairs, seed: int, tell: Tell) -> Parts:
    from fathom.backfill import learned

    head = learned.backward_compatible(pairs.new, pairs.old, pairs.belonging, seed=seed, tell=tell)
    return Parts(gallery=head)


def _isotonic(pairs: Pairs, seed: int, _: Tell) -> Parts:
    rows, columns = _sampled(pairs.belonging, seed)
    old = 1 - (pairs.old[rows] * pairs.old[columns]).sum(axis=1)
    new = 1 - (pairs.new[rows] * pairs.new[columns]).sum(axis=1)
    together = np.concatenate([pairs.belonging.between(r, c)[0] for r, c in _by_row(rows, columns)])
    return Parts(steps=calibration.steps(old, new, together))


def _by_row(rows: Ints, columns: Ints) -> list[tuple[Ints, Ints]]:
    cuts = np.flatnonzero(np.diff(rows)) + 1
    return [(r[:1], c) for r, c in zip(np.split(rows, cuts), np.split(columns, cuts), strict=True)]


def _sampled(belonging: Belonging, seed: int) -> tuple[Ints, Ints]:
    """Return pairs of different items as rows (ascending) and columns, drawn at random."""
    chance = np.random.default_rng(seed)
    count = belonging.count
    rows = np.repeat(np.arange(count), _PEERS)
    columns = chance.integers(0, count, len(rows))
    apart = rows != columns
    return rows[apart], columns[apart]


_ONE_PASS: Final = Cost(1, True, False, False, "one encoder pass and ψ for each query")
_TWO_PASSES: Final = Cost(2, False, False, False, "each query is embedded by both models; nothing is trained")

METHODS: Final[dict[str, Method]] = {
    method.name: method
    for method in (
        Method(
            "MetricCompatible",
            "Transformed",
            Cost(1, True, False, True, "one encoder pass and ψ for each query; ρ for each new item"),
            fit=_metric_compatible,
            needs_belonging=True,
        ),
        Method("MetricCompatibleFrozen", "Transformed", _ONE_PASS, fit=_frozen_new, needs_belonging=True),
        Method("QueryTransform", "Transformed", _ONE_PASS, fit=_query_transform),
        Method("RankMerge", "OldModel", _TWO_PASSES),
        Method(
            "Isotonic",
            "OldModel",
            Cost(2, True, False, False, "each query is embedded by both models; distances are calibrated"),
            fit=_isotonic,
            needs_belonging=True,
        ),
        Method("ReciprocalRankFusion", "OldModel", _TWO_PASSES, merge="Rank"),
        Method(
            "CutOver",
            "OldModel",
            Cost(1, False, False, False, "the old model answers until the last item has moved"),
            merge="CutOver",
        ),
        Method(
            "NaiveMerge", "Unchanged", Cost(1, False, False, False, "spaces are mixed as if they were one")
        ),
        Method("Procrustes", "Transformed", _ONE_PASS, fit=_procrustes),
        Method("LowRankAffine", "Transformed", _ONE_PASS, fit=_low_rank),
        Method("ResidualMlp", "Transformed", _ONE_PASS, fit=_residual),
        Method(
            "BackwardCompatible",
            "Unchanged",
            Cost(1, True, False, True, "the new model gets a head whose vectors fit the old gallery"),
            fit=_backward_compatible,
            needs_belonging=True,
        ),
        Method(
            "ForwardTransform",
            "Unchanged",
            Cost(1, True, True, False, "all old vectors are transformed and written before it starts"),
            fit=_forward,
        ),
    )
}
DEFAULT: Final = "MetricCompatible"
