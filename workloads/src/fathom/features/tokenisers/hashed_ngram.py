"""HashedNgram: n-grams of words in buckets. Their ids are the same whatever else was captioned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fathom.features.counting import Ints
from fathom.features.sequences import DIRECT, PUNCTUATION, Sequences
from fathom.features.tokenisers.base import Batch, Before, Keyed, Learned, read
from fathom.features.vocabulary import FIRST, Terms
from fathom_api.tokens import CaptionFeatures

NAME: Final = "HashedNgram"
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class HashedNgram:
    """N-grams as WordNgram's; each has `hashes` of `vocabulary_size` buckets."""

    features: CaptionFeatures
    structured: bool = False

    def identity(self) -> dict[str, str]:
        """Return its name and parameters."""
        return {
            "tokenizer": NAME,
            "max_ngram": str(self.features.max_ngram),
            "vocabulary_size": str(self.features.vocabulary_size),
            "hashes": str(self.features.hashes),
            "stop_words": self.features.stop_words,
            "structured": str(self.structured),
        }

    def learn(self, captions: Callable[[], Iterator[Batch]], before: Before, scratch: Path) -> Learned:
        """Return the buckets in use."""
        found = read(captions(), scratch / "words", structured=self.structured)
        language = found.language(self.features.stop_words, before.vocabulary)
        found = found.without_stop_words(language, DIRECT)
        size, hashes = self.features.vocabulary_size, self.features.hashes
        buckets = Buckets(hashed(found.lexicon.names), self.features.max_ngram, hashes, size)
        learned = Keyed.learn(found.corpus, buckets.of)
        meaning = {"tokenizer": NAME, "stop_words": language, "structured": str(self.structured)}
        return Learned(
            meaning={**meaning, "buckets": str(size), "hashes": str(hashes)},
            terms=Terms([f"#{bucket}" for bucket in learned.keys.tolist()], learned.counts),
            corpus=found.corpus,
            find=learned.find,
            fixed=FIRST + learned.keys,
            size=FIRST + size,
        )


def hashed(names: Sequence[str]) -> NDArray[np.uint64]:
    """Return a number of 64 bits for each name, the same on every machine."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


@dataclass(frozen=True)
class Buckets:
    """Which buckets n-grams are in.

    Attributes:
        words: uint64 [symbols]; see `hashed`.
        longest: most words of an n-gram.
        hashes: buckets of each.
        size: buckets there are.
    """

    words: NDArray[np.uint64]
    longest: int
    hashes: int
    size: int

    def of(self, sequences: Sequences) -> list[tuple[Ints, Ints]]:
        """Return owner and bucket of every n-gram of `sequences`."""
        parts: list[tuple[Ints, Ints]] = []
        owner, grams = sequences.owners, self.words[sequences.symbols]
        there = np.ones(len(grams), np.bool_)
        for length in range(1, self.longest + 1):
            for number in range(self.hashes):
                mixed = _mixed(grams[there] + np.uint64(number) * _MULTIPLIER)
                buckets = (mixed % np.uint64(self.size)).astype(np.int64)
                parts.append((owner[: len(there)][there], buckets))
            there = there[:-1] & (sequences.joints[length:] <= PUNCTUATION)
            grams = grams[:-1] * _MULTIPLIER + self.words[sequences.symbols[length:]]
        return parts


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return `numbers` with all bits depending on all bits (splitmix64's finaliser)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
