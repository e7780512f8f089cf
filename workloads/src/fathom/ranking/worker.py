"""One training process, started by torchrun: `python -m fathom.ranking.worker FOLDER`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from fathom import memory
from fathom.progress import reporter
from fathom.ranking import inputs
from fathom.ranking.checkpoint import Checkpoints, State
from fathom.ranking.inputs import Inputs, Job
from fathom.ranking.training import DivergedError, Trainer
from fathom_api.meta import ExitCode
from fathom_api.progress import Progress


def main(folder: Path) -> None:
    """Train the job in `folder` together with the other processes of the group."""
    memory.keep_freed()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # The same sums in the same order on every machine, however many cores it has.
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    device = _device()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        job, arrays = inputs.read(folder, device)
        with _reporting() as report:
            work(job, arrays, device, report)
    except DivergedError:
        sys.exit(ExitCode.INVALID)
    finally:
        dist.destroy_process_group()


def work(job: Job, arrays: Inputs, device: torch.device, report: Callable[[Progress], None]) -> None:
    """Train the job, or search for the parameters to train it with.

    Raises:
        DivergedError: the loss is not finite.
    """
    if job.training.search is None:
        Trainer(job, arrays, device, report).run(Checkpoints(Path(job.checkpoints)))
        return
    # Optuna takes a second to load, and most trainings search nothing.
    from fathom.ranking.search import GiveUp, search

    def train(
        trial: Job, tell: Callable[[Progress], None], give_up: GiveUp, checkpoints: Checkpoints
    ) -> State:
        Path(trial.checkpoints).mkdir(exist_ok=True)
        return Trainer(trial, arrays, device, tell, give_up).run(checkpoints)

    search(job, train, report)


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


@contextmanager
def _reporting() -> Generator[Callable[[Progress], None]]:
    """Yield what to tell progress to; only process 0 is listened to."""
    if dist.get_rank():
        yield lambda progress: None
        return
    with reporter() as listener:
        yield listener.update


if __name__ == "__main__":
    main(Path(sys.argv[1]))
