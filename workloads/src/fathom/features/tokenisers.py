"""Named strategies for which terms a caption has and which of them get an id."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Protocol

from fathom.errors import InvalidInputError
from fathom.features.words import ngrams, words
from fathom.storage import digest_bytes
from fathom_api.captioning import CaptionModel
from fathom_api.tokens import CaptionFeatures

#: Ids of tokens: 0 pads, 1 is unknown or missing, real tokens follow.
PADDING: Final = 0
UNKNOWN: Final = 1
FIRST: Final = 2

#: A word n-gram, or the number of a bucket or of a model's token.
Term = str | int


@dataclass(frozen=True)
class Entry:
    """One token that has an id, and in how many captions it occurs."""

    id: int
    token: str
    count: int


@dataclass(frozen=True)
class Vocabulary:
    """Which id each term has.

    Attributes:
        size: ids there may be, padding and unknown included: the rows an embedding table needs.
        ids: the id of each term seen that has one.
        entries: the same, for people, in the order of ids.
    """

    size: int
    ids: dict[Term, int]
    entries: list[Entry]
    _counts: dict[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_counts", {entry.id: entry.count for entry in self.entries})

    def encode(self, terms: Iterable[Term], limit: int) -> list[int]:
        """Return at most `limit` ids of `terms`, each once, the rarest first: they say most about an item."""
        found = {self.ids[term] for term in terms if term in self.ids}
        return sorted(found, key=lambda i: (self._counts[i], i))[:limit]


class Tokeniser(Protocol):
    """A strategy: captions to terms, and the terms of all captions to a vocabulary."""

    def terms(self, captions: Sequence[str]) -> list[set[Term]]:
        """Return the terms of each caption."""
        ...

    def vocabulary(self, counts: Counter[Term]) -> Vocabulary:
        """Return which terms get which id, given in how many captions each occurs."""
        ...

    def identity(self) -> dict[str, str]:
        """Return all that decides what it makes of the same captions."""
        ...


@dataclass(frozen=True)
class WordNgram:
    """Word n-grams in at least `min_count` captions; at most `vocabulary_size`, the most frequent ones."""

    max_ngram: int
    min_count: int
    vocabulary_size: int

    def terms(self, captions: Sequence[str]) -> list[set[Term]]:
        """Return the n-grams of each caption."""
        return [set(ngrams(words(caption), self.max_ngram)) for caption in captions]

    def vocabulary(self, counts: Counter[Term]) -> Vocabulary:
        """Number terms from the most frequent on, equally frequent ones in alphabetical order."""
        kept = sorted((-n, str(term)) for term, n in counts.items() if n >= self.min_count)
        entries = [Entry(at, t, -n) for at, (n, t) in enumerate(kept[: self.vocabulary_size], start=FIRST)]
        return Vocabulary(FIRST + len(entries), {e.token: e.id for e in entries}, entries)

    def identity(self) -> dict[str, str]:
        """Return its name and parameters."""
        return {
            "tokenizer": "WordNgram",
            "max_ngram": str(self.max_ngram),
            "min_count": str(self.min_count),
            "vocabulary_size": str(self.vocabulary_size),
        }


@dataclass(frozen=True)
class HashedNgram:
    """Word n-grams hashed to `buckets`: the id of an n-gram is the same whatever else was captioned."""

    max_ngram: int
    buckets: int

    def terms(self, captions: Sequence[str]) -> list[set[Term]]:
        """Return the buckets of each caption's n-grams."""
        return [{_bucket(t, self.buckets) for t in ngrams(words(c), self.max_ngram)} for c in captions]

    def vocabulary(self, counts: Counter[Term]) -> Vocabulary:
        """Number every bucket; only those in use are listed."""
        entries = [Entry(FIRST + int(b), f"#{b}", counts[b]) for b in sorted(counts)]
        return Vocabulary(FIRST + self.buckets, {b: FIRST + int(b) for b in counts}, entries)

    def identity(self) -> dict[str, str]:
        """Return its name and parameters."""
        return {
            "tokenizer": "HashedNgram",
            "max_ngram": str(self.max_ngram),
            "vocabulary_size": str(self.buckets),
        }


@dataclass(frozen=True)
class ModelTokens:
    """The caption model's own tokens, special ones aside: token i of the model is id i + 2."""

    tokenizer: Any

    def terms(self, captions: Sequence[str]) -> list[set[Term]]:
        """Return the model's tokens of each caption."""
        special = set(self.tokenizer.all_special_ids)
        encoded = self.tokenizer(list(captions), add_special_tokens=False)["input_ids"] if captions else []
        return [set(ids) - special for ids in encoded]

    def vocabulary(self, counts: Counter[Term]) -> Vocabulary:
        """Number every token of the model; only those in use are listed."""
        used = sorted(int(i) for i in counts)
        names = self.tokenizer.convert_ids_to_tokens(used)
        entries = [Entry(FIRST + i, str(name), counts[i]) for i, name in zip(used, names, strict=True)]
        return Vocabulary(FIRST + len(self.tokenizer), {i: FIRST + i for i in used}, entries)

    def identity(self) -> dict[str, str]:
        """Return its name and a digest of the model's vocabulary."""
        known = json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        return {"tokenizer": "ModelTokens", "model_vocabulary": digest_bytes(known.encode())}


def tokeniser(features: CaptionFeatures, model: CaptionModel, checkpoint: str) -> Tokeniser:
    """Return the strategy that `features` names.

    Args:
        features: which strategy, and its parameters.
        model: the caption model, of which ModelTokens takes the tokenizer.
        checkpoint: path of that model, or its name on the hub.

    Raises:
        InvalidInputError: ModelTokens, and the model has no tokenizer.
    """
    if features.tokenizer == "WordNgram":
        return WordNgram(features.max_ngram, features.min_count, features.vocabulary_size)
    if features.tokenizer == "HashedNgram":
        return HashedNgram(features.max_ngram, features.vocabulary_size)
    return ModelTokens(_open(checkpoint, model))


def _open(checkpoint: str, model: CaptionModel) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            checkpoint, revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise InvalidInputError(
            "NoTokenizer",
            f"{checkpoint}: no tokenizer of a caption model there ({why}); "
            "correct model.uri, or use features.tokenizer WordNgram",
        ) from error


@lru_cache(maxsize=1 << 17)
def _bucket(term: str, buckets: int) -> int:
    # Python's own hash differs from process to process.
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest()) % buckets
