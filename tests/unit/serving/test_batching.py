"""Requests that wait while others are scored are scored together, and each gets its own answer."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fathom.errors import InvalidInputError
from fathom.ranking.requests import ScoreRequest, Scores
from fathom.ranking.scorer import Bundle, load
from fathom.serving.query import Query
from fathom.serving.scoring import ENOUGH, Scored, Scorer

PATIENCE = 60


class Gate:
    """Scores like the bundle, but the first time only when it is told to go on."""

    def __init__(self, score_all: Callable[[Sequence[ScoreRequest]], list[Scores]]) -> None:
        self._score_all = score_all
        self.entered, self.open = threading.Event(), threading.Event()
        self.batches: list[int] = []

    def __call__(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        self.batches.append(len(requests))
        self.entered.set()
        assert self.open.wait(PATIENCE)
        return self._score_all(requests)


@pytest.fixture
def fresh(folder: Path) -> Bundle:
    return load(folder)


@pytest.fixture
def gate(fresh: Bundle, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(fresh.score_all)
    monkeypatch.setattr(fresh, "score_all", gate)
    return gate


def query(user: int, candidates: int = 3, **features: object) -> Query:
    items = [f"i{(user + n) % 40}" for n in range(candidates)]
    return Query(ScoreRequest(f"u{user}", candidates=items, features=features), None, "")


def answers(scorer: Scorer, gate: Gate, *queries: Query) -> list[Scored | BaseException]:
    """Return the answers to `queries`, all but the first of which come while the first is scored."""

    async def ask() -> list[Scored | BaseException]:
        first = asyncio.create_task(scorer.score(queries[:1]))
        assert await asyncio.to_thread(gate.entered.wait, PATIENCE)
        others = [asyncio.create_task(scorer.score([one])) for one in queries[1:]]
        # Each task has put its request in the queue once it has run up to its first wait.
        await asyncio.gather(*(asyncio.sleep(0) for _ in others))
        gate.open.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        return [one if isinstance(one, BaseException) else one[0] for one in found]

    try:
        return asyncio.run(ask())
    finally:
        scorer.close()


def test_who_waits_is_scored_together(fresh: Bundle, bundle: Bundle, gate: Gate) -> None:
    queries = [query(user) for user in range(9)]
    found = answers(Scorer(fresh, cpus=1), gate, *queries)
    assert gate.batches == [1, 8]
    for one, asked in zip(found, queries, strict=True):
        assert isinstance(one, Scored)
        assert one.item_ids == asked.request.candidates
        assert one.scores == pytest.approx(bundle.score(asked.request), abs=1e-6)


def test_a_batch_has_so_many_candidates_and_no_more(fresh: Bundle, gate: Gate) -> None:
    half = ENOUGH // 2
    answers(Scorer(fresh, cpus=1), gate, *(query(user, half) for user in range(6)))
    assert gate.batches == [1, 2, 2, 1]


def test_who_asks_for_more_than_a_batch_is_scored_alone(fresh: Bundle, gate: Gate) -> None:
    answers(Scorer(fresh, cpus=1), gate, query(0), query(1), query(2, ENOUGH + 1), query(3))
    assert gate.batches == [1, 1, 1, 1]


def test_one_bad_request_fails_alone(fresh: Bundle, gate: Gate) -> None:
    found = answers(Scorer(fresh, cpus=1), gate, query(0), query(1), query(2, colour="red"), query(3))
    assert isinstance(found[2], InvalidInputError)
    assert [isinstance(one, Scored) for one in found] == [True, True, False, True]
    assert gate.batches == [1, 3, 1, 1, 1], "together, then one by one"
