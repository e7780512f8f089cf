"""From encoded media to what an engine wants of them: decoded and processed, beside the model.

A processor of transformers is Python for the most part and holds Python's lock, so threads that prepare slow
each other and the model. `Processes` do it at a low priority: what the model leaves of the CPUs is
theirs. `Threads` serve engines that wait for a server.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Final, Protocol

from fathom import cpus
from fathom.captioning import beside, media
from fathom.captioning.beside import Opener
from fathom.captioning.engines import Engine, Prepared, Question, UnansweredError
from fathom.captioning.media.unusable import UnusableMediaError
from fathom_api.tasks import AnySource

Outcome = Prepared | UnansweredError
#: Decoded pictures are large, and only so many are made at once.
_MOST: Final = 16
#: The model goes before what is prepared ahead; at 19 the load of others would leave it nothing to do.
_NICENESS: Final = 10


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
        return beside.started(processes, self._opened, niceness=_NICENESS)

    def _forget(self, executor: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._executor is executor:
                self._executor = None


# ----- in a process that prepares


def _work(found: media.Media, source: AnySource, questions: Sequence[Question]) -> bytes:
    outcomes = prepare_here(beside.engine(), found, source, questions)
    return pickle.dumps([_changed(outcome, beside.as_arrays) for outcome in outcomes], protocol=5)


def _received(data: bytes) -> list[Outcome]:
    return [_changed(outcome, beside.as_tensors) for outcome in pickle.loads(data)]  # noqa: S301 - our own


def _changed(outcome: Outcome, change: Callable[[Prepared], Prepared]) -> Outcome:
    return change(outcome) if isinstance(outcome, Prepared) else outcome
