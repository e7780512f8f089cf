"""A small model in several processes, one on each CPU.

Two threads that share the small matrices of a small model mostly wait for each other: two processes of one
thread each answer more (docs/benchmarks.md). A large model is opened once and has all CPUs to itself.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Hashable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import cast

from fathom.captioning import beside
from fathom.captioning.engines import Prepared, Question, Result
from fathom.captioning.engines.asking import answer_all
from fathom.captioning.engines.sizes import BatchSizes
from fathom.captioning.engines.transformers_engine import LARGEST_ON_CPU, TransformersEngine
from fathom.captioning.models.identity import Checkpoint
from fathom.captioning.preparing import Preparer
from fathom_api.captioning import CaptionModel


@dataclass(frozen=True)
class Said:
    """What a replica says of a batch: answers, how it went, and whether twice as many would find room."""

    results: list[Result]
    seconds: float
    most: int
    roomy: bool


class ReplicatedEngine:
    """Answers as `TransformersEngine` does, as many batches at once as there are replicas."""

    def __init__(
        self, engine: TransformersEngine, model: CaptionModel, found: Checkpoint, count: int
    ) -> None:
        """Take the engine that prepares here, and what `count` processes open when they are first asked."""
        self.concurrency = count
        self.digest = engine.digest
        self.decoding = engine.decoding
        self._engine = engine
        self._executor = beside.started(count, partial(_opened, model, found))
        self._lock = threading.Lock()
        self._roomy = True
        self._sizes = BatchSizes(model.batch_size, largest=LARGEST_ON_CPU, roomy=lambda factor: self._roomy)

    def clean(self, text: str) -> str:
        """Return `text` without what this model's tokenizer takes for markup."""
        return self._engine.clean(text)

    def prepare(self, question: Question) -> Prepared:
        """Return the model's input for `question`."""
        return self._engine.prepare(question)

    def preparer(self) -> Preparer | None:
        """Return processes that prepare."""
        return self._engine.preparer()

    def batch_size(self, group: Hashable) -> int:
        """Return how many of `group` a replica is to answer at once."""
        with self._lock:
            return self._sizes.size(group)

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        """Have a replica answer `batch`, of one group.

        Raises:
            InvalidInputError: transformers cannot open the model.
            RuntimeError: the model fails whatever it is asked, or its process has died.
        """
        sent = pickle.dumps([beside.as_arrays(prepared) for prepared in batch], protocol=5)
        try:
            said = self._executor.submit(_answer, sent, self.concurrency).result()
        except BrokenProcessPool as error:
            raise RuntimeError("a process with the model died, most likely for want of memory") from error
        with self._lock:
            self._note(batch[0].group, len(batch), said)
        return said.results

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        """Prepare and answer any questions, in their order."""
        return answer_all(self, questions)

    def _note(self, group: Hashable, count: int, said: Said) -> None:
        self._roomy = said.roomy
        if said.most < count:
            self._sizes.exhausted(group, count)
        else:
            self._sizes.done(group, count, said.seconds)


def _opened(model: CaptionModel, found: Checkpoint) -> TransformersEngine:
    # Sizes are found here for all replicas together; one of them only says when a batch was too large.
    fixed = model.model_copy(update={"batch_size": model.batch_size or LARGEST_ON_CPU})
    return TransformersEngine.of(fixed, found)


def _answer(sent: bytes, replicas: int) -> Said:
    engine = cast("TransformersEngine", beside.engine())
    batch = [beside.as_tensors(prepared) for prepared in pickle.loads(sent)]  # noqa: S301 - our own
    began = time.perf_counter()
    results = engine.generate(batch)
    seconds = time.perf_counter() - began
    return Said(results, seconds, engine.batch_size(batch[0].group), engine.has_room(2, replicas))
