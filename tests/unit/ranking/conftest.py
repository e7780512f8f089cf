"""A world and a ranker trained on it, once for all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from builders.worlds import make_world, train_task

from fathom.ranking import command, inputs, worker
from fathom_api.progress import Outcome
from fathom_api.tasks import TrainTask

Train = Callable[[TrainTask], Outcome]


def work_here(folder: Path, processes: int) -> None:
    """Do what torchrun's one process would do in this one, with one thread as there: seconds faster."""
    assert processes == 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        job, arrays = inputs.read(folder, torch.device("cpu"))
        worker.work(job, arrays, torch.device("cpu"), lambda progress: None)
    finally:
        dist.destroy_process_group()
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def train_here() -> Train:
    """`fathom train`, its one training process being this one."""

    def train(task: TrainTask) -> Outcome:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(command, "launch", work_here)
            return command.train(task)

    return train


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def trained(world: Path, train_here: Train) -> tuple[Path, Outcome]:
    """A bundle of the world, and what training said of it."""
    folder = world / "trained"
    return folder, train_here(train_task(world, folder))
