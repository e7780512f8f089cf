"""Starting the training processes with torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from fathom.errors import InvalidInputError


class TrainingProcessError(Exception):
    """A training process died; trying again goes on from the last checkpoint."""


def launch(folder: Path, processes: int) -> None:
    """Train the job in `folder` with `processes` processes on this machine, and wait for them.

    Raises:
        InvalidInputError: there are fewer GPUs than processes.
        TrainingProcessError: one of them failed.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < processes:
        raise InvalidInputError(
            "TooFewGPUs",
            f"{processes} processes, but {torch.cuda.device_count()} GPUs: lower training.processesPerNode, "
            "or ask for as many GPUs in training.template.resources",
        )
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "--module"]
    # One thread a process: enough for a ranker, and results do not depend on the machine's cores.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    command = [sys.executable, "-m", *torchrun, "fathom.ranking.worker", str(folder)]
    with subprocess.Popen(command, env=environment) as running:
        try:
            code = running.wait()
        except BaseException:
            # torchrun passes it on to the processes it started.
            running.terminate()
            raise
    if code:
        raise TrainingProcessError(
            f"training ended with exit code {code}; its log says why; another try goes on from the last epoch"
        )
