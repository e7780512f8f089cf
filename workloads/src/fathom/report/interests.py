"""The report of a map of interests: `index.html`, one file that people look at."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fathom import storage
from fathom.errors import InvalidInputError
from fathom.report import interest_map, page
from fathom.report.albums import album_of
from fathom.report.model import Fact
from fathom.report.pictures import Album, Seen
from fathom.report.text import clean, shown_id
from fathom.serendipity import gates
from fathom.serendipity.bulk import Planned
from fathom.serendipity.clusters import Cluster, Clusters
from fathom.serendipity.gates import Measured
from fathom.serendipity.spread import spread
from fathom.serendipity.table import NONE, Table
from fathom.serendipity.transitions import Lessons
from fathom.storage import appearing
from fathom_api.interest_tasks import GateTask
from fathom_api.progress import Verdict

NAME: Final = "index.html"
_PICTURES: Final = 4
_CARDS: Final = 150
_JOURNEYS: Final = 16
_REJECTED: Final = 40
_TEXT: Final = 300
_log = logging.getLogger("fathom")


@dataclass(frozen=True)
class Found:
    """What there is to report."""

    clusters: Clusters
    lessons: Lessons
    table: Table
    planned: Planned
    measured: Measured
    verdicts: Sequence[Verdict]


@dataclass(frozen=True)
class Card:
    """A cluster: what it shows, and where it leads a user who knows nothing else."""

    anchor: str
    name: str
    size: int
    above: str
    keywords: list[str]
    summary: str
    seen: list[tuple[str, Seen]]
    leads: list[tuple[str, float]]


@dataclass(frozen=True)
class Journey:
    """What a user did that the planner has not learned from, beside what the table says."""

    first: str
    second: str
    planned: list[str]
    went: str
    named: bool


def write(task: GateTask, found: Found) -> None:
    """Write the report of `found` where `task` says."""
    text = document(found, task.name, album=album_of(task.source))
    folder = storage.resolve(task.report)
    with appearing(folder / NAME) as path:
        path.write_text(text, encoding="utf-8")


def document(
    found: Found,
    title: str,
    *,
    album: Album | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> str:
    """Return the report as one HTML document; without `album` it has no pictures."""
    return page.document(
        "interests.html.j2",
        title=clean(title, 80),
        made_at=now().strftime("%Y-%m-%d %H:%M UTC"),
        found=found,
        measured=found.measured,
        verdicts=found.verdicts,
        passed=gates.passed(found.verdicts),
        dots=interest_map.dots(found.clusters, found.table),
        width=interest_map.WIDTH,
        height=interest_map.HEIGHT,
        cards=_cards(found, album),
        left_off=max(0, len(found.clusters.finest) - _CARDS),
        journeys=_journeys(found),
        rejected=_rejected(found),
        reasons=sorted(found.planned.rejected.items(), key=lambda each: -each[1]),
        facts=_facts(found),
    )


def _cards(found: Found, album: Album | None) -> list[Card]:
    clusters = found.clusters
    order = sorted(range(len(clusters.finest)), key=lambda n: -clusters.finest[n].size)[:_CARDS]
    wanted = [item for n in order for item in clusters.finest[n].representatives[:_PICTURES]]
    seen = _looked_at(album, wanted)
    return [_card(found, n, seen) for n in order]


def _looked_at(album: Album | None, items: list[str]) -> dict[str, Seen]:
    if album is None:
        return {}
    try:
        return album.show(items)
    except InvalidInputError as error:
        _log.warning("report: no pictures: %s", error)
        return {}


def _card(found: Found, n: int, seen: dict[str, Seen]) -> Card:
    cluster, clusters = found.clusters.finest[n], found.clusters
    targets, scores = found.table.targets[n, n], found.table.scores[n, n]
    leads = [
        (clean(found.table.names[t], 80), float(s))
        for t, s in zip(targets.tolist()[:5], scores.tolist()[:5], strict=True)
        if t != NONE
    ]
    return Card(
        anchor=f"c{cluster.id}",
        name=clean(cluster.name, 80),
        size=cluster.size,
        above=_above(clusters, cluster),
        keywords=[clean(word, 40) for word in cluster.keywords[:10]],
        summary=clean(cluster.summary, _TEXT),
        seen=[(shown_id(i), seen[i]) for i in cluster.representatives[:_PICTURES] if i in seen],
        leads=leads,
    )


def _above(clusters: Clusters, cluster: Cluster) -> str:
    if cluster.parent is None or len(clusters.levels) < 2:
        return ""
    return next((clean(c.name, 80) for c in clusters.levels[-2] if c.id == cluster.parent), "")


def _journeys(found: Found) -> list[Journey]:
    later, names = found.lessons.validation, found.table.names
    journeys: list[Journey] = []
    for n in spread(len(later), _JOURNEYS):
        first, second, went = int(later.first[n]), int(later.second[n]), int(later.target[n])
        planned = [t for t in found.table.targets[first, second].tolist()[:5] if t != NONE]
        said = [clean(names[t], 80) for t in planned]
        first_name, second_name = clean(names[first], 80), clean(names[second], 80)
        journeys.append(Journey(first_name, second_name, said, clean(names[went], 80), went in planned))
    return journeys


def _rejected(found: Found) -> list[dict[str, Any]]:
    names = {cluster.id: clean(cluster.name, 80) for cluster in found.clusters.finest}
    return [
        {
            "first": names.get(first, str(first)),
            "second": names.get(second, str(second)),
            "said": clean(said, _TEXT),
            "reason": reason,
        }
        for first, second, said, reason in found.planned.samples[:_REJECTED]
    ]


def _facts(found: Found) -> list[Fact]:
    report, clusters = found.lessons.report, found.clusters
    rows = {
        "Items in clusters": f"{len(clusters.items):,}",
        "Items without a vector, in none": f"{clusters.unclustered:,}",
        "Items whose cluster is another than before": page.percent(clusters.churn[-1]),
        "Users with a transition": f"{report.users:,}",
        "Transitions they made": f"{report.transitions:,}",
        "Different ones to learn from": f"{report.distinct:,}",
        "Kept after balancing": f"{report.kept:,}",
        "Held out to measure on": f"{report.validation:,}",
        "Unevenness of targets (Gini), before and after balancing": (
            f"{report.gini_before:.2f}, {report.gini_after:.2f}"
        ),
        "Pairs of clusters": f"{found.planned.pairs:,}",
        "Answers of the planner": f"{found.planned.answers:,}",
    }
    return [Fact(name, value) for name, value in rows.items()]
