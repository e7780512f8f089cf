"""From runs to figures: means over seeds and draws, differences with intervals, slices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.lift import runs
from benchmarks.lift.arms import ARMS, NONE, SHUFFLED
from benchmarks.lift.matrix import SPLITS, Matrix
from benchmarks.lift.runs import Results, Run
from fathom.ranking import interactions, metrics, split
from fathom.ranking.metrics import PreparedAUC
from fathom_api.tasks import AnyData

RESAMPLES: Final = 300
METRICS: Final = ("auc", "gauc", "ne", "log_loss")
#: Slices by training interactions of the item: those of the most frequent items that make up a third of
#: them, of the next, of the rest, and items without any.
SLICES: Final = ("head", "torso", "tail", "new")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Test:
    """The test rows of a draw: labels [n], users [n], slice of the item [n]."""

    label: NDArray[Any]
    user: NDArray[np.int64]
    slice: NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """AUC of one arm minus that of another.

    Attributes:
        auc: mean over draws and seeds.
        low: end of the 95 % interval, paired bootstrap over users.
        high: the other end.
        relative: of the other arm's AUC.
        rela_impr: of what the other arm is above chance (Yan et al., ICML 2014): AUC - ½.
        draws: the mean of each draw.
    """

    auc: float
    low: float
    high: float
    relative: float
    rela_impr: float
    draws: list[float]


@dataclass(frozen=True)
class Row:
    """An arm on a split; `spread` is the standard deviation of its AUC over seeds within a draw."""

    arm: str
    runs: int
    means: dict[str, float]
    spread: float
    slices: dict[str, float]
    over_none: Difference | None
    over_shuffled: Difference | None
    setting: str
    parameters: int


def rows(matrix: Matrix, strategy: str) -> list[Row]:
    """Return the arms on a split, those of which every draw has all seeds."""
    draws = [draw for s, draw in SPLITS if s == strategy]
    tests = {draw: _test(matrix, strategy, draw) for draw in draws}
    found = {arm: _runs(matrix, strategy, arm, draws) for arm in ARMS}
    done = {arm: own for arm, own in found.items() if own}
    return [_row(matrix.results, arm, done, tests) for arm in done]


def _runs(matrix: Matrix, strategy: str, arm: str, draws: Iterable[int]) -> list[Run]:
    setting = matrix.chosen(strategy, arm)
    if setting is None:
        return []
    own = [Run(strategy, draw, arm, seed, setting) for draw in draws for seed in range(matrix.seeds)]
    return own if all(map(matrix.results.get, own)) else []


def _row(results: Results, arm: str, done: dict[str, list[Run]], tests: dict[int, Test]) -> Row:
    own = done[arm]
    figures = [results.get(run) or {} for run in own]
    by_draw = [[f["auc"] for f in figures if f["draw"] == draw] for draw in tests]
    compared = {name: done[name] for name in (NONE, SHUFFLED) if name in done and name != arm}
    between = {name: _difference(results, own, other, tests) for name, other in compared.items()}
    return Row(
        arm=arm,
        runs=len(own),
        means={name: float(np.mean([f[name] for f in figures])) for name in METRICS},
        spread=sum(_deviation(aucs) for aucs in by_draw) / len(by_draw),
        slices=_slices(results, own, tests),
        over_none=between.get(NONE),
        over_shuffled=between.get(SHUFFLED) if arm != NONE else None,
        setting=f"{own[0].setting.id_dropout:g}",
        parameters=figures[0]["parameters"],
    )


def _deviation(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _difference(results: Results, own: list[Run], others: list[Run], tests: dict[int, Test]) -> Difference:
    """Return the difference of two arms; a user who is drawn counts in all draws and for both arms.

    All seeds are measured on the same resample, so that what differs between resamples is whom we asked.
    """
    prepared = {
        draw: (
            _prepared(results, [r for r in own if r.draw == draw], test),
            _prepared(results, [r for r in others if r.draw == draw], test),
        )
        for draw, test in tests.items()
    }
    users = 1 + max(int(test.user.max()) for test in tests.values())
    chance = np.random.default_rng(0)

    def measured(weights: NDArray[np.int64]) -> list[float]:
        return [
            _mean(ours, weights[tests[draw].user]) - _mean(theirs, weights[tests[draw].user])
            for draw, (ours, theirs) in prepared.items()
        ]

    draws = measured(np.ones(users, np.int64))
    drawn = [
        float(np.mean(measured(np.bincount(chance.integers(users, size=users), minlength=users))))
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    base = float(np.mean([(results.get(run) or {})["auc"] for run in others]))
    auc = float(np.mean(draws))
    return Difference(auc, float(low), float(high), auc / base, auc / (base - 0.5), draws)


def _prepared(results: Results, own: Sequence[Run], test: Test) -> list[PreparedAUC]:
    return [PreparedAUC(test.label, results.scores(run)) for run in own]


def _mean(prepared: list[PreparedAUC], weights: NDArray[np.int64]) -> float:
    return float(np.mean([auc(weights) for auc in prepared]))


def _slices(results: Results, own: list[Run], tests: dict[int, Test]) -> dict[str, float]:
    """Return the mean AUC in each slice that has both labels."""
    found: dict[str, list[float]] = {name: [] for name in SLICES}
    for run in own:
        test, scores = tests[run.draw], results.scores(run)
        for number, name in enumerate(SLICES):
            chosen = test.slice == number
            if 0 < test.label[chosen].sum() < chosen.sum():
                found[name].append(metrics.auc(test.label[chosen], scores[chosen]))
    return {name: float(np.mean(aucs)) for name, aucs in found.items() if aucs}


def _test(matrix: Matrix, strategy: str, draw: int) -> Test:
    run = Run(strategy, draw, NONE, 0, runs.SETTINGS[0])
    data: AnyData = runs.task(matrix.folder, matrix.found, matrix.known, run).data
    events = interactions.read(data)
    parts = split.assign(events, data.split)
    seen = np.bincount(events.item[parts == split.TRAIN], minlength=len(events.items))
    test = parts == split.TEST
    return Test(events.label[test], events.user[test], sliced(seen)[events.item[test]])


def sliced(seen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number in `SLICES` of each item by its training interactions `seen` [items]."""
    order = np.argsort(-seen, kind="stable")
    before = np.cumsum(seen[order]) - seen[order]
    third = np.empty(len(seen), np.int64)
    third[order] = np.minimum(3 * before // max(int(seen.sum()), 1), 2)
    return np.where(seen == 0, 3, third)
