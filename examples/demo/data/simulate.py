"""Simulated people: which kinds of pictures they like, and what they did. No real person is behind them.

A person likes a picture with probability σ(bias + popularity + taste of the occupation + own taste + noise).
Tastes are for shelves (`animals`, `animals, birds`), never for single pictures, so a caption can tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

PEOPLE = 700
SEEN_EACH = 60
_START = 1_700_000_000
_DAYS = 90
_BIAS = -1.0

#: What people of an occupation like, by shelf: the stated tastes.
TASTES: dict[str, dict[str, float]] = {
    "farmer": {"animals": 1.2, "vehicles": 0.8, "food": 0.6},
    "gardener": {"plants": 2.0, "food": 0.8, "animals": 0.3},
    "cook": {"food": 2.0, "household": 1.0},
    "builder": {"town": 1.6, "vehicles": 1.0, "household": 0.6},
    "teacher": {"space": 1.2, "animals": 0.8, "hobbies": 0.8},
    "musician": {"hobbies": 2.0, "clothes": 0.6, "seasonal": 0.6},
    "pilot": {"space": 1.8, "vehicles": 1.6, "military": 1.0},
    "party planner": {"seasonal": 2.0, "clothes": 0.8, "food": 0.6},
}
#: Favourites and dislikes of a person's own, at most so strong.
_FAVOURITES, _FAVOURITE = 4, 1.8
_DISLIKES, _DISLIKE = 2, -1.2
_AGES = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")


def item_id(number: int) -> str:
    """Return the id of the picture with that number."""
    return f"stamp-{number:03}"


def people(shelves: Sequence[tuple[str, ...]], *, seed: int) -> tuple[pa.Table, pa.Table]:
    """Return simulated users and interactions for pictures on `shelves`, one shelf a picture."""
    random = np.random.default_rng(seed)
    jobs = random.choice(list(TASTES), size=PEOPLE)
    users = pa.table(
        {
            "user_id": [f"sim-{n:03}" for n in range(PEOPLE)],
            "age_group": random.choice(_AGES, size=PEOPLE),
            "occupation": jobs,
        }
    )
    return users, _interactions(shelves, [str(job) for job in jobs], random)


def _interactions(
    shelves: Sequence[tuple[str, ...]], jobs: Sequence[str], random: np.random.Generator
) -> pa.Table:
    popularity = random.normal(0, 0.5, len(shelves))
    rows: list[tuple[int, int, int]] = []
    for person, job in enumerate(jobs):
        seen = random.choice(len(shelves), size=min(SEEN_EACH, len(shelves)), replace=False)
        taste = _taste(shelves, job, random)
        logit = _BIAS + popularity[seen] + taste[seen] + random.normal(0, 0.5, len(seen))
        liked = random.random(len(seen)) < 1 / (1 + np.exp(-logit))
        rows += [(person, int(item), int(like)) for item, like in zip(seen, liked, strict=True)]
    times = np.sort(random.integers(0, _DAYS * 86_400, len(rows)))
    order = random.permutation(len(rows))
    return pa.table(
        {
            "user_id": [f"sim-{rows[n][0]:03}" for n in order],
            "item_id": [item_id(rows[n][1]) for n in order],
            "liked": pa.array([rows[n][2] for n in order], pa.int8()),
            "timestamp": pa.array(_START + times, pa.int64()),
        }
    )


def _taste(shelves: Sequence[tuple[str, ...]], job: str, random: np.random.Generator) -> NDArray[np.float64]:
    """Return how much a person of that occupation likes each picture, a logit; (pictures,)."""
    kinds = sorted(set(shelves))
    own = np.zeros(len(kinds))
    drawn = random.choice(len(kinds), size=min(_FAVOURITES + _DISLIKES, len(kinds)), replace=False)
    own[drawn[:_FAVOURITES]] = _FAVOURITE * random.random(len(drawn[:_FAVOURITES]))
    own[drawn[_FAVOURITES:]] = _DISLIKE * random.random(len(drawn[_FAVOURITES:]))
    by_kind = {kind: TASTES[job].get(kind[0], 0.0) + own[n] for n, kind in enumerate(kinds)}
    return np.array([by_kind[shelf] for shelf in shelves])
