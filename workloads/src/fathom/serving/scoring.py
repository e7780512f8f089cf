"""Scoring on threads of its own, so that the server goes on answering probes while it computes."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking.scorer import Bundle, ScoreRequest
from fathom.serving.errors import BadRequestError
from fathom.serving.query import Query

#: Threads of one scoring; more lower the latency of large requests, fewer let more requests run at once.
ENV_TORCH_THREADS: Final = "FATHOM_TORCH_THREADS"
#: Candidates scored at once: memory does not grow with the catalogue.
CHUNK: Final = 16_384


@dataclass(frozen=True)
class Scored:
    """Items and their scores; `unknown` of the `candidates` are not in the bundle."""

    item_ids: list[str]
    scores: NDArray[np.float32]
    candidates: int
    unknown: int
    known_user: bool


class Scorer:
    """Scores queries with `bundle`, on `cpus` threads divided by how many torch takes for each."""

    def __init__(self, bundle: Bundle, cpus: int) -> None:
        self.bundle = bundle
        self._known = frozenset(bundle.item_ids)
        threads = torch_threads()
        self._pool = ThreadPoolExecutor(
            max(1, cpus // threads), "scoring", initializer=torch.set_num_threads, initargs=(threads,)
        )

    async def score(self, queries: list[Query]) -> list[Scored]:
        """Score `queries`, one after the other.

        Raises:
            BadRequestError: a query's features give no score.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._score_all, queries)

    def self_test(self) -> None:
        """Score a few items for somebody nobody knows.

        Raises:
            InvalidInputError: there are no items, or the model does not give probabilities.
        """
        some = self.bundle.item_ids[:8]
        if not some:
            raise InvalidInputError("NoItems", "the bundle has no items to rank; train it again")
        scores = self.bundle.score(ScoreRequest(candidates=some))
        if scores.shape != (len(some),) or not ((scores >= 0) & (scores <= 1)).all():
            raise InvalidInputError(
                "BrokenModel", f"the bundle gives {scores} for probabilities; train it again"
            )

    def close(self) -> None:
        """Wait for what is being scored."""
        self._pool.shutdown()

    def _score_all(self, queries: list[Query]) -> list[Scored]:
        return [self._score(query) for query in queries]

    def _score(self, query: Query) -> Scored:
        asked = query.request.candidates
        items = self.bundle.item_ids if asked is None else asked
        chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
        scores = np.concatenate([self._chunk(query, chunk) for chunk in chunks])
        unknown = 0 if asked is None else sum(item not in self._known for item in asked)
        best = slice(None) if query.k is None else np.argsort(-scores, kind="stable")[: query.k]
        ids = items if query.k is None else [items[i] for i in np.arange(len(items))[best]]
        user = query.request.user_id
        known = user is not None and self.bundle.knows_user(user)
        return Scored(ids, scores[best], len(items), unknown, known)

    def _chunk(self, query: Query, items: list[str]) -> NDArray[np.float32]:
        scores = self.bundle.score(replace(query.request, candidates=items))
        if query.request.features and not np.isfinite(scores).all():
            field = f"{query.field}.features" if query.field else "inputs"
            raise BadRequestError(field, "OutOfRange", "a number is so large that the model gives no score")
        return scores


def torch_threads() -> int:
    """Return how many threads one scoring takes, `$FATHOM_TORCH_THREADS` or 1.

    Raises:
        InvalidInputError: the variable is no positive number.
    """
    text = os.environ.get(ENV_TORCH_THREADS, "1")
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInputError(
            "InvalidSetting", f"{ENV_TORCH_THREADS}={text}: must be a whole number from 1"
        )
    return int(text)
