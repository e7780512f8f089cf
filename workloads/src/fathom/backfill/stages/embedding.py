"""Embedding items: pictures or texts in, vectors out, a batch at a time, no faster than asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from PIL.Image import Image

from fathom.backfill.stages.folders import Floats
from fathom.backfill.stages.items import Seen

#: Items embedded at once; between two batches a pod that is told to go goes.
BATCH: Final = 16
#: A pace is kept over so many seconds; what was missed before is not made up for.
_BURST_SECONDS: Final = 1.0


class Encoder(Protocol):
    """A model that embeds pictures, texts, or both."""

    @property
    def digest(self) -> str:
        """`sha256:` of what it computes with."""
        ...

    @property
    def dim(self) -> int:
        """Components of a vector."""
        ...

    def pictures(self, pictures: list[Image]) -> Floats:
        """Return float32 [n, dim], of unit length.

        Raises:
            InvalidInputError: it embeds no pictures.
        """
        ...

    def texts(self, texts: list[str]) -> Floats:
        """Return float32 [n, dim], of unit length.

        Raises:
            InvalidInputError: it embeds no texts.
        """
        ...


@dataclass
class Pace:
    """Lets at most `per_second` items through, all in all; as many as come where it is None."""

    per_second: float | None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _due: float = field(default=float("-inf"), init=False)

    def wait(self, items: int) -> None:
        """Wait until `items` more may go on."""
        if self.per_second is None:
            return
        now = self.clock()
        # The due time of the next item never lies so far back that a burst would follow.
        self._due = max(self._due, now - _BURST_SECONDS)
        if self._due > now:
            self.sleep(self._due - now)
        self._due += items / self.per_second


@dataclass(frozen=True)
class Embedded:
    """Items with their vectors, float32 [n, dim], and those that have none."""

    seen: list[Seen]
    vectors: Floats
    unusable: list[Seen]


def embed(
    encoder: Encoder,
    items: Iterable[Seen],
    *,
    pace: Pace | None = None,
    check: Callable[[], None] | None = None,
) -> Iterator[Embedded]:
    """Yield `items` embedded, a batch at a time; `check` is called between batches and may end it all."""
    for batch in _batches(items):
        if check is not None:
            check()
        if pace is not None:
            pace.wait(len(batch))
        usable = [item for item in batch if item.content is not None]
        vectors = _vectors(encoder, [item.content for item in usable])
        yield Embedded(usable, vectors, [item for item in batch if item.content is None])


def together(parts: Iterable[Embedded], dim: int) -> Embedded:
    """Return several batches as one."""
    found = list(parts)
    vectors = [part.vectors for part in found if len(part.vectors)]
    return Embedded(
        [item for part in found for item in part.seen],
        np.concatenate(vectors) if vectors else np.zeros((0, dim), np.float32),
        [item for part in found for item in part.unusable],
    )


def _vectors(encoder: Encoder, contents: Sequence[Image | str | None]) -> Floats:
    """Return the vectors of pictures or of texts: the items of one gallery are all of one sort."""
    texts = [content for content in contents if isinstance(content, str)]
    if texts:
        return encoder.texts(texts)
    pictures = [content for content in contents if isinstance(content, Image)]
    return encoder.pictures(pictures) if pictures else np.zeros((0, encoder.dim), np.float32)


def _batches(items: Iterable[Seen]) -> Iterator[list[Seen]]:
    batch: list[Seen] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
