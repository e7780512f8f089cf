"""All that is measured, a cell at a time: each is kept as JSON and not measured again."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.serendipity import judging
from benchmarks.serendipity.slots import SHARES, TRADES, Answers
from benchmarks.serendipity.variants import VARIANTS, Variant
from benchmarks.serendipity.world import Stage, World, stage
from fathom.serendipity import baselines
from fathom.serendipity.baselines import Scorer, table_scorer
from fathom.serendipity.guide import Explore
from fathom.serendipity.table import Table
from fathom.storage import appearing

_PENALTIES: Final = (10.0, 30.0, 100.0, 300.0, 1000.0)
_EPOCHS: Final = (5, 15, 30)
#: How many of a user's latest clusters the guide looks up, in pairs: the product's default, not chosen here.
RECENT: Final = Explore().recent
#: What counting says of as many clusters as the guide looks up.
MIXTURE: Final = f"Markov 1 of the last {RECENT}"
GUIDED: Final = "table over several pairs"
SERVED: Final = "served guide: table and ranker"
_LIKES: Final = ("ndcg", "serendipity", "by_popularity", "unexpectedness", "diversity")

Cell = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        folder: for all that is made.
        counts: of clusters.
        seeds: of clusters, planners and whatever else is random.
        epochs: most epochs of a planner.
        variants: places in `VARIANTS` of the planners to make.
    """

    folder: Path
    counts: tuple[int, ...]
    seeds: int
    epochs: int
    variants: tuple[int, ...]


def run(plan: Plan, world: World) -> None:
    """Measure every cell that has not been measured: what is cheap of all first."""
    for cheap in (True, False):
        for seed in range(plan.seeds):
            for count in plan.counts:
                here = plan.folder / f"{count}-{seed}"
                if cheap:
                    _cell(here / "baselines.json", lambda c=count, s=seed: _baselines(world, c, s))
                    continue
                for variant in (VARIANTS[n] for n in plan.variants):
                    name = variant.file
                    make = partial(_planner, world, count, seed, variant, here / name, plan.epochs)
                    _cell(here / f"{name}.json", make)
                if 0 in plan.variants:
                    best = partial(_best_of_n, world, count, seed, here / VARIANTS[0].file, plan.epochs)
                    _cell(here / "best-of-n.json", best)
                _cell(here / "sasrec.json", lambda c=count, s=seed: _sasrec(world, c, s))


def read(plan: Plan) -> dict[tuple[int, int], dict[str, Cell]]:
    """Return what was measured: by number of clusters and seed, then by file."""
    found: dict[tuple[int, int], dict[str, Cell]] = {}
    for path in sorted(plan.folder.glob("*-*/*.json")):
        count, seed = map(int, path.parent.name.split("-"))
        found.setdefault((count, seed), {})[path.stem] = json.loads(path.read_text())
    return found


def _cell(path: Path, make: Callable[[], Cell]) -> None:
    if path.is_file():
        return
    logging.info("measuring %s", path)
    made = make()
    with appearing(path) as temporary:
        temporary.write_text(json.dumps(made, allow_nan=True))


def _baselines(world: World, count: int, seed: int) -> Cell:
    before, test = stage(world, count, seed, test=False), stage(world, count, seed, test=True)
    penalty = judging.best(before, {p: baselines.ease(before.journeys, count, p) for p in _PENALTIES})
    found = test.journeys
    scorers: dict[str, Scorer] = {
        "random": baselines.random(count, seed),
        "popular": baselines.popular(found, count),
        "nearest clusters": baselines.neighbours(test.clusters.centres),
        "Markov 1": baselines.markov(found, count, 1),
        "Markov 2": baselines.markov(found, count, 2),
        MIXTURE: baselines.markov_mixture(found, count, RECENT),
        "EASE": baselines.ease(found, count, penalty),
    }
    return {
        "chosen": {"EASE penalty": penalty},
        "users": int(test.judged.sum()),
        "sizes": np.bincount(test.clusters.own).tolist(),
        "novel_recall": {n: judging.novel_recall(test, scorer).tolist() for n, scorer in scorers.items()},
        "pairs": _seen_pairs(test).tolist(),
    }


def _sasrec(world: World, count: int, seed: int) -> Cell:
    import torch

    from fathom.serendipity import sasrec

    torch.set_num_threads(1)
    before, test = stage(world, count, seed, test=False), stage(world, count, seed, test=True)
    options = {float(e): sasrec.sasrec(before.journeys, count, e, seed) for e in _EPOCHS}
    epochs = int(judging.best(before, options))
    scorer = sasrec.sasrec(test.journeys, count, epochs, seed)
    return {
        "chosen": {"epochs": epochs},
        "novel_recall": {"SASRec": judging.novel_recall(test, scorer).tolist()},
    }


def _planner(  # noqa: PLR0917 (what a planner is made of)
    world: World, count: int, seed: int, variant: Variant, folder: Path, epochs: int
) -> Cell:
    # What a planner is made with takes long to import; the baselines need none of it.
    from benchmarks.serendipity import planners

    test = stage(world, count, seed, test=True)
    made = planners.make(folder, test, variant, epochs, seed)
    scorers = {"one pair": table_scorer(made.table, 2), GUIDED: table_scorer(made.table, RECENT)}
    recalls = {n: judging.novel_recall(test, scorer) for n, scorer in scorers.items()}
    answers = Answers(test)
    led = answers.led(made.table, RECENT, judging.TARGETS)
    recalls[SERVED] = judging.recall_of(test, led)
    return {
        "exact_match": made.exact_match,
        "losses": made.losses,
        "novel_recall": {name: recall.tolist() for name, recall in recalls.items()},
        "slots": _slots(answers, made.table),
    }


def _best_of_n(world: World, count: int, seed: int, folder: Path, epochs: int) -> Cell:
    from benchmarks.serendipity import planners, satisfaction

    test = stage(world, count, seed, test=True)
    planned = planners.make(folder, test, VARIANTS[0], epochs, seed).planned
    compared = satisfaction.compare(world, test, planned, RECENT)
    return {
        name: {what: getattr(led, what).tolist() for what in ("recall", "tried", "liked")}
        for name, led in compared.items()
    }


def _slots(answers: Answers, table: Table) -> dict[str, Cell]:
    lists = {"plain": answers.plain()}
    lists |= {f"guided {share:.0%}": answers.guided(table, share, RECENT) for share in SHARES}
    lists |= {f"MMR {trade}": answers.mmr(trade) for trade in TRADES}
    told: dict[str, Cell] = {}
    for name, own in lists.items():
        judged = answers.judge(own)
        told[name] = {like: getattr(judged, like).tolist() for like in _LIKES} | {"coverage": judged.coverage}
    return told


def _seen_pairs(found: Stage) -> np.ndarray:
    """Return [users] how often a user's last two clusters followed each other in others' journeys."""
    often: dict[tuple[int, int], int] = {}
    last: list[tuple[int, int] | None] = []
    for user in range(len(found.journeys.users)):
        own = found.journeys.of(user).tolist()
        # The user's own last pair has no successor: it teaches nothing.
        for pair in itertools.pairwise(own[:-1]):
            often[pair] = often.get(pair, 0) + 1
        last.append((own[-2], own[-1]) if len(own) > 1 else None)
    return np.array([often.get(pair, 0) if pair else 0 for pair in last])
