"""What users moved on to: (two clusters) → a third they had not met, from sequences of liked items.

On disk, a folder: `transitions.parquet` (user, first, second, target: cluster ids, time, count, part:
train or validation) and `report.json`, sealed by a manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from fathom import manifest
from fathom.captioning.store import parts
from fathom.errors import InvalidInputError
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.events import Events, Ints
from fathom.serendipity.metrics import gini
from fathom.serendipity.planning import Pair
from fathom.storage import Location, appearing
from fathom_api.meta import StatusModel

KIND: Final = "Transitions"
TABLE, REPORT = "transitions.parquet", "report.json"


@dataclass(frozen=True)
class Journeys:
    """Each user's clusters in the order in which they were met, each once.

    Attributes:
        users: ids.
        starts: [users + 1] where each user's clusters begin in `cluster`; `time` likewise.
        cluster: [m] place of the cluster among the ids of the finest level.
        time: [m] when it was met.
    """

    users: list[str]
    starts: Ints
    cluster: Ints
    time: NDArray[Any]

    def of(self, user: int) -> Ints:
        """Return the clusters of the user at this place, the first met first."""
        return self.cluster[self.starts[user] : self.starts[user + 1]]


def journeys(events: Events, clusters: Clusters) -> Journeys:
    """Return the distinct clusters of each user's events; items in no cluster count for nothing."""
    cluster = clusters.of(events.items)[events.item]
    known = np.flatnonzero(cluster >= 0)
    user, cluster, time = events.user[known], cluster[known], events.time[known]
    _, first = np.unique(user * len(clusters.ids) + cluster, return_index=True)
    first = np.sort(first)  # Events are sorted by user and time, so rows of a user stay in order.
    counts = np.bincount(user[first], minlength=len(events.users))
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Journeys(events.users, starts, cluster[first], time[first])


