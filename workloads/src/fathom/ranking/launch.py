"""Starting the training processes with torchrun."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.run import parse_args, run

from fathom.errors import InvalidInputError
from fathom.ranking.nodes import nodes
from fathom_api.meta import ExitCode

#: Module of the training process.
WORKER = "fathom.ranking.worker"


class TrainingProcessError(Exception):
    """A training process died; trying again goes on from the last checkpoint."""


def launch(folder: Path, processes: int) -> None:
    """Train the job in `folder` with `processes` processes on this node, and wait for them.

    Other nodes (see nodes.py) do the same; where one of them is lost, its processes and ours start again from
    the last checkpoint as soon as it is back.

    torchrun's agent runs in this process: a second interpreter with torch in it would cost seconds.

    Raises:
        InvalidInputError: there are fewer GPUs than processes, or training diverges.
        TrainingProcessError: one of them failed, or the nodes have not met.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < processes:
        raise InvalidInputError(
            "TooFewGPUs",
            f"{processes} processes, but {torch.cuda.device_count()} GPUs: lower training.processesPerNode, "
            "or ask for as many GPUs in training.template.resources",
        )
    # One thread a process: enough for a ranker, and results do not depend on the machine's cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # With torch 2.13 a survivor that stays rank 0 tells its address in the first round only, if the store is
    # shared; who joins later waits for it in vain (DynamicRendezvousHandler.next_rendezvous).
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    group = nodes()
    arguments = [*group.torchrun(), f"--nproc-per-node={processes}", "--module", WORKER, str(folder)]
    try:
        with _own_signal_handlers():
            group.wait_for_host()
            run(parse_args(arguments))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == ExitCode.INVALID:
            raise InvalidInputError(
                "Diverged", "the loss is not finite any more: lower training.learningRate"
            ) from error
        raise TrainingProcessError(
            f"training process {rank} ended with {failure.exitcode}; its log says why; "
            "another try goes on from the last checkpoint"
        ) from error
    except (RendezvousError, DistError, OSError) as error:
        raise TrainingProcessError(
            f"the nodes did not meet, or lost node 0: {error}; another try goes on from the last checkpoint"
        ) from error


@contextmanager
def _own_signal_handlers() -> Generator[None]:
    """Put our signal handlers back in the end: torchrun's agent leaves its own behind."""
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
