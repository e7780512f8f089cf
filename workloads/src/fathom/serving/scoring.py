"""Scoring on threads of its own, so that the server goes on answering probes while it computes.

Requests that wait while a thread scores are scored together when it is free again: under load the matrix
products are of many requests, and nobody waits for company.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking.scorer import Bundle, ScoreRequest, Scores
from fathom.serving.errors import BadRequestError
from fathom.serving.guiding import Guiding, Mixed, Why, best
from fathom.serving.query import Query

#: Threads of one scoring; more lower the latency of large requests, fewer let more requests run at once.
ENV_TORCH_THREADS: Final = "FATHOM_TORCH_THREADS"
#: Candidates from which a batch takes no further request: one request's latency is not all others' sum.
ENOUGH: Final = 4_096


@dataclass(frozen=True)
class Scored:
    """Items and their scores; of `unknown` of the `candidates` nothing is known.

    `why` says of each item why it is there, None of what the ranker put there itself; all of it is None where
    nobody guides the ranker, or there is nowhere to lead this user to.
    """

    item_ids: list[str]
    scores: NDArray[np.float32]
    candidates: int
    unknown: int
    known_user: bool
    why: list[Why | None] | None = None


@dataclass(frozen=True)
class _Waiting:
    """Queries of one request, and where their answer goes."""

    queries: Sequence[Query]
    candidates: int
    answer: Future[list[Scored]]


class Scorer:
    """Scores queries with `bundle`, on `cpus` threads divided by how many torch takes for each."""

    def __init__(self, bundle: Bundle, cpus: int) -> None:
        self.bundle = bundle
        #: What leads users to new interests, replaced as a whole.
        self.guiding: Guiding | None = None
        threads = torch_threads()
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(
            max(1, cpus // threads), "scoring", initializer=torch.set_num_threads, initargs=(threads,)
        )

    async def score(self, queries: Sequence[Query]) -> list[Scored]:
        """Score `queries`, together with those of others that wait.

        Raises:
            BadRequestError: a query's features give no score.
        """
        candidates = sum(
            len(self.bundle.items.names) if q.request.candidates is None else len(q.request.candidates)
            for q in queries
        )
        waiting = _Waiting(queries, candidates, Future())
        self._waiting.append(waiting)
        self._pool.submit(self._work)
        return await asyncio.wrap_future(waiting.answer)

    def self_test(self) -> None:
        """Score a few items for somebody nobody knows.

        Raises:
            InvalidInputError: there are no items, or the model does not give probabilities.
        """
        names = self.bundle.items.names
        some = names.take(np.arange(1, min(8, len(names)) + 1))
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

    def _work(self) -> None:
        """Score what waits, up to a limit; nothing, if another thread has taken all of it."""
        if batch := self._taken():
            self._answer(batch)

    def _taken(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        candidates = 0
        with self._lock:
            while self._waiting and (not taken or candidates + self._waiting[0].candidates <= ENOUGH):
                taken.append(self._waiting.popleft())
                candidates += taken[-1].candidates
        return [one for one in taken if one.answer.set_running_or_notify_cancel()]

    def _answer(self, batch: list[_Waiting]) -> None:
        queries = [query for one in batch for query in one.queries]
        try:
            scores = self.bundle.score_all([query.request for query in queries])
        except Exception as error:
            self._answer_apart(batch, error)
            return
        start = 0
        for one in batch:
            own = scores[start : start + len(one.queries)]
            start += len(own)
            try:
                one.answer.set_result(
                    [self._scored(q, found) for q, found in zip(one.queries, own, strict=True)]
                )
            except BadRequestError as error:
                one.answer.set_exception(error)

    def _answer_apart(self, batch: list[_Waiting], error: Exception) -> None:
        """Fail the one request of `batch`, or try each alone: who is well must not fall with the others."""
        if len(batch) == 1:
            batch[0].answer.set_exception(error)
            return
        for one in batch:
            self._answer([one])

    def _scored(self, query: Query, found: Scores) -> Scored:
        mixed = None
        if (guiding := self.guiding) is not None and query.k is not None and query.explore:
            history = self.bundle.history(query.request)
            mixed = guiding.mixed(
                found.scores,
                found.names or self.bundle.items.names,
                history,
                query.k,
                candidates=query.request.candidates,
                shown=query.explored,
            )
        return _answered(query, found, mixed)


def _answered(query: Query, found: Scores, mixed: Mixed | None) -> Scored:
    scores, request = found.scores, query.request
    if (request.features or request.items) and not np.isfinite(scores).all():
        field = f"{query.field}.features" if query.field else "inputs"
        raise BadRequestError(field, "OutOfRange", "a number is so large that the model gives no score")
    if query.k is None:
        return Scored(request.candidates or [], scores, len(scores), found.unknown, found.known_user)
    chosen = best(scores, query.k) if mixed is None else mixed.places
    if found.names is not None:
        ids = found.names.take(chosen + 1)
    else:
        asked = request.candidates or []
        ids = [asked[i] for i in chosen]
    why = None if mixed is None else mixed.why
    return Scored(ids, scores[chosen], len(scores), found.unknown, found.known_user, why)


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
