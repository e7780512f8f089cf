"""Whether to start: how a merged search would do on items that the compatibility has not learned from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.backfill import arrays
from fathom.backfill.arrays import Bools, Floats, Ints
from fathom.backfill.belonging import Belonging, belonging
from fathom.backfill.compatibility import Compatibility
from fathom.backfill.curves import Curve, curve
from fathom.backfill.merging import plain, scored
from fathom.backfill.metrics import ranked
from fathom.errors import InvalidInputError

BETAS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Queries and items at most: all scores are held at once.
_MOST: Final = 4000
_RESAMPLES: Final = 1000


@dataclass(frozen=True)
class Difference:
    """A mean difference over queries with its 95 % interval (bootstrap over queries)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Examination:
    """How the search would do from the first item moved to the last.

    Attributes:
        curve: over β = 0, .25, .5, .75, 1, in a random order.
        against_old: average precision minus the old model's, at each β.
        queries: how many.
        k: of the recall.
    """

    curve: Curve
    against_old: list[Difference]
    queries: int
    k: int
    betas: tuple[float, ...] = field(default=BETAS)

    @property
    def worse_than_old(self) -> bool:
        """Whether the search is worse than the old model's at some β, 0 too, beyond what chance explains.

        At β = 0 nothing has moved, but queries already come from the new model.
        """
        return any(d.high < 0 for d in self.against_old)

    @property
    def verdict(self) -> str:
        """One sentence, with the fix where there is something to fix."""
        pairs = zip(self.betas, self.against_old, strict=True)
        bad = [(beta, d) for beta, d in pairs if d.high < 0]
        old = self.curve.old.means()["map"]
        if not bad:
            new = self.curve.values()[-1]
            gain = f", {self.curve.relative_gain():.0%} of the gain on average" if new > old else ""
            return (
                f"mAP {old:.3f} with the old model, {new:.3f} in the end{gain}; never worse than the old one"
            )
        beta, worst = min(bad, key=lambda found: found[1].mean)
        if beta == 1:
            return (
                f"the new model itself is worse: mAP {-worst.mean:.3f} below the old model's {old:.3f} when "
                "all items have moved; keep the old model"
            )
        return (
            f"with {beta:.0%} of the items moved mAP is {-worst.mean:.3f} below the old model's {old:.3f} "
            f"(95 % interval {worst.low:+.3f} … {worst.high:+.3f}); take more pairs, give labels, or use "
            "method RankMerge"
        )

    def figures(self) -> dict[str, float]:
        """Return what goes into `compatibility.json`."""
        found = {"queries": float(self.queries), "k": float(self.k)}
        for name, quality in (("old", self.curve.old), ("new", self.curve.new)):
            found |= {f"{name}.{key}": value for key, value in quality.means().items()}
        for beta, point in zip(self.betas, self.curve.points, strict=True):
            found |= {f"{beta:g}.{key}": value for key, value in point.means().items()}
        for beta, flips in zip(self.betas, self.curve.flips(), strict=True):
            found[f"{beta:g}.flips"] = flips
        gain = self.curve.relative_gain()
        return found | ({} if np.isnan(gain) else {"relative_gain": gain})


@dataclass(frozen=True)
class Queries:
    """Queries that are no items of the gallery.

    Attributes:
        old, new: their vectors by both models, [q, d_old] and [q, d_new].
        relevant: bool [q, n], which items each should find.
    """

    old: NDArray[np.floating]
    new: NDArray[np.floating]
    relevant: Bools


def examine(
    compatibility: Compatibility,
    old: NDArray[np.floating],
    new: NDArray[np.floating],
    labels: NDArray[Any] | None = None,
    *,
    queries: Queries | None = None,
    k: int = 10,
    seed: int = 0,
) -> Examination:
    """Return how merged search does on items that both models have embedded and nothing has learned from.

    Args:
        compatibility: from `fit`.
        old, new: the items' vectors, [n, d_old] and [n, d_new].
        labels: which items belong together, as for `fit`; each item is then a query that should find those
            that belong to it. None, and no `queries`: it should find the `k` the new model finds nearest.
        queries: further queries with what is relevant to them, in the place of the items.
        k: of the recall.
        seed: of the order in which items move, and of the intervals.

    Raises:
        InvalidInputError: vectors or labels cannot be used, or nothing is relevant to any query.
    """
    old, new = arrays.pairs(old, new)
    if queries is not None:
        asked_old, asked_new = arrays.pairs(queries.old, queries.new)
        if queries.relevant.shape != (len(asked_new), len(new)):
            raise InvalidInputError(
                "InvalidQueries",
                f"relevant has shape {queries.relevant.shape}, "
                f"but [queries, items] is {(len(asked_new), len(new))}",
            )
        return _judged(
            compatibility, old, new, Queries(asked_old, asked_new, queries.relevant), k=k, seed=seed
        )
    known = belonging(labels, new, seed=seed) if labels is not None else None
    return examined(compatibility, old, new, known, k=k, seed=seed)


def examined(
    compatibility: Compatibility,
    old: Floats,
    new: Floats,
    known: Belonging | None,
    *,
    k: int = 10,
    seed: int = 0,
) -> Examination:
    """As `examine`, for vectors of unit length and items of which it is `known` which belong together."""
    if len(old) > _MOST:
        rows = np.sort(np.random.default_rng([seed, 13]).permutation(len(old))[:_MOST]).astype(np.int64)
        old, new, known = old[rows], new[rows], known.only(rows) if known else None
    own = np.arange(len(old), dtype=np.int64)
    relevant = known.between(own, own) if known else _nearest(new, k)
    relevant[own, own] = False
    return _judged(compatibility, old, new, Queries(old, new, relevant), own=own, k=k, seed=seed)


def _judged(
    compatibility: Compatibility,
    old: Floats,
    new: Floats,
    queries: Queries,
    *,
    k: int,
    seed: int,
    own: Ints | None = None,
) -> Examination:
    if not queries.relevant.any():
        raise InvalidInputError(
            "NothingRelevant",
            "no query has anything to find among these items: take more pairs or other labels",
        )
    asked_old, asked_new = queries.old.astype(np.float32), queries.new.astype(np.float32)
    found = curve(
        scored(compatibility, old, new, asked_new, asked_old, own=own),
        plain(asked_old, old, own=own),
        plain(asked_new, new, own=own),
        queries.relevant,
        np.random.default_rng([seed, 17]).permutation(len(old)).astype(np.int64),
        betas=BETAS,
        k=k,
    )
    base = found.old.average_precision
    differences = [_difference(point.average_precision - base, seed) for point in found.points]
    return Examination(found, differences, len(base), k)


def _difference(each: NDArray[np.float64], seed: int) -> Difference:
    chance = np.random.default_rng([seed, 19])
    means = [each[chance.integers(0, len(each), len(each))].mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(each.mean()), float(low), float(high))


def _nearest(vectors: Floats, k: int) -> Bools:
    """Return bool [n, n]: the `k` nearest other rows of each, ties in the order of rows."""
    scores = plain(vectors, vectors, own=np.arange(len(vectors), dtype=np.int64))
    order = ranked(scores)[:, : min(k, len(vectors) - 1)]
    found = np.zeros(scores.shape, np.bool_)
    np.put_along_axis(found, order, True, axis=1)
    return found
