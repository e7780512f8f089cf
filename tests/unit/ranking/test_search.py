"""A search tries parameters, keeps what is best on the validation split, and goes on where it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from builders.worlds import train_task

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.ranking import bundle, command, trials
from fathom.ranking.checkpoint import Checkpoints, State
from fathom.ranking.figures import SEARCH, SearchResult
from fathom.ranking.training import DivergedError, Trainer
from fathom_api.progress import Outcome
from fathom_api.tasks import TrainTask

from .conftest import Train

SPACE = [
    {"name": "learningRate", "low": 0.001, "high": 0.1, "log": True},
    {"name": "embeddingDim", "choices": [2, 4, 8]},
]


def searching(world: Path, output: Path, *, count: int = 4, **changes: Any) -> TrainTask:
    search = {"trials": count, "space": SPACE} | changes
    return train_task(world, output, captions=False, training={"epochs": 2, "search": search})


def found_in(folder: Path) -> SearchResult:
    result = trials.read(folder)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def searched(world: Path, train_here: Train) -> tuple[Path, Outcome]:
    folder = world / "searched"
    return folder, train_here(searching(world, folder))


class TestWhatIsFound:
    """By four trials."""

    def test_it_is_sealed_with_the_bundle(self, searched: tuple[Path, Outcome]) -> None:
        folder, _ = searched
        assert SEARCH in manifest.verify(folder).files
        assert [trial.number for trial in found_in(folder).trials] == [0, 1, 2, 3]

    def test_the_specs_own_parameters_are_tried_first(self, searched: tuple[Path, Outcome]) -> None:
        first = found_in(searched[0]).trials[0]
        assert first.parameters == {"learningRate": 0.03, "embeddingDim": 4}

    def test_the_best_on_the_validation_split_is_the_model(self, searched: tuple[Path, Outcome]) -> None:
        folder, _ = searched
        found, info = found_in(folder), bundle.read_info(folder)
        best = found.trials[found.best]
        assert best.value == max(trial.value for trial in found.trials if trial.value is not None)
        assert info.metrics["validation_auc"] == best.value
        assert found.parameters == best.parameters
        chosen = (info.training.learning_rate, info.model.embedding_dim)
        assert chosen == (best.parameters["learningRate"], best.parameters["embeddingDim"])

    def test_the_outcome_tells_what_was_chosen(self, searched: tuple[Path, Outcome]) -> None:
        folder, outcome = searched
        told = {k: v for k, v in outcome.progress.metrics.items() if k.startswith("chosen.")}
        assert told == {f"chosen.{name}": value for name, value in found_in(folder).parameters.items()}

    def test_no_trial_leaves_anything_but_the_bundle(self, searched: tuple[Path, Outcome]) -> None:
        assert not (searched[0] / command.CHECKPOINTS).exists()


def test_a_search_that_is_interrupted_tries_what_it_would_have_tried(
    world: Path,
    searched: tuple[Path, Outcome],
    train_here: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the third trial, between its first epoch and the next."""
    task, run = searching(world, tmp_path / "model"), Trainer.run
    begun: list[Path] = []

    def stops(trainer: Trainer, checkpoints: Checkpoints) -> State:
        begun.append(Path(trainer.job.checkpoints))
        if len(begun) == 3:
            trainer.give_up = _power_cut
        return run(trainer, checkpoints)

    monkeypatch.setattr(Trainer, "run", stops)
    with pytest.raises(KeyboardInterrupt):
        train_here(task)
    state = begun[-1] / "state.json"
    assert State.model_validate_json(state.read_bytes()).epoch == 1

    monkeypatch.setattr(Trainer, "run", run)
    train_here(task)

    again, straight = found_in(tmp_path / "model"), found_in(searched[0])
    assert again == straight


def _power_cut(_: State) -> bool:
    raise KeyboardInterrupt


def test_a_trial_that_diverges_is_not_the_model_and_does_not_end_the_search(
    world: Path, train_here: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Trainer.run

    def diverges(trainer: Trainer, checkpoints: Checkpoints) -> State:
        if "trial-00000" in trainer.job.checkpoints:
            raise DivergedError
        return run(trainer, checkpoints)

    monkeypatch.setattr(Trainer, "run", diverges)
    train_here(searching(world, tmp_path / "model", count=2))
    found = found_in(tmp_path / "model")
    assert (found.best, found.trials[0].value) == (1, None)


def test_a_trial_behind_the_median_of_those_before_is_stopped(
    world: Path, train_here: Train, tmp_path: Path
) -> None:
    """A learning rate of nothing learns nothing; enough trials have been seen to say so."""
    space = [{"name": "learningRate", "choices": [0.01, 0.02, 0.03, 1e-9]}]
    task = searching(world, tmp_path / "model", count=8, space=space)
    training = task.training.model_copy(update={"epochs": 4})
    train_here(task.model_copy(update={"training": training}))
    tried = found_in(tmp_path / "model").trials
    for trial in tried:
        assert (trial.epochs < 4) == trial.pruned
    assert any(trial.pruned for trial in tried)
    assert not tried[found_in(tmp_path / "model").best].pruned


def test_bounds_that_no_field_takes_are_refused_before_anything_is_trained(
    world: Path, train_here: Train, tmp_path: Path
) -> None:
    space = [{"name": "embeddingDim", "low": 1, "high": 8}]
    with pytest.raises(InvalidInputError, match="embeddingDim cannot be 1: Input should be greater"):
        train_here(searching(world, tmp_path, space=space))


def test_another_search_is_another_model(
    world: Path, searched: tuple[Path, Outcome], train_here: Train, tmp_path: Path
) -> None:
    shutil.copytree(searched[0], tmp_path / "model")
    train_here(searching(world, tmp_path / "model", count=1))
    assert len(found_in(tmp_path / "model").trials) == 1
