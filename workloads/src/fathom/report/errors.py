"""What failed, by reason: how much, examples, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from fathom.report import columns
from fathom.report.advice import advice
from fathom.report.sampling import First
from fathom.report.text import clean, shown_id

_EXAMPLES: Final = 5
#: Reasons are constants of ours; what is beyond so many is not.
_MOST_REASONS: Final = 60
_OTHER: Final = "Other"
_MESSAGE: Final = 300


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
        return advice(self.name)


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

    def add(self, found: list[Example], hashes: columns.Hashes) -> None:
        self.count += len(found)
        self._first.offer([example.item_id for example in found], hashes)
        chosen = set(self._first.ids())
        for example in found:
            if example.item_id in chosen:
                self._examples.setdefault(example.item_id, _shown(example))
        self._examples = {item: found for item, found in self._examples.items() if item in chosen}

    def examples(self) -> list[Example]:
        return [self._examples[item] for item in self._first.ids()]


def collect(batches: Iterable[pa.RecordBatch]) -> Failures:
    """Read all errors once; 8 bytes are held for each item that failed.

    A row without id is an item of its own.
    """
    tallies: dict[str, _Tally] = {}
    items, nameless = np.empty(0, np.uint64), 0
    for rows in batches:
        ids = columns.texts(rows["item_id"])
        hashes = columns.hashes(ids)
        named = np.array([bool(item) for item in ids], np.bool_)
        items = np.union1d(items, hashes[named])
        nameless += len(ids) - int(named.sum())
        _count(tallies, rows, ids, hashes)
    reasons = [Reason(name, tally.count, tally.examples()) for name, tally in tallies.items()]
    return Failures(sorted(reasons, key=lambda r: (-r.count, r.name)), len(items) + nameless)


def _count(tallies: dict[str, _Tally], rows: pa.RecordBatch, ids: list[str], hashes: columns.Hashes) -> None:
    names, aspects, messages = (columns.texts(rows[name]) for name in ("reason", "aspect", "message"))
    by_reason: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        known = name in tallies or len(tallies) + len(by_reason) < _MOST_REASONS
        by_reason.setdefault(clean(name, 64) if known else _OTHER, []).append(place)
    for name, places in by_reason.items():
        own = [Example(ids[p], aspects[p], messages[p]) for p in places]
        tallies.setdefault(name, _Tally()).add(own, hashes[places])


def _shown(example: Example) -> Example:
    return Example(example.item_id, clean(example.aspect, 64), clean(example.message, _MESSAGE))
