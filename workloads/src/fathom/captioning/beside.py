"""Processes beside this one, each with an engine of its own.

They are forked from one process that has imported torch, as each by itself would take seconds; they end
with this one and leave signals to it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import connection, get_context, parent_process
from multiprocessing.util import Finalize
from typing import Any, Final

from fathom.captioning.engines import Engine, Prepared

#: Returns an engine that works as the one in this process does; pickled, so a function of a module.
Opener = Callable[[], Engine]

_PRELOADED: Final = "fathom.captioning.engines.transformers_engine"


def started(processes: int, opened: Opener, *, niceness: int = 0) -> ProcessPoolExecutor:
    """Return processes of one thread of torch's each; they open their engines for their first job."""
    context = get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED])
    executor = ProcessPoolExecutor(processes, context, _begin, (opened, niceness))
    # Else a process of multiprocessing closes the queues (priority 10) and waits for these for ever.
    Finalize(None, executor.shutdown, kwargs={"cancel_futures": True}, exitpriority=100)
    return executor


def as_arrays(prepared: Prepared) -> Prepared:
    """Return `prepared` as it is to be pickled.

    Tensors would go through shared memory, of which containers have little.
    """
    return _with_inputs(prepared, lambda tensor: tensor.numpy())


def as_tensors(prepared: Prepared) -> Prepared:
    """Return `prepared`, which came from another process, as a model takes it."""
    import torch

    return _with_inputs(prepared, torch.from_numpy)


def _with_inputs(prepared: Prepared, change: Callable[[Any], Any]) -> Prepared:
    length, inputs = prepared.inputs
    return replace(prepared, inputs=(length, {name: change(value) for name, value in inputs.items()}))


# ----- in such a process


class _Here:
    """What this process works with; opened for its first job, whose failure is then told."""

    opened: Opener


_here = _Here()


@cache
def engine() -> Engine:
    """Return the engine of this process."""
    import torch

    from fathom import memory

    memory.keep_freed()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return _here.opened()


def _begin(opened: Opener, niceness: int) -> None:
    _here.opened = opened
    os.nice(niceness)
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
