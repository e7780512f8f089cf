"""How training processes end is told as what can be done about it."""

import signal
from pathlib import Path

import pytest
import torch
from builders.worlds import train_task

from fathom.errors import InvalidInputError
from fathom.ranking import command, launch
from fathom.ranking.launch import TrainingProcessError
from fathom.ranking.training import DivergedError, Trainer

from .conftest import Train


@pytest.mark.parametrize(
    ("code", "error", "complaint"),
    [
        pytest.param(1, TrainingProcessError, "another try goes on", id="bad luck is worth another try"),
        pytest.param(65, InvalidInputError, "lower training.learningRate", id="divergence is not"),
    ],
)
def test_failures(
    code: int, error: type[Exception], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").write_text(str(code))
    monkeypatch.setattr(launch, "WORKER", "builders.exiting_worker")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(error, match=complaint):
        launch.launch(tmp_path, 1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_more_processes_than_gpus_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidInputError, match=r"2 processes, but 1 GPUs: lower training.processesPerNode"):
        launch.launch(tmp_path, 2)


def test_a_loss_that_is_no_number_ends_training(
    world: Path, train_here: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "_step", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(DivergedError):
        train_here(train_task(world, tmp_path))
    assert not list((tmp_path / command.CHECKPOINTS).iterdir())