@dataclass(frozen=True)
class Transitions:
    """m transitions: places of clusters among the finest level's ids.

    Attributes:
        user: [m] place of the user; of a merged transition, the first who made it.
        first, second: [m] clusters met one after the other.
        target: [m] the cluster met next, different from all that the user met before.
        time: [m] when it was met.
        count: [m] how often the transition was made.
    """

    user: Ints
    first: Ints
    second: Ints
    target: Ints
    time: NDArray[Any]
    count: Ints

    def __len__(self) -> int:
        return len(self.target)

    def where(self, keep: NDArray[Any]) -> Transitions:
        """Return those that `keep`, a mask or places, selects."""
        return Transitions(*(column[keep] for column in self.columns()))

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Return the arrays in the order of the fields."""
        return self.user, self.first, self.second, self.target, self.time, self.count


def consecutive(found: Journeys, reach: int = 1) -> Transitions:
    """Return ((c1, c2) → c3) for each three clusters met one after the other (arXiv 2510.20260, k = 2).

    With `reach` r, c3 may be any of the r clusters met after c2, and c2 any of the r met after c1: more to
    learn from where users are few.

    Raises:
        InvalidInputError: `reach` is below 1.
    """
    if reach < 1:
        raise InvalidInputError("BadReach", f"reach must be 1 or more, it is {reach}")
    user = np.repeat(np.arange(len(found.users)), np.diff(found.starts))
    end = found.starts[user + 1]
    rows: list[tuple[Ints, Ints, Ints]] = []
    at = np.arange(len(user))
    for step in range(1, reach + 1):
        for further in range(1, reach + 1):
            start = at[at + step + further < end]
            rows.append((start, start + step, start + step + further))
    first, second, target = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.lexsort((first, second, target))
    first, second, target = first[order], second[order], target[order]
    c = found.cluster
    return Transitions(
        user[target], c[first], c[second], c[target], found.time[target], np.ones(len(target), np.int64)
    )


def split(found: Transitions, validation: float) -> tuple[Transitions, Transitions]:
    """Return those to learn from and the latest share `validation` by time, to measure on.

    Raises:
        InvalidInputError: there are too few.
    """
    if len(found) < 2:
        raise InvalidInputError(
            "TooFewTransitions",
            f"{len(found)} transitions: users need three clusters each; ask for fewer clusters, or give more "
            "interactions",
        )
    cut = np.quantile(found.time, 1 - validation)
    late = found.time > cut
    return found.where(~late), found.where(late)


def merged(found: Transitions) -> Transitions:
    """Return each different ((c1, c2) → c3) once, with how often it was made, the most frequent first."""
    keys = np.stack([found.first, found.second, found.target], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    count = np.bincount(inverse.ravel(), found.count).astype(np.int64)
    one = found.where(first)
    whole = Transitions(one.user, one.first, one.second, one.target, one.time, count)
    return whole.where(np.lexsort((whole.second, whole.first, whole.target, -count)))


def balanced(found: Transitions, per_target: int) -> Transitions:
    """Return at most `per_target` of the merged `found` for each target, the most frequent ones.

    So a popular interest does not become the answer to everything (arXiv 2405.16363 keeps 10).
    """
    order = np.argsort(found.target, kind="stable")
    target = found.target[order]
    starts = np.searchsorted(target, target, side="left")
    return found.where(np.sort(order[np.arange(len(target)) - starts < per_target]))


def either_order(found: Transitions) -> Transitions:
    """Return the merged `found` with each pair in both orders.

    Which of two interests was met last says little, and all ordered pairs are asked about: taught one order
    alone, a planner knows little of the other, and takes the later cluster for all there is to a pair.
    """
    turned = Transitions(found.user, found.second, found.first, found.target, found.time, found.count)
    both = zip(found.columns(), turned.columns(), strict=True)
    return merged(Transitions(*(np.concatenate(columns) for columns in both)))


def recent_moves(found: Transitions, clusters: Clusters, share: float = 0.25) -> dict[Pair, str]:
    """Return the name of where users of a pair of ids went most often lately: in the latest `share` by time.

    To be put into the prompt, so that plans follow the times without another teaching (arXiv 2510.20260). Of
    equals the one with the lower id.
    """
    if not len(found):
        return {}
    late = merged(found.where(found.time >= np.quantile(found.time, 1 - share)))
    order = np.lexsort((late.target, -late.count))
    moves: dict[Pair, str] = {}
    for first, second, target in zip(
        late.first[order].tolist(), late.second[order].tolist(), late.target[order].tolist(), strict=True
    ):
        pair = int(clusters.ids[first]), int(clusters.ids[second])
        moves.setdefault(pair, clusters.finest[target].name)
    return moves


class Report(StatusModel):
    """How much there is to learn from, and how evenly it is spread."""

    users: int = Field(description="Users with at least one transition.")
    transitions: int = Field(description="Transitions made by users.")
    pairs: int = Field(description="Different (first, second) among them.")
    distinct: int = Field(description="Different transitions to learn from, before balancing.")
    kept: int = Field(description="Those that are left after balancing; learned in both orders of the pair.")
    validation: int = Field(description="Transitions to measure on.")
    targets: int = Field(description="Different targets to learn.")
    clusters: int = Field(description="Clusters there are.")
    gini_before: float = Field(description="Unevenness of the targets before balancing, 0 is even.")
    gini_after: float = Field(description="The same after balancing.")
    most_frequent: list[tuple[str, int]] = Field(description="Targets by how many transitions lead to them.")


@dataclass(frozen=True)
class Lessons:
    """What a planner learns from and is measured on."""

    train: Transitions
    validation: Transitions
    report: Report

    def write(self, folder: Location, clusters: Clusters, made_from: dict[str, str]) -> manifest.Manifest:
        """Write them to `folder`; clusters are told by id."""
        ids = clusters.ids.astype(np.int32)
        both = [("train", self.train), ("validation", self.validation)]
        table = pa.concat_tables(
            pa.table(
                {
                    "user": pa.array(t.user, pa.int64()),
                    **{n: pa.array(ids[getattr(t, n)]) for n in ("first", "second", "target")},
                    "time": pa.array(t.time, pa.float64()),
                    "count": pa.array(t.count, pa.int64()),
                    "part": pa.array([part] * len(t), pa.string()),
                }
            )
            for part, t in both
        )
        parts.write(folder / TABLE, table)
        with appearing(folder / REPORT) as path:
            path.write_text(self.report.model_dump_json(by_alias=True, indent=1))
        counts = {"train": len(self.train), "validation": len(self.validation)}
        return manifest.write(folder, KIND, counts=counts, made_from=made_from, only={TABLE, REPORT})

    @classmethod
    def read(cls, folder: Location, clusters: Clusters) -> Lessons:
        """Return the lessons in `folder`, which were made with `clusters`.

        Raises:
            InvalidInputError: they are unfinished, damaged, or of other clusters.
        """
        found = manifest.verify(folder)
        if found.kind != KIND:
            raise InvalidInputError("NotTransitions", f"{folder}: holds {found.kind}, not {KIND}")
        with (folder / TABLE).open("rb") as data:
            table = pq.read_table(data)
        columns = {name: table[name].to_numpy() for name in ("user", "time", "count")}
        for name in ("first", "second", "target"):
            ids = table[name].to_numpy()
            place = np.searchsorted(clusters.ids, ids).clip(max=len(clusters.ids) - 1)
            if (clusters.ids[place] != ids).any():
                raise InvalidInputError(
                    "OtherClusters", f"{folder}: has transitions of clusters that are no more; make it again"
                )
            columns[name] = place
        every = Transitions(**columns)
        train = np.array([part == "train" for part in table["part"].to_pylist()], bool)
        report = Report.model_validate_json((folder / REPORT).read_bytes())
        return cls(every.where(train), every.where(~train), report)


def learn_from(
    found: Transitions, clusters: Clusters, *, validation: float = 0.1, per_target: int = 200
) -> Lessons:
    """Return `found` split by time; what is learned from is merged, balanced and in both orders of a pair."""
    early, late = split(found, validation)
    distinct = merged(early)
    kept = balanced(distinct, per_target)
    count = len(clusters.ids)
    frequency = np.bincount(early.target, early.count, minlength=count)
    order = np.argsort(-frequency, kind="stable")[:10]
    report = Report(
        users=len(np.unique(found.user)),
        transitions=len(found),
        pairs=len(np.unique(found.first * count + found.second)),
        distinct=len(distinct),
        kept=len(kept),
        validation=len(late),
        targets=len(np.unique(kept.target)),
        clusters=count,
        gini_before=gini(np.bincount(distinct.target, minlength=count)),
        gini_after=gini(np.bincount(kept.target, minlength=count)),
        most_frequent=[(clusters.finest[c].name, int(frequency[c])) for c in order],
    )
    return Lessons(either_order(kept), late, report)
