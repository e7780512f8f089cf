"""Frequent n-grams of sequences, found level by level: none is more frequent than what it begins with.

So n-grams of n words are counted only where the n - 1 before and the word itself have a number, and each is
a pair of two numbers, one int64, however long it is (Agrawal and Srikant, VLDB 1994).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.features.counting import ABSENT, Counts, Index, Ints, distinct
from fathom.features.sequences import Sequences


class Names(Protocol):
    """What symbols are called."""

    @property
    def names(self) -> Sequence[str]:
        """Name of each symbol."""
        ...

    def path(self, token: str) -> list[int] | None:
        """Return the symbols of an n-gram by its name; None if one was never seen."""
        ...

    def extended(self, gram: str, name: str) -> str:
        """Return the name of the n-gram that is `gram` and one more symbol."""
        ...


@dataclass(frozen=True)
class Level:
    """One length: `keys` are `parent * width + last`, of one word symbols; `counts` are of captions."""

    keys: Ints
    counts: Ints
    index: Index

    @classmethod
    def of(cls, keys: Ints, counts: Ints) -> Self:
        """Return the level of `keys`."""
        return cls(keys, counts, Index(keys))


@dataclass(frozen=True)
class Found:
    """Terms found in captions.

    Attributes:
        parts: owners, ascending, and ranks of terms, int64 [m] each; the same one may be there twice.
        spoken: bool [captions]; whether there is anything in a caption at all.
        occurrences: n-grams there are in the captions, whether they have a number or not.
        unknown: those of them that have no id.
    """

    parts: list[tuple[Ints, Ints]]
    spoken: NDArray[np.bool_]
    occurrences: int
    unknown: int


@dataclass(frozen=True)
class Grams:
    """N-grams that have a number: those of one word first, then those of two, and so on.

    Attributes:
        words: int64 [symbols]; the number of a symbol among the n-grams of one word.
        levels: n-grams of one word, of two, …
        joint: words that join by more than this make no n-gram.
        longest: most words of an n-gram.
    """

    words: Ints
    levels: list[Level]
    joint: int
    longest: int

    @property
    def counts(self) -> Ints:
        """In how many captions each n-gram is."""
        return np.concatenate([level.counts for level in self.levels])

    def names(self, source: Names) -> list[str]:
        """Return what each n-gram is called."""
        single: list[str] = [source.names[int(symbol)] for symbol in self.levels[0].keys]
        named, width = [single], max(len(single), 1)
        for level in self.levels[1:]:
            parents, lasts = np.divmod(level.keys, width)
            pairs = zip(parents.tolist(), lasts.tolist(), strict=True)
            named.append([source.extended(named[-1][parent], single[last]) for parent, last in pairs])
        return [name for names in named for name in names]

    def find(self, sequences: Sequences, ranks: Ints, *, maximal: bool = False) -> Found:
        """Return the n-grams that have one of `ranks`; with `maximal`, only those inside no longer one."""
        owners: list[Ints] = []
        found: list[Ints] = []
        for (owner, nodes), start, level in zip(
            self._walk(sequences), self._starts(), self.levels, strict=True
        ):
            owners.append(owner)
            # Where there is no n-gram, the last one's place is looked at, which has no rank.
            found.append(np.append(ranks[start : start + len(level.keys)], ABSENT)[nodes])
        hits = [own != ABSENT for own in found]
        occurrences = self._occurrences(sequences)
        known = sum(int(np.count_nonzero(hit)) for hit in hits)
        if maximal:
            _keep_longest(hits)
        return Found(
            parts=[(o[hit], own[hit]) for o, own, hit in zip(owners, found, hits, strict=True)],
            spoken=np.diff(sequences.offsets) > 0,
            occurrences=occurrences,
            unknown=occurrences - known,
        )

    def keys(self, sequences: Sequences) -> tuple[Ints, Ints]:
        """Return owners and keys of the n-grams that are one word longer than the longest here."""
        first, *_ = steps = list(self._walk(sequences))
        owner, nodes = steps[-1]
        keys = self._longer(sequences, nodes, first[1])
        there = keys != ABSENT
        return owner[: len(keys)][there], keys[there]

    def _starts(self) -> list[int]:
        """Return the number of the first n-gram of each length."""
        return [0, *np.cumsum([len(level.keys) for level in self.levels])[:-1].tolist()]

    def _walk(self, sequences: Sequences) -> Iterator[tuple[Ints, Ints]]:
        """Yield for each length the owner, and the number among its level, of what starts at each place."""
        owner, words = sequences.owners, self.words[sequences.symbols]
        yield owner, words
        nodes = words
        for level in self.levels[1:]:
            nodes = level.index.find(self._longer(sequences, nodes, words))
            yield owner[: len(nodes)], nodes

    def _longer(self, sequences: Sequences, nodes: Ints, words: Ints) -> Ints:
        """Return the key of the n-gram at each place that is one of `nodes` and one of `words` more."""
        length = 1 + len(words) - len(nodes)
        last = words[length:]
        nodes = nodes[: len(last)]
        # Whether the words before belong together, their own number says. A sign bit says that one is ABSENT.
        there = (sequences.joints[length:] <= self.joint) & ((nodes | last) >= 0)
        return np.where(there, nodes * len(self.levels[0].keys) + last, ABSENT)

    def _occurrences(self, sequences: Sequences) -> int:
        parted = sequences.joints > self.joint
        runs = np.diff(np.append(np.flatnonzero(parted), len(parted)))
        return sum(int(np.maximum(runs - short, 0).sum()) for short in range(self.longest))


def learn(
    corpus: Iterable[tuple[pa.Array, Sequences]],
    counts: Ints,
    source: Names,
    *,
    longest: int,
    min_count: int,
    joint: int,
    known: Sequence[str] = (),
) -> Grams:
    """Return the n-grams of 1 to `longest` symbols that are in `min_count` captions of `corpus` or `known`.

    Args:
        corpus: looked at once for each length from 2 on.
        counts: in how many captions each symbol is.
        source: what symbols are called.
        longest: most symbols.
        min_count: fewest captions.
        joint: symbols that join by more than this make no n-gram.
        known: names of n-grams that are numbered however rare they have become, and all they begin with.
    """
    paths = [path for token in known if (path := source.path(token)) is not None]
    wanted = counts >= min_count
    wanted[[symbol for path in paths for symbol in path]] = True
    symbols = np.flatnonzero(wanted & (counts > 0))
    # Frequent words get small numbers, so do their n-grams, and small numbers are counted fastest.
    symbols = symbols[np.argsort(-counts[symbols], kind="stable")]
    words = np.full(len(counts), ABSENT, np.int64)
    words[symbols] = np.arange(len(symbols))
    grams = Grams(words, [Level.of(symbols, counts[symbols])], joint, longest)
    for length in range(2, longest + 1):
        if not len(grams.levels[-1].keys):
            break
        grams = replace(grams, levels=[*grams.levels, _level(corpus, grams, length, min_count, paths)])
    return grams


def _keep_longest(hits: list[NDArray[np.bool_]]) -> None:
    """Clear what lies inside a longer hit; `hits` [length] tell for each place whether one starts there."""
    covered = hits[-1]
    for at in range(len(hits) - 2, -1, -1):
        inside = np.zeros(len(hits[at]), np.bool_)
        inside[: len(covered)] |= covered
        inside[1 : len(covered) + 1] |= covered
        covered = hits[at] | inside
        hits[at] &= ~inside


def _level(
    corpus: Iterable[tuple[pa.Array, Sequences]],
    grams: Grams,
    length: int,
    min_count: int,
    paths: list[list[int]],
) -> Level:
    counted = Counts()
    for _, sequences in corpus:
        counted.add(distinct(grams.keys(sequences))[1])
    keys, counts = counted.total()
    wanted = (counts >= min_count) | np.isin(keys, _keys(grams, length, paths))
    return Level.of(keys[wanted], counts[wanted])


def _keys(grams: Grams, length: int, paths: list[list[int]]) -> Ints:
    """Return the keys of the first `length` words of `paths`."""
    table = np.array([path[:length] for path in paths if len(path) >= length], np.int64).reshape(-1, length)
    nodes = grams.words[table[:, 0]]
    width = len(grams.levels[0].keys)
    for at in range(1, length):
        last = grams.words[table[:, at]]
        there = (nodes != ABSENT) & (last != ABSENT)
        keys = np.where(there, nodes * width + last, ABSENT)
        if at == length - 1:
            return keys[there]
        nodes = np.where(there, grams.levels[at].index.find(keys), ABSENT)
    return np.empty(0, np.int64)
