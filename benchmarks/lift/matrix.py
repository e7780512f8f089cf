"""All runs: which are tuned by what, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lift import runs
from benchmarks.lift.arms import ARMS, Known
from benchmarks.lift.runs import SETTINGS, Results, Run, Setting
from demo.data.tables import Dataset

#: Splits and their draws. The time split can be drawn in one way only, the random one is drawn once.
SPLITS: Final = (("ItemCold", 0), ("ItemCold", 1), ("ItemCold", 2), ("Random", 0), ("Time", 0))
STRATEGIES: Final = tuple(dict.fromkeys(strategy for strategy, _ in SPLITS))


@dataclass(frozen=True)
class Matrix:
    """Trains what is not trained yet.

    Attributes:
        folder: for what runs read.
        found: the data.
        known: of the films.
        results: of runs that are done.
        seeds: of each arm on each split.
    """

    folder: Path
    found: Dataset
    known: Known
    results: Results
    seeds: int

    def run(
        self,
        tell: Callable[[str], None],
        only: Collection[str] = ARMS,
        strategies: Collection[str] = STRATEGIES,
    ) -> None:
        """Do all runs of the arms in `only` on the splits of `strategies`, those the claim is about first."""
        with runs.alone():
            for wanted in ([a for a in ARMS[:3] if a in only], [a for a in ARMS[3:] if a in only]):
                for strategy, draw in (s for s in SPLITS if s[0] in strategies):
                    for arm in wanted:
                        setting = self._tuned(strategy, arm, tell)
                        for seed in range(self.seeds):
                            self._once(Run(strategy, draw, arm, seed, setting), tell)

    def chosen(self, strategy: str, arm: str) -> Setting | None:
        """Return the setting with the best validation AUC of the first seed on the first draw."""
        rows = {s: self.results.get(Run(strategy, 0, arm, 0, s)) for s in SETTINGS}
        done = {s: row["validation_auc"] for s, row in rows.items() if row}
        return max(done, key=lambda s: done[s]) if len(done) == len(SETTINGS) else None

    def _tuned(self, strategy: str, arm: str, tell: Callable[[str], None]) -> Setting:
        for setting in SETTINGS:
            self._once(Run(strategy, 0, arm, 0, setting), tell)
        chosen = self.chosen(strategy, arm)
        assert chosen is not None, "all settings have just been tried"
        return chosen

    def _once(self, run: Run, tell: Callable[[str], None]) -> None:
        if self.results.get(run):
            return
        figures, scores, _ = runs.train(runs.task(self.folder, self.found, self.known, run))
        self.results.add(run, figures, scores)
        tell(
            f"{run.strategy} {run.draw}, {run.arm}, seed {run.seed}, id dropout {run.setting.id_dropout}: "
            f"validation {figures['validation_auc']:.4f}, {figures['seconds']:.0f} s"
        )
