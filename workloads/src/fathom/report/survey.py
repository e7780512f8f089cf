"""One pass over all captions: counts, distributions, pace, and which items to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from fathom.report import columns
from fathom.report.columns import Hashes, pc
from fathom.report.distributions import Different, Frequent, Histogram
from fathom.report.sampling import First
from fathom.report.text import clean
from fathom.report.throughput import Pace

#: Characters of a caption by which repetitions are told.
_KEPT: Final = 300
_COLUMNS: Final = (
    *("item_id", "aspect", "caption", "tokens", "milliseconds", "finish", "made_at", "model_digest"),
)
_MOST_MODELS: Final = 8
_EACH: Final = 12
_RANDOM: Final = 60


class Store(Protocol):
    """What the report reads: the captions of a run, the errors, and the captions of the run before."""

    @property
    def count(self) -> int:
        """How many items have captions."""
        ...

    @property
    def aspects(self) -> list[str]:
        """What was asked about each item."""
        ...

    def rows(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the run's captions."""
        ...

    def errors(self) -> Iterator[pa.RecordBatch]:
        """Yield what failed, and why."""
        ...

    def previous(self) -> Iterator[pa.RecordBatch]:
        """Yield (item_id, aspect, caption) of the run before; nothing where there was none."""
        ...


@dataclass
class Aspect:
    """What was counted of one aspect's captions."""

    name: str
    words: Histogram = field(default_factory=Histogram)
    tokens: Histogram = field(default_factory=Histogram)
    frequent: Frequent = field(default_factory=Frequent)
    different: Different = field(default_factory=Different)
    cut_off: int = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """Count captions of this aspect."""
        captions = [caption[:_KEPT] for caption in columns.texts(rows["caption"])]
        self.words.add(word_counts(captions, rows["caption"]))
        self.tokens.add(columns.numbers(rows["tokens"]))
        self.frequent.add(captions)
        self.different.add(columns.hashes(captions))
        self.cut_off += pc.sum(pc.equal(rows["finish"], "Length")).as_py() or 0


class Models:
    """Captions by the digest of the model that made them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, digests: pa.Array) -> None:
        """Count captions."""
        for entry in pc.value_counts(digests).to_pylist():
            self._counts[clean(entry["values"] or "", 80)] += entry["counts"]

    def top(self) -> list[tuple[str, int]]:
        """Return the digests with most captions."""
        return self._counts.most_common(_MOST_MODELS)


@dataclass
class Survey:
    """What was counted of all captions, and the items to show by why."""

    aspects: list[Aspect]
    lengths: Histogram = field(default_factory=Histogram)
    milliseconds: Histogram = field(default_factory=Histogram)
    pace: Pace = field(default_factory=Pace)
    models: Models = field(default_factory=Models)
    random: First = field(default_factory=lambda: First(_RANDOM))
    longest: First = field(default_factory=lambda: First(_EACH))
    shortest: First = field(default_factory=lambda: First(_EACH))

    def add(self, rows: pa.RecordBatch) -> None:
        """Count a batch of captions."""
        tokens = columns.numbers(rows["tokens"])
        self.milliseconds.add(columns.numbers(rows["milliseconds"]))
        self.models.add(rows["model_digest"])
        self.pace.add(columns.numbers(rows["made_at"]), tokens)
        ids = columns.texts(rows["item_id"])
        self._choose(ids, columns.hashes(ids), rows["caption"])
        for aspect in self.aspects:
            own = rows if len(self.aspects) == 1 else rows.filter(pc.equal(rows["aspect"], aspect.name))
            if own.num_rows:
                aspect.add(own)

    def _choose(self, ids: list[str], hashes: Hashes, captions: pa.Array) -> None:
        length = columns.numbers(pc.binary_length(captions))
        self.lengths.add(length)
        self.random.offer(ids, hashes)
        self.longest.offer(ids, hashes, -length)
        self.shortest.offer(ids, hashes, length)


def survey(store: Store) -> Survey:
    """Look at every caption of `store` once."""
    found = Survey([Aspect(name) for name in store.aspects])
    for rows in store.rows([*_COLUMNS]):
        found.add(rows)
    return found


def word_counts(captions: list[str], column: pa.Array) -> columns.Whole:
    """Return the number of words of each caption, as white space divides them."""
    try:
        return np.asarray(pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(column))))
    except pa.ArrowInvalid:  # No UTF-8: what is shown is counted.
        return np.array([len(caption.split()) for caption in captions], np.int64)
