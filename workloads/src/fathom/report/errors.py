"""What failed, by reason: how much, examples, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from fathom.report import columns
from fathom.report.sampling import First
from fathom.report.text import clean, shown_id

_EXAMPLES: Final = 5
#: Reasons are constants of ours; what is beyond so many is not.
_MOST_REASONS: Final = 60
_OTHER: Final = "Other"
_MESSAGE: Final = 300
ADVICE: Final = {
    "NoId": "Give every row an id, or name the column that holds it in source.idColumn.",
    "DuplicateId": "Keep one row of each id; the first one was captioned.",
    "NoMedia": "Fill the media column of these rows, or name another in source.mediaColumn.",
    "MediaNotFound": "Check the paths: they are relative to the table, or absolute in its volume.",
    "MediaTooLarge": "Store smaller files; what is larger than the limit is not read.",
    "OutsideVolume": "Move the files into the source's own volume, or name their origin in source.allowedOrigins.",
    "OriginNotAllowed": "Name the host in source.allowedOrigins, if you trust it.",
    "TooManyPixels": "Store smaller pictures: decoding these would take more memory than they are worth.",
    "NotAnImage": "Look at one of the files: it is often an error page or an empty file saved as a picture.",
    "DamagedImage": "Fetch these files again; they end early or are damaged.",
    "NotAVideo": "Look at one of the files, and check source.mediaType.",
    "DamagedVideo": "Fetch these files again; they end early or are damaged.",
    "VideoTooLong": "Cut the videos, or raise source.video.maxDuration.",
    "OutOfMemory": "Give the pods more memory, or set a smaller model.batchSize.",
    "InvalidAnswer": "Ask for simpler JSON, or raise maxNewTokens: an answer that is cut off is no JSON.",
    "PromptTooLong": "Lower source.maxTextLength: the texts of these items do not fit the model's context.",
}
_ADVICE: Final = "Read the message; once the cause is gone, annotate the job with fathom.dev/retry."


@dataclass(frozen=True)
class Example:
    """An item that failed: about which aspect ("" = all of it) and what was said."""

    item_id: str
    aspect: str
    message: str

    @property
    def name(self) -> str:
        """The id, as it is shown."""
        return shown_id(self.item_id)


@dataclass(frozen=True)
class Reason:
    """Errors of one reason."""

    name: str
    count: int
    examples: list[Example]

    @property
    def advice(self) -> str:
        """What to do."""
        return ADVICE.get(self.name, _ADVICE)


@dataclass(frozen=True)
class Failures:
    """All that failed: by reason the most frequent first, and how many items those are."""

    reasons: list[Reason]
    items: int

    def of(self) -> dict[str, list[tuple[str, Example]]]:
        """Return the errors to show of each item, with their reasons."""
        found: dict[str, list[tuple[str, Example]]] = {}
        for reason in self.reasons:
            for example in reason.examples:
                found.setdefault(example.item_id, []).append((reason.name, example))
        return found


class _Tally:
    def __init__(self) -> None:
        self.count = 0
        self._first = First(_EXAMPLES)
        self._examples: dict[str, Example] = {}

    def add(self, ids: list[str], aspects: list[str], messages: list[str], hashes: columns.Hashes) -> None:
        self.count += len(ids)
        self._first.offer(ids, hashes)
        chosen = set(self._first.ids())
        for item, aspect, message in zip(ids, aspects, messages, strict=True):
            if item in chosen and item not in self._examples:
                self._examples[item] = Example(item, clean(aspect, 64), clean(message, _MESSAGE))
        self._examples = {item: found for item, found in self._examples.items() if item in chosen}

    def examples(self) -> list[Example]:
        return [self._examples[item] for item in self._first.ids()]


def collect(batches: Iterable[pa.RecordBatch]) -> Failures:
    """Read all errors once; 8 bytes are held for each item that failed."""
    tallies: dict[str, _Tally] = {}
    items = np.empty(0, np.uint64)
    for rows in batches:
        ids = columns.texts(rows["item_id"])
        hashes = columns.hashes(ids)
        items = np.union1d(items, hashes)
        _count(tallies, rows, ids, hashes)
    reasons = [Reason(name, tally.count, tally.examples()) for name, tally in tallies.items()]
    return Failures(sorted(reasons, key=lambda r: (-r.count, r.name)), len(items))


def _count(
    tallies: dict[str, _Tally], rows: pa.RecordBatch, ids: list[str], hashes: columns.Hashes
) -> None:
    names, aspects, messages = (columns.texts(rows[name]) for name in ("reason", "aspect", "message"))
    by_reason: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        known = name in tallies or len(tallies) + len(by_reason) < _MOST_REASONS
        by_reason.setdefault(clean(name, 64) if known else _OTHER, []).append(place)
    for name, places in by_reason.items():
        chosen = ([values[p] for p in places] for values in (ids, aspects, messages))
        tallies.setdefault(name, _Tally()).add(*chosen, hashes[places])
