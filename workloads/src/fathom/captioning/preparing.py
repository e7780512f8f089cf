"""From encoded media to what an engine wants of them: decoded and processed, beside the model.

A processor of transformers is Python for the most part and holds Python's lock, so threads that prepare slow
each other and the model. `Processes` do it at a low priority: what the model leaves of the CPUs is
theirs. `Threads` serve engines that wait for a server.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import ForkServerContext
from typing import Any, Final, Protocol

from fathom import cpus
from fathom.captioning import media
from fathom.captioning.engines import Engine, Prepared, Question, UnansweredError
from fathom.captioning.media.unusable import UnusableMediaError
from fathom_api.tasks import AnySource

Outcome = Prepared | UnansweredError
#: Returns an engine that prepares as the one in this process does; pickled, so a function of a module.
Opener = Callable[[], Engine]

#: Decoded pictures are large, and only so many are made at once.
_MOST: Final = 16
#: The model goes before what is prepared ahead; at 19 the load of others would leave it nothing to do.
_NICENESS: Final = 10
_PRELOADED: Final = "fathom.captioning.engines.transformers_engine"


class Preparer(Protocol):
    """Prepares questions about one item's media; may be called from several threads."""

    def prepare(self, found: media.Media, source: AnySource, questions: Sequence[Question]) -> list[Outcome]:
        """Return `questions`, which have no clip yet, prepared, in their order.

        Raises:
            UnusableMediaError: the media cannot be decoded.
            InvalidInputError: the model can take none like them.
        """
        ...


def at_once() -> int:
    """Return how many items are decoded at once."""
    return min(_MOST, cpus.available())


def prepare_here(
    engine: Engine, found: media.Media, source: AnySource, questions: Sequence[Question]
) -> list[Outcome]:
    """Decode `found` and prepare `questions` about it, in this thread."""
    clip = media.decode(found, source)
    return [_one(engine, replace(question, clip=clip)) for question in questions]


def _one(engine: Engine, question: Question) -> Outcome:
    try:
        return engine.prepare(question)
    except UnansweredError as error:
        return error


class Threads:
    """Prepares in the threads that call it, so many at once as there are CPUs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._places = threading.BoundedSemaphore(at_once())

    def prepare(self, found: media.Media, source: AnySource, questions: Sequence[Question]) -> list[Outcome]:
        """Decode and prepare when there is a place."""
        with self._places:
            return prepare_here(self._engine, found, source, questions)


class Processes:
    """Prepares in processes that end with this one; media that kill a process fail, and nobody else's."""

    def __init__(self, opened: Opener, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Take how a process opens its engine, and what this one has to do while the first of them start."""
        # They are forked from one process that has imported torch: each by itself would take seconds.
        _context().set_forkserver_preload([_PRELOADED])
        self._opened = opened
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._alone = threading.Lock()
        self._executor: ProcessPoolExecutor | None = None

    def prepare(self, found: media.Media, source: AnySource, questions: Sequence[Question]) -> list[Outcome]:
        """Have a process decode and prepare.

        Raises:
            UnusableMediaError: it cannot, or died of it twice, the second time with nothing else to do.
        """
        executor = self._running()
        try:
            job = executor.submit(_work, found, source, questions)
            self._meanwhile()
            return _received(job.result())
        except BrokenProcessPool:
            # Whose media it was nobody knows: each of those under way is tried by itself.
            self._forget(executor)
        with self._alone:
            return self._prepare_alone(found, source, questions)

    def _prepare_alone(
        self, found: media.Media, source: AnySource, questions: Sequence[Question]
    ) -> list[Outcome]:
        with self._started(1) as executor:
            try:
                return _received(executor.submit(_work, found, source, questions).result())
            except BrokenProcessPool as error:
                raise UnusableMediaError(
                    "DecoderDied",
                    "the process that decoded it died of it, twice: damaged, or made to do harm",
                ) from error

    def _running(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = self._started(at_once())
            return self._executor

    def _started(self, processes: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(processes, _context(), _begin, (self._opened,))

    def _forget(self, executor: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._executor is executor:
                self._executor = None


def _context() -> ForkServerContext:
    return get_context("forkserver")


# ----- in a process that prepares


class _Here:
    """What this process prepares with; opened for its first job, whose failure is then told."""

    opened: Opener


_here = _Here()


def _begin(opened: Opener) -> None:
    """Yield to all others, leave signals to the process that started us, and end when it does."""
    _here.opened = opened
    os.nice(_NICENESS)
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@cache
def _engine() -> Engine:
    import torch

    from fathom import memory

    memory.keep_freed()
    torch.set_num_threads(1)
    return _here.opened()


def _work(found: media.Media, source: AnySource, questions: Sequence[Question]) -> bytes:
    outcomes = prepare_here(_engine(), found, source, questions)
    # Pickled as arrays: as tensors they would go through shared memory, of which containers have little.
    return pickle.dumps([_with_inputs(o, lambda tensor: tensor.numpy()) for o in outcomes], protocol=5)


def _received(data: bytes) -> list[Outcome]:
    import torch

    return [_with_inputs(outcome, torch.from_numpy) for outcome in pickle.loads(data)]  # noqa: S301 - our own


def _with_inputs(outcome: Outcome, change: Callable[[Any], Any]) -> Outcome:
    if isinstance(outcome, UnansweredError):
        return outcome
    length, inputs = outcome.inputs
    return replace(outcome, inputs=(length, {name: change(value) for name, value in inputs.items()}))
