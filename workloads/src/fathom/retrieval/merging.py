"""One answer of two spaces: distance rank merge (arXiv 2301.03767), each item once, in a stable order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from fathom.retrieval.parts import SPACES, Floats, Space, SpaceName

_FUSION: Final = 60
_ALL: Final = 2**31


@dataclass(frozen=True)
class Queries:
    """Queries as each space understands them, unit vectors: float32 [n, dim of the space].

    One that is None is not searched: nothing is there, or the query cannot be brought into it.
    """

    old: Floats | None
    new: Floats | None

    def of(self, space: SpaceName) -> Floats | None:
        """Return the queries of a space."""
        return self.old if space == "old" else self.new


@dataclass(frozen=True)
class Hit:
    """An item and its similarity to the query, and which space it was found in."""

    id: str
    score: float
    space: SpaceName


class Store(Protocol):
    """Where vectors of two spaces are searched."""

    def space(self, name: SpaceName) -> Space:
        """Return what a space is of."""
        ...

    def search(self, queries: Queries, k: int) -> list[list[Hit]]:
        """Return for each query at least the `k` most similar items of each space (fewer if it has fewer), in
        any order.

        An item that is moving may come from both spaces, never from neither.
        """
        ...


def search_each(
    queries: Queries, ask: Callable[[SpaceName, Floats], Iterable[Iterable[Hit]]]
) -> list[list[Hit]]:
    """Return for each query what `ask` finds in each space that the queries could be brought into."""
    found: list[list[Hit]] = []
    for space in SPACES:
        vectors = queries.of(space)
        if vectors is None or not len(vectors):
            continue
        found = found or [[] for _ in vectors]
        for hits, more in zip(found, ask(space, vectors), strict=True):
            hits.extend(more)
    return found


def merged(hits: Iterable[Hit], k: int) -> list[Hit]:
    """Return the `k` best of `hits` by score, of equals those with the lower id first.

    An item found in both spaces was moved between two looks: what the new model says of it counts.
    """
    best: dict[str, Hit] = {}
    for hit in hits:
        if (known := best.get(hit.id)) is None or known.space == "old":
            best[hit.id] = hit
    return sorted(best.values(), key=lambda hit: (-hit.score, hit.id))[:k]


def search(store: Store, queries: Queries, k: int) -> list[list[Hit]]:
    """Return the `k` best items of both spaces for each query, best first."""
    return [merged(hits, k) for hits in store.search(queries, k)]


def ranked(hits: Sequence[Hit]) -> list[Hit]:
    """Return `hits` scored by their rank in their own space, 1 / (60 + rank), where distances do not compare.

    Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).
    """
    found: list[Hit] = []
    for space in SPACES:
        own = merged((hit for hit in hits if hit.space == space), _ALL)
        found += [replace(hit, score=1 / (_FUSION + rank)) for rank, hit in enumerate(own, 1)]
    return found


def unit(vectors: Floats) -> Floats:
    """Return `vectors` [n, dim] at length 1; one of length 0 stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors, np.float32), where=lengths > 0)


def counts(hits: Sequence[Sequence[Hit]]) -> dict[SpaceName, int]:
    """Return how many of `hits` came from each space."""
    total: dict[SpaceName, int] = {"old": 0, "new": 0}
    for found in hits:
        for hit in found:
            total[hit.space] += 1
    return total
