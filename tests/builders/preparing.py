"""An engine that prepares in other processes, and dies of what it is told to."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from builders.pictures import png
from fathom.captioning.engines import Prepared, Question, Result, UnansweredError
from fathom.captioning.media import Clip, Media
from fathom.captioning.preparing import Processes
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnySource


class Fragile:
    """Prepares a picture's width; its prompt may be a kind of trouble."""

    digest = "sha256:fragile"
    decoding = "none"
    concurrency = 1

    def clean(self, text: str) -> str:
        """Leave texts as they are."""
        return text

    def preparer(self) -> None:
        """Say that nothing prepares better."""

    def prepare(self, question: Question) -> Prepared:
        """Return the width of the picture and the process that saw it, or have the trouble."""
        trouble, _, place = question.prompt.partition(" ")
        if trouble == "die" or (trouble == "die-once" and _first_time(Path(place))):
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "refuse":
            raise UnansweredError("Refused", "not this one", transient=True)
        if trouble == "wrong":
            raise InvalidInputError("WrongModel", "takes no pictures")
        seen = torch.tensor([question.clip.frames[0].width, os.getpid(), os.nice(0)])
        return Prepared(question, "all", (1, {"seen": seen}), nbytes=seen.nbytes)

    def batch_size(self, group: Hashable) -> int:
        """Return 1."""
        return 1

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        """Answer nothing."""
        raise NotImplementedError

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        """Answer nothing."""
        raise NotImplementedError


def opened_and_told(folder: Path) -> Fragile:
    """Return an engine, and leave a file for each time that one was opened."""
    (folder / uuid.uuid4().hex).touch()
    return Fragile()


def prepare_one() -> None:
    """Prepare a picture in a process beside this one."""
    source = AnySource.model_validate({"uri": "items.parquet"})
    question = Question("caption", "a", Clip((), ()), 6)
    Processes(Fragile).prepare(Media(png("red", (31, 9)), "0"), source, [question])


def _first_time(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
