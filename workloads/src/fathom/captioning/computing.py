"""How a process that runs a model uses its machine."""

from __future__ import annotations

import torch

from fathom import cpus, memory


def settle() -> None:
    """Take no more threads than CPUs, keep memory that is freed, and begin from one seed."""
    memory.keep_freed()
    torch.manual_seed(0)
    # torch counts the node's cores; threads beyond the container's share only wait for each other.
    torch.set_num_threads(min(torch.get_num_threads(), cpus.available()))
