"""What engines have in common: answering a list of questions, halving a batch, noticing that all fails."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

from fathom.captioning.engines import Engine, Prepared, Question, Result, UnansweredError


def answer_all(engine: Engine, questions: Sequence[Question]) -> list[Result]:
    """Return the answers to `questions`, in their order; `engine` gets them in batches of one group."""
    results: dict[int, Result] = {}
    groups: defaultdict[Hashable, list[tuple[int, Prepared]]] = defaultdict(list)
    for place, question in enumerate(questions):
        try:
            prepared = engine.prepare(question)
            groups[prepared.group].append((place, prepared))
        except UnansweredError as error:
            results[place] = error
    batches = [
        members[start : start + engine.batch_size(group)]
        for group, members in groups.items()
        for start in range(0, len(members), engine.batch_size(group))
    ]
    with ThreadPoolExecutor(engine.concurrency) as pool:
        answers = pool.map(engine.generate, [[prepared for _, prepared in batch] for batch in batches])
        for batch, said in zip(batches, answers, strict=True):
            results.update(zip((place for place, _ in batch), said, strict=True))
    return [results[place] for place in range(len(questions))]


def halving(
    batch: Sequence[Prepared],
    attempt: Callable[[Sequence[Prepared]], list[Result]],
    refusal: Callable[[Exception, int], UnansweredError | None],
) -> list[Result]:
    """Return what `attempt` says of `batch`; one that fails is halved until the question at fault is alone.

    `refusal` makes an exception, of a batch of some size, the error of a question; None lets it through.
    """
    try:
        return attempt(batch)
    except Exception as error:
        refused = refusal(error, len(batch))
        if refused is None:
            raise
    if len(batch) == 1:
        return [refused]
    middle = len(batch) // 2
    return [part for half in (batch[:middle], batch[middle:]) for part in halving(half, attempt, refusal)]


class Streak:
    """Counts questions that failed one after the other: one bad item is its own, `limit` in a row are not."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._failed = 0
        self.ever_succeeded = False

    def succeeded(self) -> None:
        """Note that a question was answered."""
        with self._lock:
            self._failed = 0
            self.ever_succeeded = True

    def failed(self) -> bool:
        """Note a failure; return whether it is one too many."""
        with self._lock:
            self._failed += 1
            return self._failed >= self._limit
