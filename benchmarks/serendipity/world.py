"""MovieLens-100K as a world to explore: likes in order of time, and words about each film."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from demo.data import movielens, tables
from demo.data.tables import Dataset
from fathom.features import stopwords
from fathom.serendipity import clusters, transitions, vectors
from fathom.serendipity.balanced import Shape
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.events import Events, Ints
from fathom.serendipity.transitions import Journeys

Words = Literal["captions", "metadata"]
#: Shares of a user's likes, in order of time: to learn from, to choose settings on, and (the rest) to judge.
TRAIN: Final = 0.7
TRAIN_AND_VALIDATION: Final = 0.8
WIDTH: Final = 64
BALANCE: Final = 4.0


@dataclass(frozen=True)
class World:
    """All ratings, of which likes satisfied, and texts of the items in the order of `rated.items`."""

    rated: Events
    texts: list[str]

    @cached_property
    def events(self) -> Events:
        """The likes alone."""
        return self.rated.where(self.rated.satisfied == 1)


def load(folder: Path, data: Path, words: Words) -> World:
    """Return the likes (four stars or more) of the films whose poster is below `data`.

    Words are the captions that the small LLaVA made of the posters' pixels, or genres and decade.
    """
    found = tables.cached(folder / "tables", lambda: movielens.make(data))
    rows = found.table("interactions")
    users = sorted(set(rows["user_id"].to_pylist()))
    items = found.table("items", ["item_id"])["item_id"].to_pylist()
    places = {u: n for n, u in enumerate(users)}, {i: n for n, i in enumerate(items)}
    user = np.array([places[0][u] for u in rows["user_id"].to_pylist()])
    item = np.array([places[1][i] for i in rows["item_id"].to_pylist()])
    time = rows["timestamp"].to_numpy().astype(np.float64)
    texts = _captions(folder, found, items) if words == "captions" else _metadata(found)
    satisfied = (rows["liked"].to_numpy() == 1).astype(np.float32)
    return World(Events.sorted(users, items, user, item, time, satisfied=satisfied), texts)


@dataclass(frozen=True)
class Stage:
    """What is known, and what came later: for choosing settings, or for judging.

    Attributes:
        known: the events that everything is learned from.
        clusters: made of `known`.
        journeys: clusters in the order in which they were met.
        future: clusters of each user's later likes.
        later: places of the items of each user's later likes.
    """

    known: Events
    clusters: Clusters
    journeys: Journeys
    future: list[Ints]
    later: list[Ints]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which users meet something new later; others say nothing about being led."""
        users = range(len(self.future))
        return np.array([len(np.setdiff1d(self.future[u], self.journeys.of(u))) > 0 for u in users])


def stage(world: World, count: int, seed: int, *, test: bool) -> Stage:
    """Return what is known before, and what comes in, the validation or the `test` part."""
    early = world.events.before(TRAIN_AND_VALIDATION if test else TRAIN)
    late = ~early if test else ~early & world.events.before(TRAIN_AND_VALIDATION)
    known, after = world.events.where(early), world.events.where(late)
    made = clusters.build(
        known.items,
        vectors.co_engagement(known, WIDTH, seed),
        world.texts,
        Shape((count,), BALANCE, seed),
        stop=[*stopwords.of("en"), "film", "films"],
    )
    own = made.of(known.items)
    users = range(len(known.users))
    later = [after.item[after.user == u] for u in users]
    future = [np.unique(own[items][own[items] >= 0]) for items in later]
    return Stage(known, made, transitions.journeys(known, made), future, later)


def _captions(folder: Path, found: Dataset, items: list[str]) -> list[str]:
    from benchmarks.lift import captioner

    captioner.features(folder, found)
    said = captioner.captions(folder)
    return [said.get(item, "") for item in items]


def _metadata(found: Dataset) -> list[str]:
    rows = found.table("items", ["genres", "year"]).to_pylist()
    plain = [row["genres"].replace("Sci-Fi", "science fiction").replace("|", " ") for row in rows]
    return [f"{said} {row['year'] // 10 * 10}s" for said, row in zip(plain, rows, strict=True)]
