"""SemanticIds: prefixes of the residual-quantised codes of an embedding of the caption.

Items with near embeddings share long prefixes, distant ones short ones or none; so a new item shares tokens
with what it resembles. Of codes c_1 … c_L of K each, prefix i is number Σ_{t≤i} K^(i-t) · (c_t + 1) - 1, a
different one for each prefix of any length ("Semantic IDs for industrial recommendation", prefix n-grams).

What was learned, LSA and codebooks, is stored and never learned again: codes keep their meaning for as long
as the parameters stay.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fathom.errors import InvalidInputError
from fathom.features.counting import ABSENT, Counts, Index, Ints, distinct
from fathom.features.embedding import Embedder, Encoder, Lsa
from fathom.features.grams import Found
from fathom.features.quantiser import Quantiser
from fathom.features.sequences import APART, DIRECT, Sequences, Spool
from fathom.features.tokenisers.base import Batch, Before, Learned, gathered
from fathom.features.vocabulary import Terms
from fathom.storage import Location, digest_bytes
from fathom_api.tokens import CaptionFeatures

NAME: Final = "SemanticIds"
FILE: Final = "codebooks.safetensors"
#: Prefixes are numbered in 63 bits.
MOST_PREFIXES: Final = 1 << 62
#: Captions learned from, and at least so many for each code.
_SAMPLE: Final = 100_000
_PER_CODE: Final = 32
#: Code of a caption of which nothing is known.
_UNKNOWN: Final = -1


@dataclass(frozen=True)
class SemanticIds:
    """Prefixes of codes in at least `min_count` captions."""

    features: CaptionFeatures
    encoder: Encoder | None = None
    structured: bool = False

    def identity(self) -> dict[str, str]:
        """Return its name and parameters."""
        limits = {"min_count": self.features.min_count, "vocabulary_size": self.features.vocabulary_size}
        return {**self._parameters(), **{name: str(value) for name, value in limits.items()}}

    def learn(self, captions: Callable[[], Iterator[Batch]], before: Before, scratch: Path) -> Learned:
        """Return the prefixes that are in enough captions, and those the vocabulary before has."""
        model = self._stored(before) or self._learned(captions)
        spool = Spool(scratch / "codes")
        for item_ids, texts in gathered(captions()):
            spool.write(item_ids, model.sequences(texts))
        meaning = {**self._parameters(), "codebooks": model.digest}
        known = before.vocabulary.tokens if before.vocabulary and before.vocabulary.meaning == meaning else ()
        size = self.features.semantic_ids.codebook_size
        prefixes = Prefixes.learn(spool, size, self.features.min_count, known)
        return Learned(
            meaning=meaning,
            terms=Terms(prefixes.names(), prefixes.counts),
            corpus=spool,
            find=prefixes.find,
            files={FILE: model.write},
        )

    def _parameters(self) -> dict[str, str]:
        asked = self.features.semantic_ids
        return {
            "tokenizer": NAME,
            "levels": str(asked.levels),
            "codebook_size": str(asked.codebook_size),
            "embedding": self.encoder.digest if self.encoder else "lsa",
            "structured": str(self.structured),
        }

    def _stored(self, before: Before) -> Model | None:
        if before.folder is None:
            return None
        return Model.read(before.folder / FILE, self._parameters(), self.encoder, structured=self.structured)

    def _learned(self, captions: Callable[[], Iterator[Batch]]) -> Model:
        asked = self.features.semantic_ids
        texts = _sample(captions(), max(_SAMPLE, _PER_CODE * asked.codebook_size))
        embedder = self.encoder or Lsa.learn(texts, structured=self.structured)
        parts = [embedder.embed(texts[at : at + 4096]) for at in range(0, len(texts), 4096)]
        vectors = np.concatenate(parts)
        vectors = vectors[vectors.any(axis=1)]
        if not len(vectors):
            raise InvalidInputError(
                "NothingToLearn", "no caption says anything that another says too; use tokenizer WordNgram"
            )
        quantiser = Quantiser.learn(vectors, asked.levels, asked.codebook_size)
        return Model(self._parameters(), embedder, quantiser)


@dataclass(frozen=True)
class Model:
    """How captions become codes."""

    parameters: dict[str, str]
    embedder: Embedder
    quantiser: Quantiser

    @property
    def digest(self) -> str:
        """Digest of all that was learned."""
        return digest_bytes(self._bytes())

    @classmethod
    def read(
        cls, path: Location, parameters: dict[str, str], encoder: Encoder | None, *, structured: bool
    ) -> Model | None:
        """Return the model at `path`; None where none is, or it has other parameters or is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            content = path.read_bytes()
            tensors = load(content)
            length = int.from_bytes(content[:8], "little")
            about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["parameters"])
        except (FileNotFoundError, SafetensorError, ValueError, KeyError):
            return None
        if about != parameters:
            return None
        words = tensors["words"].tobytes().decode().split("\n") if tensors["words"].size else []
        embedder = encoder or Lsa(words, tensors["projection"], structured=structured)
        books = [tensors[f"book.{level}"] for level in range(int(parameters["levels"]))]
        return cls(parameters, embedder, Quantiser(books))

    def write(self, path: Path) -> None:
        """Write all that was learned to `path`."""
        path.write_bytes(self._bytes())

    def sequences(self, captions: list[str]) -> Sequences:
        """Return the codes of each caption: one UNKNOWN if nothing is known, none if nothing is said."""
        vectors = self.embedder.embed(captions)
        known = vectors.any(axis=1)
        levels = len(self.quantiser.books)
        said = np.array([bool(caption.strip()) for caption in captions])
        lengths = np.where(known, levels, np.where(said, 1, 0))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        symbols = np.full(offsets[-1], _UNKNOWN, np.int32)
        symbols[np.repeat(known, lengths)] = self.quantiser.codes(vectors[known]).ravel()
        joints = np.full(len(symbols), DIRECT, np.uint8)
        joints[offsets[:-1][lengths > 0]] = APART
        return Sequences(offsets, symbols, joints)

    def _bytes(self) -> bytes:
        from safetensors.numpy import save

        tensors: dict[str, Any] = {f"book.{n}": book for n, book in enumerate(self.quantiser.books)}
        lsa = self.embedder if isinstance(self.embedder, Lsa) else None
        tensors["words"] = np.frombuffer("\n".join(lsa.words if lsa else []).encode(), np.uint8)
        tensors["projection"] = lsa.projection if lsa else np.zeros((0, 0), np.float32)
        # Several keys of metadata would come in another order each time.
        about = {"parameters": json.dumps(self.parameters, sort_keys=True)}
        return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, about)


