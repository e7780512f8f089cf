"""Pairs of media and captions to learn from."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import tempfile
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from PIL.Image import Image

from fathom.captioning import media
from fathom.captioning.media.unusable import UnusableMediaError
from fathom.captioning.sources import open_source
from fathom.errors import InvalidInputError
from fathom_api.captioning import FineTune
from fathom_api.tasks import AnySource

_log = logging.getLogger("fathom")
#: No caption is so long; a column with something else in it often is.
MAX_CAPTION: Final = 4000
#: Of all pairs, this share may be unusable: more means that something else is wrong.
_MAX_UNUSABLE: Final = 0.5
#: Pairs left out that are named one by one in the log.
_NAMED: Final = 10
#: What sources make of bytes that are no Unicode.
_LOST: Final = re.compile(r"\N{REPLACEMENT CHARACTER}|\\x[89a-f][0-9a-f]|\\ud[89a-f][0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Pair:
    """A caption and the number of its medium, counted from 0 in the order in which they came."""

    caption: str
    medium: int


@dataclass
class _Spool:
    """Byte strings in a temporary file; memory holds where each one ends."""

    ends: array[int] = field(default_factory=lambda: array("Q", [0]))
    # It lives as long as the spool.
    file: Any = field(default_factory=tempfile.TemporaryFile)

    def append(self, data: bytes) -> None:
        self.file.write(data)
        self.ends.append(self.ends[-1] + len(data))

    def __getitem__(self, number: int) -> bytes:
        start, stop = self.ends[number], self.ends[number + 1]
        return os.pread(self.file.fileno(), stop - start, start)


class Pairs:
    """All usable pairs; pictures and captions lie in temporary files, each picture once.

    Memory holds about 150 bytes for a picture and 16 for a pair.
    """

    def __init__(self, fine_tune: FineTune) -> None:
        """Read every pair and decode its picture once, so that none fails in the midst of training.

        Raises:
            InvalidInputError: the table cannot be read or lacks a column, or too few pairs can be used.
            UnusableMediaError: a medium cannot be had at present; another try may go well.
        """
        self._media, self._captions = _Spool(), _Spool()
        self._digests: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._medium_of = array("Q")
        #: Pairs that cannot be used, by reason.
        self.unusable: Counter[str] = Counter()
        self._source = _source(fine_tune)
        for item in open_source(self._source).items(0, sys.maxsize):
            try:
                self._take(item.media, item.texts.get(fine_tune.caption_column))
            except UnusableMediaError as error:
                self._leave_out(error, item.row)
        self._media.file.flush()
        self._captions.file.flush()
        self._check()

    def __len__(self) -> int:
        return len(self._medium_of)

    def __getitem__(self, number: int) -> Pair:
        return Pair(self._captions[number].decode(), self._medium_of[number])

    @property
    def media_count(self) -> int:
        """Return how many different media there are."""
        return len(self._digests)

    @property
    def digest(self) -> str:
        """Return one digest over all pictures and captions, in their order."""
        total = hashlib.sha256()
        for number in range(len(self)):
            pair = self[number]
            total.update(f"{self.sha256(pair.medium)}\0{pair.caption}\n".encode())
        return f"sha256:{total.hexdigest()}"

    def captions(self) -> Iterator[str]:
        """Yield all captions."""
        return (self[number].caption for number in range(len(self)))

    def sha256(self, medium: int) -> str:
        """Return the digest of a medium's bytes, hexadecimal."""
        return self._digests[medium].hex()

    def image(self, medium: int) -> Image:
        """Return the picture of that number."""
        found = media.Media(self._media[medium], self.sha256(medium))
        return media.decode(found, self._source).frames[0]

    def split(self, validation: float, seed: int) -> tuple[Part, Part]:
        """Return the pairs to learn from and those to measure on; a picture's pairs stay together.

        Raises:
            InvalidInputError: nothing is left to learn from.
        """
        held_out = [_draw(digest, seed) < validation for digest in self._digests]
        kept, measured = (
            Part(self, array("Q", (n for n, m in enumerate(self._medium_of) if held_out[m] is side)))
            for side in (False, True)
        )
        if not kept:
            raise InvalidInputError(
                "NoPairs", f"all {len(measured)} pairs fell to validation; lower its share"
            )
        return kept, measured

    def _take(self, value: object, caption: str | None) -> None:
        text = readable(caption)
        self._medium_of.append(self._medium(value))
        self._captions.append(text.encode())

    def _medium(self, value: object) -> int:
        """Return the number of the medium in `value`, which is kept if it is new."""
        found = media.read(value, self._source)
        digest = bytes.fromhex(found.sha256)
        if digest not in self._numbers:
            media.decode(found, self._source)
            self._media.append(found.data)
            self._numbers[digest] = len(self._digests)
            self._digests.append(digest)
        return self._numbers[digest]

    def _leave_out(self, error: UnusableMediaError, row: int) -> None:
        if error.transient:
            # Without it, other pairs would be learned than the task names.
            raise error
        self.unusable[error.reason] += 1
        if self.unusable.total() <= _NAMED:
            _log.warning("%s, row %d is left out: %s", self._source.uri, row, error)

    def _check(self) -> None:
        uri, unusable = self._source.uri, self.unusable.total()
        reasons = ", ".join(f"{reason} ({count})" for reason, count in self.unusable.most_common())
        if not len(self):
            raise InvalidInputError("NoPairs", f"{uri}: none of {unusable} pairs can be used: {reasons}")
        total = len(self) + unusable
        if unusable > total * _MAX_UNUSABLE:
            raise InvalidInputError(
                "TooManyUnusablePairs",
                f"{uri}: {unusable} of {total} pairs cannot be used, more than half: {reasons}; check "
                "mediaColumn and captionColumn, or remove these rows",
            )
        if unusable:
            _log.warning("%s: %d of %d pairs are left out: %s", uri, unusable, total, reasons)


