"""Hyper-parameter search: trials of one training after another, in the processes that train together.

Tree-structured Parzen estimators with median pruning, both Optuna's. Process 0 asks and tells; the study is a
journal in the folder of the checkpoints, so that a search goes on where it was, a trial under way from its
last checkpoint. Every trial has a sampler of its own, seeded by the training's seed and the trial's number:
what is tried does not depend on interruptions. The best trial's weights are the model.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna
import torch.distributed as dist
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from fathom.ranking.checkpoint import Checkpoints, State
from fathom.ranking.figures import SEARCH, SearchResult, TrialResult
from fathom.ranking.inputs import Job
from fathom.ranking.training import DivergedError
from fathom.ranking.trials import folder_of, with_parameters
from fathom.storage import appearing
from fathom_api.progress import Progress
from fathom_api.search import Search, SearchParameter

_JOURNAL: Final = "search.log"
#: Fields that are whole numbers.
_WHOLE: Final = frozenset({"batchSize", "embeddingDim", "crossLayers"})
#: Trials before others are held against the median, and epochs before one is.
_STARTUP_TRIALS: Final = 4
_WARMUP_EPOCHS: Final = 1
GiveUp = Callable[[State], bool]
#: Trains a job with its checkpoints in a folder; asks after every epoch whether to give up.
Train = Callable[[Job, Callable[[Progress], None], GiveUp, Checkpoints], State]


@dataclass(frozen=True)
class _Asked:
    """A trial as all processes know it."""

    number: int
    parameters: dict[str, float]


def search(job: Job, train: Train, report: Callable[[Progress], None]) -> None:
    """Try parameters as `job.training.search` says; leaves `search.json` and the best trial's checkpoints.

    Every process of the group calls it.
    """
    wanted = job.training.search
    if wanted is None:
        raise ValueError("no search was asked for")
    folder = Path(job.checkpoints)
    study = _Study(folder, job, wanted) if dist.get_rank() == 0 else None
    while (asked := _shared(study.ask if study else None)) is not None:
        trial = with_parameters(job, asked.number, asked.parameters)
        give_up = study.falls_behind if study else _never
        tell = _scaled(report, asked.number, wanted)
        state = _tried(train, trial, tell, give_up)
        if study is not None:
            study.tell(state)
        # Only what is best so far is needed later, and process 0 knows.
        dist.barrier()
    if study is not None:
        study.write(folder / SEARCH)
    dist.barrier()


def _tried(train: Train, trial: Job, tell: Callable[[Progress], None], give_up: GiveUp) -> State | None:
    """Return how a trial ended, None if its loss became infinite: in every process, since they share it."""
    try:
        return train(trial, tell, give_up, Checkpoints(Path(trial.checkpoints)))
    except DivergedError:
        return None


class _Study:
    """The search as process 0 leads it."""

    def __init__(self, folder: Path, job: Job, wanted: Search) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._folder, self._job, self._wanted = folder, job, wanted
        storage = JournalStorage(JournalFileBackend(str(folder / _JOURNAL)))
        self._study = optuna.create_study(
            storage=storage,
            study_name=job.made_from,
            direction="maximize",
            load_if_exists=True,
            pruner=MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=_WARMUP_EPOCHS),
        )
        if not self._study.get_trials(deepcopy=False):
            self._begin()
        self._trial: Trial | None = None

    def ask(self) -> _Asked | None:
        """Return the next trial, the one that was under way first; None when all are done."""
        under_way = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        ended = sum(t.state.is_finished() for t in self._study.get_trials(deepcopy=False))
        if not under_way and ended >= self._wanted.trials:
            return None
        number = under_way[0].number if under_way else ended
        self._study.sampler = TPESampler(seed=self._job.training.seed * 1_000_003 + number)
        if under_way:
            # Optuna has no public way to a trial that another process has begun.
            self._trial = Trial(self._study, under_way[0]._trial_id)  # pyright: ignore[reportPrivateUsage]
        else:
            self._trial = self._study.ask()
        found = {p.name: _suggested(self._trial, p) for p in self._wanted.space}
        return _Asked(self._trial.number, found)

    def falls_behind(self, state: State) -> bool:
        """Return whether the trial is worse than the median of those before at its epoch."""
        if self._trial is None:
            return False
        self._trial.report(state.curve[state.best - 1]["validation_auc"], state.epoch)
        return not state.finished and self._trial.should_prune()

    def tell(self, state: State | None) -> None:
        """Note how a trial has ended, None if it diverged, and drop the weights of all but the best."""
        if self._trial is None:
            raise ValueError("no trial is under way")
        self._trial.set_user_attr("epochs", state.epoch if state else 0)
        if state is None:
            self._study.tell(self._trial, state=TrialState.FAIL)
        elif state.finished:
            self._study.tell(self._trial, state.curve[state.best - 1]["validation_auc"])
        else:
            self._study.tell(self._trial, state=TrialState.PRUNED)
        best = self._best()
        for trial in self._study.get_trials(deepcopy=False):
            if best is None or trial.number != best.number:
                shutil.rmtree(folder_of(self._folder, trial.number), ignore_errors=True)

    def write(self, path: Path) -> None:
        """Write what was found.

        Raises:
            DivergedError: no trial came to an end.
        """
        trials, best = self._study.get_trials(deepcopy=False), self._best()
        if best is None:
            raise DivergedError
        result = SearchResult(
            metric=self._wanted.metric,
            best=best.number,
            parameters=_numbers(best.params),
            trials=[_result(t) for t in trials if t.state.is_finished()],
        )
        with appearing(path) as temporary:
            temporary.write_text(result.model_dump_json(by_alias=True, indent=2))

    def _best(self) -> FrozenTrial | None:
        """Return the best trial, the first of equals; None while none has come to an end."""
        done = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return max(done, key=lambda t: (t.value or 0.0, -t.number), default=None)

    def _begin(self) -> None:
        """Have the spec's own parameters tried first, if they are in the space: a search cannot lose then."""
        own = self._job.model.document() | self._job.training.document()
        given = {p.name: own[p.name] for p in self._wanted.space}
        if all(_holds(p, given[p.name]) for p in self._wanted.space):
            self._study.enqueue_trial(given)


