"""The page: what was measured, and how to measure it again."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import evidence
from benchmarks.serendipity import judging
from benchmarks.serendipity.judging import Figures
from benchmarks.serendipity.measure import GUIDED, MIXTURE, SERVED, Cell
from benchmarks.serendipity.variants import VARIANTS

NAME: Final = "serendipity.md"
_BASELINES: Final = ("random", "popular", "nearest clusters", "Markov 1", "Markov 2", MIXTURE, "EASE")
_LIKES: Final = {
    "ndcg": "NDCG@10",
    "serendipity": "serendipity@10",
    "by_popularity": "serendipity@10 (RecTools)",
    "unexpectedness": "unexpectedness",
    "diversity": "ILD",
}
#: A pair is rare that followed each other in so few journeys, or fewer.
RARE: Final = 1
_INTRO: Final = """# Leading users to interests they have not met: MovieLens-100K

Made by `python -m benchmarks.serendipity`; do not edit. {machine}, one thread, shared with other work.

**Data.** Likes (four stars or more) of films whose poster we have, in order of time for each of 943 people:
80 % are known, 20 % are to come; settings were chosen on the last eighth of what is known. **Clusters.**
Balanced k-means over the SVD of who likes both, from what is known alone; their names are made of {words}.
**Question.** Which clusters that a person has not met are among those to come? NovelRecall@5: the share of
them that five guesses hold, the mean over people who meet anything new. {seeds} In brackets: 95 %
interval of the paired difference, bootstrap over people.
"""

Found = dict[tuple[int, int], dict[str, Cell]]


def write(folder: Path, found: Found, words: str) -> None:
    """Write the page into `folder`."""
    counts = sorted({count for count, _ in found})
    seeds = len({seed for _, seed in found})
    intro = _INTRO.format(
        machine=f"{platform.machine()}, Linux",
        words={"captions": "captions of posters", "metadata": "genres and decade, not of captions"}[words],
        seeds=f"{seeds} seeds of clusters." if seeds > 1 else "One seed of clusters.",
    )
    parts = [intro, "## Clusters: baselines\n", _table(_baseline_rows(found, counts))]
    for count in counts:
        parts += _planned(found, count)
    parts += [_missing(found, counts), _again()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text("\n".join(part for part in parts if part) + "\n")


def _baseline_rows(found: Found, counts: Sequence[int]) -> list[list[str]]:
    rows = [["clusters", "people", *_BASELINES, "SASRec"]]
    for count in counts:
        cells = _cells(found, count, "baselines")
        people = f"{np.mean([cell['users'] for cell in cells]):.0f}"
        own = [_mean(_stack(cells, "novel_recall", name)) for name in _BASELINES]
        sasrec = _cells(found, count, "sasrec")
        own.append(_mean(_stack(sasrec, "novel_recall", "SASRec")) if sasrec else "not measured")
        rows.append([str(count), people, *own])
    return rows


def _planned(found: Found, count: int) -> list[str]:
    made = [v for v in VARIANTS if _cells(found, count, v.file)]
    if not made:
        return []
    against = ("Markov 1", "Markov 2", MIXTURE, "EASE")
    rows = [["", "NovelRecall@5", *(f"Δ to {name}" for name in against), "exact match, unconstrained"]]
    rare = [
        ["people whose last pair is", "people", "planner, one pair", "Markov 1", "Markov 2", "Δ to Markov 2"]
    ]
    parts: list[str] = []
    for variant in made:
        cells, base = _both(found, count, variant.file)
        match = np.mean([cell["exact_match"] for cell in cells])
        for asked in ("one pair", GUIDED, SERVED):
            own = _stack(cells, "novel_recall", asked)
            apart = [judging.paired(own, _stack(base, "novel_recall", name)).told for name in against]
            rows.append([f"{variant.name}: {asked}", _mean(own), *apart, f"{match:.3f}"])
        if variant is made[0]:
            rare += _rare(cells, base)
    parts += [f"## {count} clusters: the planner\n", _table(rows)]
    parts += [
        "By how often the person's last two clusters followed each other in others' journeys:\n",
        _table(rare),
    ]
    return [*parts, *_slots(found, count), *_best_of_n(found, count), _goals(found, count, made[0].file)]


def _goals(found: Found, count: int, planner: str) -> str:
    """Say which goals that were set beforehand are reached."""
    cells, base = _both(found, count, planner)
    served = _stack(cells, "novel_recall", SERVED)
    over = {
        asked: [
            judging.paired(_stack(cells, "novel_recall", asked), _stack(base, "novel_recall", name))
            for name in ("Markov 1", "Markov 2")
        ]
        for asked in ("one pair", GUIDED)
    }
    ease = judging.paired(served, _stack(base, "novel_recall", "EASE"))
    slots = [cell["slots"] for cell in cells]
    share = {
        like: judging.paired(_stack(slots, "guided 10%", like), _stack(slots, "plain", like)).value
        / float(np.nanmean(_stack(slots, "plain", like)))
        for like in ("ndcg", "serendipity")
    }
    goals = {
        "The planner's table, asked one pair, above both Markov models": all(
            d.low > 0 for d in over["one pair"]
        ),
        "The planner's table, asked all pairs of the last clusters, above both": all(
            d.low > 0 for d in over[GUIDED]
        ),
        f"The served guide at least EASE over clusters ({ease.told})": ease.high >= 0,
        "With 10 % of the slots serendipity@10 up by 20 % or more, NDCG@10 down by 2 % at most "
        f"({share['serendipity']:+.0%}, {share['ndcg']:+.1%})": share["serendipity"] >= 0.2
        and share["ndcg"] >= -0.02,
    }
    lines = [f"- {goal}: {'reached' if met else '**not reached**'}." for goal, met in goals.items()]
    return "\n".join([f"### {count} clusters: goals\n", *lines]) + "\n"


def _rare(cells: list[Cell], base: list[Cell]) -> list[list[str]]:
    often = np.array([cell["pairs"] for cell in base])
    rows: list[list[str]] = []
    for name, keep in (
        (f"seen {RARE} times or never", often <= RARE),
        (f"seen {RARE + 1} times or more", often > RARE),
    ):
        own, first, second = (
            np.where(keep, _stack(given, "novel_recall", which), np.nan)
            for given, which in ((cells, "one pair"), (base, "Markov 1"), (base, "Markov 2"))
        )
        people = int((~np.isnan(own)).sum(axis=1).mean())
        if people > 1:
            difference = judging.paired(own, second).told
            rows.append([name, str(people), _mean(own), _mean(first), _mean(second), difference])
    return rows


def _slots(found: Found, count: int) -> list[str]:
    cells = _cells(found, count, VARIANTS[0].file)
    if not cells:
        return []
    rows = [["ten slots", *_LIKES.values(), "coverage", "Δ NDCG@10", "Δ serendipity@10"]]
    plain = {like: _stack([cell["slots"] for cell in cells], "plain", like) for like in _LIKES}
    for name in cells[0]["slots"]:
        own = {like: _stack([cell["slots"] for cell in cells], name, like) for like in _LIKES}
        row = [name, *(f"{np.nanmean(values):.4f}" for values in own.values())]
        row.append(f"{np.mean([cell['slots'][name]['coverage'] for cell in cells]):.3f}")
        rows.append([*row, *(_relative(own[like], plain[like]) for like in ("ndcg", "serendipity"))])
    return [
        f"### {count} clusters: slots for guided items\n\nThe plain ranker is EASE over items; *guided 10 %* "
        "gives one slot of ten to an item of a cluster that the planner's table leads to, the ranker's best "
        "there. Serendipity@10 counts items that are liked later and whose cluster the person had not met. "
        "Relative differences to the plain ranker.\n",
        _table(rows),
    ]


def _best_of_n(found: Found, count: int) -> list[str]:
    cells = _cells(found, count, "best-of-n")
    if not cells:
        return []
    rows = [
        ["answers of a pair", "NovelRecall@5", "tried of five", "share liked of the tried", "Δ share liked"]
    ]
    shares = {n: judging.share(*(_stack(cells, n, f) for f in ("liked", "tried"))) for n in cells[0]}
    for name, share in shares.items():
        tried = float(np.mean([cell[name]["tried"] for cell in cells]))
        apart = judging.difference(share, shares["all"]).told
        row = [name, _mean(_stack(cells, name, "recall")), f"{tried:.2f}", f"{share.value:.3f}", apart]
        rows.append(row)
    return [
        f"### {count} clusters: best of n\n\nOf a pair's answers those that should satisfy most, as learned "
        "from earlier ratings; led by the table over several pairs. *Tried*: a film of the cluster is rated "
        "later; *liked*: the share of four stars or more among those ratings.\n",
        _table(rows),
    ]


def _relative(own: Figures, plain: Figures) -> str:
    found, base = judging.paired(own, plain), float(np.nanmean(plain))
    return f"{found.value / base:+.1%} [{found.low / base:+.1%}, {found.high / base:+.1%}]"


def _missing(found: Found, counts: Sequence[int]) -> str:
    lacking = [
        f"{variant.name} at {count} clusters"
        for count in counts
        for variant in VARIANTS
        if not _cells(found, count, variant.file)
    ]
    lines = [
        "## Not measured\n",
        "- a planner without fine-tuning: the small planner starts from nothing and says nothing until it is "
        "taught, and no model hub is within reach of this machine",
        "- off-policy estimates: there are no logged propensities in MovieLens; "
        "[another log shows them](off-policy.md)",
    ]
    return "\n".join([*lines, *(f"- {text}" for text in lacking)]) + "\n"


def _again() -> str:
    return (
        "## Again\n\n`make bench-serendipity DATA=folder`, where the folder holds `movielens-posters/`; "
        "`python -m benchmarks.serendipity --help` measures a part. What is made is kept in "
        "`build/serendipity/`, an interrupted run goes on where it was.\n"
    )


def _both(found: Found, count: int, name: str) -> tuple[list[Cell], list[Cell]]:
    both = [(own[name], own["baselines"]) for (n, _), own in found.items() if n == count and name in own]
    return [a for a, _ in both], [b for _, b in both]


def _cells(found: Found, count: int, name: str) -> list[Cell]:
    return [own[name] for (n, _), own in found.items() if n == count and name in own]


def _stack(cells: Iterable[Any], first: str, second: str) -> Figures:
    return np.array([cell[first][second] for cell in cells], np.float64)


def _mean(values: Figures) -> str:
    value, error = judging.mean(np.nanmean(values[:, ~np.isnan(values).all(axis=0)], axis=0))
    return f"{value:.3f} ± {error:.3f}"


def _table(rows: list[list[str]]) -> str:
    return evidence.table(rows[0], rows[1:], figures="---")
