"""Pairs of media and captions to learn from."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
from dataclasses import dataclass

from PIL.Image import Image

from fathom.captioning import media
from fathom.captioning.sources import open_source
from fathom.errors import InvalidInputError
from fathom_api.captioning import FineTune
from fathom_api.tasks import AnySource

_log = logging.getLogger("fathom")


@dataclass(frozen=True, slots=True)
class Pair:
    """A caption and where its picture lies in the spool."""

    caption: str
    sha256: str
    offset: int
    length: int


class Pairs:
    """All usable pairs; the encoded pictures lie in a temporary file, not in memory."""

    def __init__(self, fine_tune: FineTune) -> None:
        """Read every pair and decode its picture once, so that none fails in the midst of training.

        Raises:
            InvalidInputError: the table cannot be read, lacks a column, or has no usable pair.
        """
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the pairs
        self._size = 0
        self.all: list[Pair] = []
        self.unusable = 0
        self._source = _source(fine_tune)
        for item in open_source(self._source).items(0, sys.maxsize):
            try:
                self._take(item.media, item.texts.get(fine_tune.caption_column))
            except media.UnusableMediaError as error:
                self.unusable += 1
                _log.warning("%s, row %d is left out: %s", fine_tune.uri, item.row, error)
        if not self.all:
            raise InvalidInputError("NoPairs", f"{fine_tune.uri}: none of {self.unusable} pairs can be used")

    @property
    def digest(self) -> str:
        """Return one digest over all pictures and captions, in their order."""
        lines = (f"{pair.sha256}\0{pair.caption}\n" for pair in self.all)
        total = hashlib.sha256()
        for line in lines:
            total.update(line.encode())
        return f"sha256:{total.hexdigest()}"

    def image(self, pair: Pair) -> Image:
        """Return the picture of `pair`."""
        data = os.pread(self._spool.fileno(), pair.length, pair.offset)
        return media.decode(media.Media(data, pair.sha256), self._source).frames[0]

    def split(self, validation: float, seed: int) -> tuple[list[Pair], list[Pair]]:
        """Return the pairs to learn from and those to measure on; a picture's pairs stay together."""
        held_out = [pair for pair in self.all if _draw(pair, seed) < validation]
        kept = [pair for pair in self.all if _draw(pair, seed) >= validation]
        if not kept:
            raise InvalidInputError(
                "NoPairs", f"all {len(held_out)} pairs fell to validation; lower its share"
            )
        return kept, held_out

    def _take(self, value: object, caption: str | None) -> None:
        if caption is None:
            raise media.UnusableMediaError("NoCaption", "it has no caption")
        found = media.read(value, self._source)
        media.decode(found, self._source)
        self._spool.write(found.data)
        self._spool.flush()
        self.all.append(Pair(caption, found.sha256, self._size, len(found.data)))
        self._size += len(found.data)


def _source(fine_tune: FineTune) -> AnySource:
    caption = fine_tune.caption_column
    return AnySource(
        uri=fine_tune.uri, id_column=caption, media_column=fine_tune.media_column, text_columns=[caption]
    )


def _draw(pair: Pair, seed: int) -> float:
    """Return a number of 0 … 1 that depends on the picture and the seed only."""
    digest = hashlib.blake2b(f"{seed}:{pair.sha256}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
