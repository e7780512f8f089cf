"""A world and a ranker trained on it, once for all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from builders.worlds import make_world, train_task

from fathom.ranking import command, inputs
from fathom.ranking.checkpoint import Checkpoints
from fathom.ranking.training import Trainer
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import TrainTask

Train = Callable[[TrainTask], Outcome]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def trained(world: Path) -> tuple[Path, Outcome]:
    """A bundle of the world, trained under torchrun, and what training said of it."""
    folder = world / "trained"
    return folder, command.train(train_task(world, folder))


@pytest.fixture
def train_here(monkeypatch: pytest.MonkeyPatch) -> Train:
    """`fathom train` with its one training process in this one: seconds faster than a process of its own."""

    def launch(folder: Path, processes: int) -> None:
        assert processes == 1
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        try:
            job, arrays = inputs.read(folder, torch.device("cpu"))
            Trainer(job, arrays, torch.device("cpu"), said.append).run(Checkpoints(Path(job.checkpoints)))
        finally:
            dist.destroy_process_group()

    said: list[Progress] = []
    monkeypatch.setattr(command, "launch", launch)
    return command.train