class Part:
    """Some of the pairs, by their numbers."""

    def __init__(self, pairs: Pairs, numbers: array[int]) -> None:
        self._pairs = pairs
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self, places: Iterable[int]) -> list[Pair]:
        """Return the pairs at these places of this part."""
        return [self._pairs[self._numbers[place]] for place in places]

    def batches(self, size: int) -> Iterator[list[Pair]]:
        """Yield all pairs in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.take(range(start, min(start + size, len(self))))

    def by_medium(self) -> dict[int, list[str]]:
        """Return each medium's captions, no caption twice."""
        captions: dict[int, dict[str, None]] = {}
        for batch in self.batches(1024):
            for pair in batch:
                captions.setdefault(pair.medium, {})[pair.caption] = None
        return {medium: list(texts) for medium, texts in captions.items()}


def readable(caption: str | None) -> str:
    """Return the caption as text to learn, composed (NFC).

    Raises:
        UnusableMediaError: it is missing, too long, or was not Unicode; what cannot be read is not learned.
    """
    if caption is None:
        raise UnusableMediaError("NoCaption", "it has no caption")
    if _LOST.search(caption):
        raise UnusableMediaError(
            "UnreadableCaption", "its caption is not Unicode; convert the column to UTF-8"
        )
    if len(caption) > MAX_CAPTION:
        raise UnusableMediaError("CaptionTooLong", f"its caption has more than {MAX_CAPTION:,} characters")
    return unicodedata.normalize("NFC", caption)


def _source(fine_tune: FineTune) -> AnySource:
    caption = fine_tune.caption_column
    return AnySource(
        uri=fine_tune.uri,
        # Pairs need no ids; captions are there and are text.
        id_column=caption,
        media_column=fine_tune.media_column,
        text_columns=[caption],
        # One more than is learned, so that it is seen when there are more.
        max_text_length=MAX_CAPTION + 1,
    )


def _draw(sha256: bytes, seed: int) -> float:
    """Return a number of 0 … 1 that depends on the picture and the seed only."""
    digest = hashlib.blake2b(f"{seed}:{sha256.hex()}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