def _suggested(trial: Trial, p: SearchParameter) -> float:
    if p.choices is not None:
        return float(trial.suggest_categorical(p.name, p.choices))
    low, high = p.low or 0.0, p.high or 0.0
    if p.name in _WHOLE:
        return float(trial.suggest_int(p.name, int(low), int(high), log=p.log))
    return trial.suggest_float(p.name, low, high, log=p.log)


def _holds(p: SearchParameter, value: float) -> bool:
    return value in p.choices if p.choices is not None else (p.low or 0.0) <= value <= (p.high or 0.0)


def _shared(ask: Callable[[], _Asked | None] | None) -> _Asked | None:
    """Return in all processes what process 0 asks."""
    found: list[Any] = [ask() if ask else None]
    dist.broadcast_object_list(found, 0)
    return found[0]


def _scaled(report: Callable[[Progress], None], number: int, wanted: Search) -> Callable[[Progress], None]:
    """Return how progress of a trial is told: as that of the whole search, every trial of equal length."""

    def told(progress: Progress) -> None:
        share = progress.done / progress.total if progress.total else 0.0
        size = progress.total
        percent = round(100 * (number + share) / wanted.trials, 1)
        numbers = progress.metrics | {"trial": float(number + 1), "percent": percent}
        whole = {"total": size * wanted.trials, "done": size * number + progress.done, "metrics": numbers}
        report(progress.model_copy(update=whole))

    return told


def _never(_: State) -> bool:
    return False


def _numbers(parameters: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in parameters.items()}


def _result(trial: FrozenTrial) -> TrialResult:
    return TrialResult(
        number=trial.number,
        parameters=_numbers(trial.params),
        value=max(trial.intermediate_values.values(), default=None),
        epochs=int(trial.user_attrs.get("epochs", 0)),
        pruned=trial.state == TrialState.PRUNED,
    )