@dataclass(frozen=True)
class Prefixes:
    """Prefixes that have a number.

    Attributes:
        keys: int64, ascending; what identifies each, see above.
        counts: in how many captions each is.
        codes: of one level.
        index: of the keys.
    """

    keys: Ints
    counts: Ints
    codes: int
    index: Index

    @classmethod
    def learn(
        cls, corpus: Iterable[tuple[Any, Sequences]], codes: int, min_count: int, known: Iterable[str]
    ) -> Prefixes:
        """Return the prefixes in `min_count` captions of `corpus`, and those `known` that occur."""
        counted = Counts()
        for _, sequences in corpus:
            parts = _prefixes(sequences, codes)
            counted.add(distinct(*parts)[1])
        keys, counts = counted.total()
        wanted = (counts >= min_count) | np.isin(keys, [_key(token, codes) for token in known])
        return cls(keys[wanted], counts[wanted], codes, Index(keys[wanted]))

    def names(self) -> list[str]:
        """Return the codes of each prefix, joined by dots."""
        return [_name(key, self.codes) for key in self.keys.tolist()]

    def find(self, sequences: Sequences, ranks: Ints) -> Found:
        """Return the prefixes of `sequences` that have one of `ranks`."""
        parts: list[tuple[Ints, Ints]] = []
        occurrences = 0
        for owners, keys in _prefixes(sequences, self.codes):
            found = np.append(ranks, ABSENT)[self.index.find(keys)]
            hit = found != ABSENT
            parts.append((owners[hit], found[hit]))
            occurrences += len(keys)
        unknown = occurrences - sum(len(found) for _, found in parts)
        return Found(parts, np.diff(sequences.offsets) > 0, occurrences, unknown)


def _prefixes(sequences: Sequences, codes: int) -> list[tuple[Ints, Ints]]:
    """Return owners and keys of the prefixes of each length."""
    lengths = np.diff(sequences.offsets)
    levels = int(lengths.max(initial=1))
    starts = sequences.offsets[:-1]
    owners = np.flatnonzero(lengths)
    owners = owners[sequences.symbols[starts[owners]] != _UNKNOWN]
    keys = np.full(len(owners), -1, np.int64)
    parts: list[tuple[Ints, Ints]] = []
    for level in range(levels):
        # The number of a prefix, from that of the one before: K · (p + 1) + c.
        keys = codes * (keys + 1) + sequences.symbols[starts[owners] + level]
        parts.append((owners, keys))
    return parts


def _key(token: str, codes: int) -> int:
    key = -1
    for code in token.split("."):
        key = codes * (key + 1) + int(code)
    return key


def _name(key: int, codes: int) -> str:
    found: list[str] = []
    while key >= 0:
        key, code = divmod(key, codes)
        found.append(str(code))
        key -= 1
    return ".".join(reversed(found))


def _sample(captions: Iterable[Batch], most: int) -> list[str]:
    """Return at most so many captions, the same ones whatever order they come in."""
    hashed = (
        (hashlib.blake2b(item.encode(), digest_size=8).digest(), text)
        for batch in captions
        for item, text in zip(batch.item_ids, batch.captions, strict=True)
    )
    return [text for _, text in heapq.nsmallest(most, hashed)]
