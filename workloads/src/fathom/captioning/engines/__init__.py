"""Engines: what answers questions about media, in the pod or at a server, behind one interface."""

from __future__ import annotations

import os
import shutil
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fathom.errors import InvalidInputError
from fathom_api.captioning import CaptionModel

if TYPE_CHECKING:
    from fathom.captioning.media import Clip
    from fathom.captioning.models.identity import Checkpoint
    from fathom.captioning.preparing import Preparer

Finish = Literal["Stop", "Length"]


@dataclass(frozen=True)
class Question:
    """What is asked about one item's media.

    `prompt` holds the item's texts already; `varies` says that it does, so that other prompts of the same
    aspect are longer or shorter. `seed` is that of its samples, of 31 bits.
    """

    aspect: str
    prompt: str
    clip: Clip
    max_new_tokens: int
    json_schema: dict[str, Any] | None = None
    varies: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Answer:
    """What the model said, how many tokens that took, why it ended, and its share of the batch's time.

    `samples` is what it said when it was asked to draw, None where it was not.
    """

    text: str
    tokens: int
    finish: Finish
    milliseconds: float
    samples: tuple[str, ...] | None = None


def one_line(text: str) -> str:
    """Return what a model said as captions hold it: without line breaks, and nothing around it."""
    return " ".join(text.split())


class UnansweredError(Exception):
    """This question got no answer; `reason` is CamelCase, the message a sentence.

    `transient` trouble belongs to a server, not to the item: another run may ask again.
    """

    def __init__(self, reason: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.transient = transient

    def __reduce__(self) -> tuple[object, ...]:
        # Questions are prepared in other processes too; pickle would drop what is only given by name.
        return _again, (self.reason, str(self), self.transient)


def _again(reason: str, message: str, transient: bool) -> UnansweredError:
    return UnansweredError(reason, message, transient=transient)


@dataclass(frozen=True)
class Prepared:
    """A question as its engine wants it, its pictures processed; those of one `group` can be one batch."""

    question: Question
    group: Hashable
    inputs: Any
    nbytes: int


Result = Answer | UnansweredError


class Engine(Protocol):
    """A multimodal LLM: the same question, asked with the same seed, gets the same answer.

    `prepare` and `clean` may be called from several threads, `generate` from `concurrency` of them.
    """

    @property
    def digest(self) -> str:
        """`sha256:` of what answers: weights and revision, or name and version at a server."""
        ...

    @property
    def decoding(self) -> str:
        """Canonical JSON of all that decides the text besides model, question and media."""
        ...

    @property
    def concurrency(self) -> int:
        """Calls of `generate` that may be under way at once."""
        ...

    def clean(self, text: str) -> str:
        """Return `text`, which may be hostile, without anything the model would take for markup."""
        ...

    def prepare(self, question: Question) -> Prepared:
        """Do what can be done before it is this question's turn.

        Raises:
            UnansweredError: the model cannot take this question or its media.
            InvalidInputError: the model can take none like it.
        """
        ...

    def preparer(self) -> Preparer | None:
        """Return what prepares questions better than threads that call `prepare`, None if nothing does."""
        ...

    def batch_size(self, group: Hashable) -> int:
        """Return how many questions of `group` are best answered at once."""
        ...

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        """Answer questions of one group, in their order.

        Raises:
            InvalidInputError: the model cannot be opened or asked, whatever the question.
        """
        ...

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        """Prepare and answer any questions, in their order."""
        ...


def open_engine(model: CaptionModel) -> Engine:
    """Return the engine that `model` asks for. Weights are read when the first question is answered.

    Raises:
        InvalidInputError: there is no such model, or the image cannot run it.
    """
    from fathom.captioning.engines import structured

    for asked in model.questions():
        structured.check_schema(asked.name, asked.json_schema)
    if model.engine == "OpenAI":
        from fathom.captioning.engines.openai_engine import OpenAIEngine

        return OpenAIEngine.of(model)
    if model.engine == "VLLM":
        from fathom.captioning.engines.vllm_engine import VllmEngine

        return VllmEngine.of(model)
    return _transformers(model)


def _transformers(model: CaptionModel) -> Engine:
    from fathom.captioning.engines import recipe, replicas
    from fathom.captioning.engines.late import LateEngine
    from fathom.captioning.models import finding

    compilers = (os.environ.get("CXX", ""), "g++", "c++", "clang++")
    if model.compile and not any(shutil.which(name) for name in compilers):
        raise InvalidInputError(
            "NoCompiler", "model.compile: this image has no C++ compiler; use one that has, or unset it"
        )
    found = finding.find(model)
    gpu = recipe.has_gpu()
    count = 1 if gpu else replicas.count(model, found)

    def opened() -> Engine:
        from fathom.captioning import computing
        from fathom.captioning.engines.replicated_engine import ReplicatedEngine
        from fathom.captioning.engines.transformers_engine import TransformersEngine

        computing.settle()
        engine = TransformersEngine.of(model, found)
        return engine if count == 1 else ReplicatedEngine(engine, model, found, count)

    return LateEngine(
        found.digest,
        recipe.decoding(model, gpu=gpu),
        count,
        opened,
        partial(_opened_elsewhere, model, found),
    )


def _opened_elsewhere(model: CaptionModel, found: Checkpoint) -> Engine:
    """Return the engine of another process, which prepares and opens no weights."""
    from fathom.captioning.engines.transformers_engine import TransformersEngine

    return TransformersEngine.of(model, found)
