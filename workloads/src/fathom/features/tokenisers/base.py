"""What a tokeniser is: captions in; out comes what they consist of, and how to find that in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.features import stopwords
from fathom.features.counting import Counts, Ints, distinct
from fathom.features.fields import Fields
from fathom.features.grams import Found
from fathom.features.lexicon import Lexicon
from fathom.features.sequences import Sequences, Spool
from fathom.features.vocabulary import Terms, Vocabulary
from fathom.storage import Location

#: Captions looked at together: enough that what Python does for each batch does not count, and few
#: enough to stay in a core's cache.
BATCH_ROWS: Final = 1 << 13
Corpus = Iterable[tuple[pa.Array, Sequences]]


class Batch(Protocol):
    """Some items and their captions."""

    @property
    def item_ids(self) -> list[str]:
        """Their ids."""
        ...

    @property
    def captions(self) -> list[str]:
        """Their captions, in the same order."""
        ...


@dataclass(frozen=True)
class Before:
    """What the run before left of this aspect.

    Attributes:
        vocabulary: to go on from.
        folder: with whatever else the strategy has stored there.
    """

    vocabulary: Vocabulary | None = None
    folder: Location | None = None


@dataclass(frozen=True)
class Learned:
    """What captions consist of.

    Attributes:
        meaning: what decides what terms mean; a vocabulary goes on only while it stays.
        terms: all of them that may get an id.
        corpus: the captions once more, as `find` reads them.
        find: sequences and the rank of each term (ABSENT without an id) → the terms of each caption.
        fixed: the id of each term where it follows from the term itself; None where it is given out.
        size: ids there may be (with `fixed`).
        files: further files of the aspect: name → writes it to the path given.
    """

    meaning: dict[str, str]
    terms: Terms
    corpus: Corpus
    find: Callable[[Sequences, Ints], Found]
    fixed: Ints | None = None
    size: int = 0
    files: dict[str, Callable[[Path], None]] = field(default_factory=dict[str, Callable[[Path], None]])


class Tokeniser(Protocol):
    """A strategy."""

    def identity(self) -> dict[str, str]:
        """Return all that decides what it makes of the same captions."""
        ...

    def learn(self, captions: Callable[[], Iterator[Batch]], before: Before, scratch: Path) -> Learned:
        """Return what captions consist of.

        Args:
            captions: yields all of them, in the same order every time.
            before: what the run before left.
            scratch: folder for what need not be kept.
        """
        ...


@dataclass(frozen=True)
class Without:
    """A corpus without some of its symbols; see `Sequences.without`."""

    corpus: Corpus
    dropped: NDArray[np.bool_]
    joint: int

    def __iter__(self) -> Iterator[tuple[pa.Array, Sequences]]:
        """Yield some items at a time."""
        for item_ids, sequences in self.corpus:
            yield item_ids, sequences.without(self.dropped, self.joint)


@dataclass(frozen=True)
class Read:
    """Captions as sequences of words, and in how many captions each word is."""

    lexicon: Lexicon
    corpus: Corpus
    counts: Ints

    def language(self, asked: str, before: Vocabulary | None) -> str:
        """Return the language of the stop words that are `asked` for.

        Auto stays with the language of the vocabulary before: a catalogue that grows must not begin another.
        """
        if asked != stopwords.AUTO:
            return asked
        said = before.meaning.get("stop_words") if before else None
        return said or stopwords.spoken([self.lexicon.word(n) for n in self.lexicon.names], self.counts)

    def without_stop_words(self, language: str, joint: int) -> Read:
        """Return the same without the stop words of `language`; where one was, words join by `joint`."""
        listed = stopwords.of(language)
        dropped = np.array([self.lexicon.word(name) in listed for name in self.lexicon.names], np.bool_)
        corpus = Without(self.corpus, dropped, joint) if dropped.any() else self.corpus
        return Read(self.lexicon, corpus, np.where(dropped, 0, self.counts))


def gathered(captions: Iterable[Batch], most: int = BATCH_ROWS) -> Iterator[tuple[list[str], list[str]]]:
    """Yield ids and captions of about `most` items at a time, however few come at once."""
    item_ids: list[str] = []
    texts: list[str] = []
    for batch in captions:
        item_ids += batch.item_ids
        texts += batch.captions
        if len(texts) >= most:
            yield item_ids, texts
            item_ids, texts = [], []
    if texts:
        yield item_ids, texts


def read(captions: Iterable[Batch], path: Path, *, structured: bool, punctuation: bool = False) -> Read:
    """Read all `captions`, JSON if `structured`, into a spool at `path`; see Lexicon for `punctuation`."""
    lexicon = Fields() if structured else Lexicon(punctuation=punctuation)
    spool, counts = Spool(path), np.zeros(0, np.int64)
    for item_ids, texts in gathered(captions):
        sequences = lexicon.scan(texts)
        spool.write(item_ids, sequences)
        _, symbols = distinct((sequences.owners, sequences.symbols))
        grown = np.bincount(symbols, minlength=len(lexicon.names))
        grown[: len(counts)] += counts
        counts = grown
    return Read(lexicon, spool, counts)


@dataclass(frozen=True)
class Keyed:
    """Terms that are numbers by themselves: buckets, a model's tokens.

    Attributes:
        keys: those in use, ascending.
        counts: in how many captions each is.
        of: sequences → owners, ascending, and keys, int64 [m] each; one or more such parts.
    """

    keys: Ints
    counts: Ints
    of: Callable[[Sequences], list[tuple[Ints, Ints]]]

    @classmethod
    def learn(cls, corpus: Corpus, of: Callable[[Sequences], list[tuple[Ints, Ints]]]) -> Keyed:
        """Count the terms of `corpus`."""
        counted = Counts()
        for _, sequences in corpus:
            counted.add(distinct(*of(sequences))[1])
        return cls(*counted.total(), of)

    def find(self, sequences: Sequences, ranks: Ints) -> Found:
        """Return the terms of `sequences`; all have an id."""
        parts = [(owners, ranks[np.searchsorted(self.keys, keys)]) for owners, keys in self.of(sequences)]
        spoken = np.diff(sequences.offsets) > 0
        return Found(parts, spoken, sum(len(found) for _, found in parts), 0)
