"""Best of n on MovieLens: of a planner's answers those that people should like, and whether they do.

A person engages with a film by rating it, and four stars or more satisfied. What satisfies is learned from
ratings given up to a person's last known like; who is led where is judged by the ratings after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.serendipity import judging
from benchmarks.serendipity.judging import Figures
from benchmarks.serendipity.world import Stage, World
from fathom.serendipity import alignment, baselines
from fathom.serendipity.bulk import Planned
from fathom.serendipity.events import Events

#: How many of a pair's answers are kept.
KEPT: Final = (10, 5)


@dataclass(frozen=True)
class Led:
    """How it goes to be led to five clusters.

    Attributes:
        recall: [users] NovelRecall of liked clusters, NaN where nothing new is liked.
        tried: [users] clusters led to of which a film is rated later.
        liked: [users] the share of likes among the ratings there, summed over those clusters.
    """

    recall: Figures
    tried: Figures
    liked: Figures


def compare(world: World, found: Stage, planned: Planned, recent: int) -> dict[str, Led]:
    """Return how it goes with all of a pair's answers, and with the best."""
    known, later = _parted(world, found)
    scorer = alignment.learn(alignment.feedback(known, found.clusters), found.clusters)
    options = {"all": planned} | {f"best {n}": alignment.best(planned, scorer, n) for n in KEPT}
    return {name: _led(found, later, kept, recent) for name, kept in options.items()}


def _led(found: Stage, later: Events, planned: Planned, recent: int) -> Led:
    targets = judging.led(found, baselines.table_scorer(planned.table(found.clusters), recent))
    cluster = found.clusters.of(later.items)[later.item]
    inside = later.where(cluster >= 0)
    assert inside.satisfied is not None
    place = inside.user, cluster[cluster >= 0]
    rated, likes = np.zeros((2, len(targets), len(found.clusters.ids)))
    np.add.at(rated, place, 1)
    np.add.at(likes, place, inside.satisfied)
    tried = np.array([(rated[user, own] > 0).sum() for user, own in enumerate(targets)], np.float64)
    share = likes / np.maximum(rated, 1)
    liked = np.array([share[user, own].sum() for user, own in enumerate(targets)])
    return Led(judging.recall_of(found, targets), tried, liked)


def _parted(world: World, found: Stage) -> tuple[Events, Events]:
    """Return the ratings up to each person's last known like, and those after."""
    last = np.full(len(world.rated.users), -np.inf)
    np.maximum.at(last, found.known.user, found.known.time)
    known = world.rated.time <= last[world.rated.user]
    return world.rated.where(known), world.rated.where(~known)
