"""An engine that is opened for its first question.

Most shards of a catalogue that has grown a little ask nothing: they need to know which model would answer,
and opening transformers takes longer than all else they do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence

from fathom.captioning.beside import Opener
from fathom.captioning.engines import Engine, Prepared, Question, Result
from fathom.captioning.preparing import Preparer, Processes


class LateEngine:
    """Says what decides an engine's answers, and opens it when there is something to answer."""

    def __init__(
        self,
        digest: str,
        decoding: str,
        concurrency: int,
        opened: Callable[[], Engine],
        opened_elsewhere: Opener,
    ) -> None:
        """Take what the engine will say of itself, and how it is opened, here and elsewhere."""
        self.digest = digest
        self.decoding = decoding
        self.concurrency = concurrency
        self._opened = opened
        self._preparer = Processes(opened_elsewhere, meanwhile=self._engine)
        self._lock = threading.Lock()
        self._found: Engine | None = None

    def clean(self, text: str) -> str:
        """Return `text` without markup."""
        return self._engine().clean(text)

    def prepare(self, question: Question) -> Prepared:
        """Do what can be done before it is this question's turn."""
        return self._engine().prepare(question)

    def preparer(self) -> Preparer:
        """Return processes; the engine is opened here while they start."""
        return self._preparer

    def batch_size(self, group: Hashable) -> int:
        """Return how many questions of `group` are best answered at once."""
        return self._engine().batch_size(group)

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        """Answer questions of one group, in their order."""
        return self._engine().generate(batch)

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        """Prepare and answer any questions, in their order."""
        return self._engine().answer(questions)

    def _engine(self) -> Engine:
        with self._lock:
            if self._found is None:
                self._found = self._opened()
            return self._found
