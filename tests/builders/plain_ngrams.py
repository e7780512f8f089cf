"""What word n-grams are, written plainly: slow, and what the fast way must equal."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

from fathom.features.words import ngrams, words

PIECES = (
    *("a", "the", "red", "Car", "dog's", "don't", "7up", "x'y2z", "'tis", "o''clock", "rock'n'roll", "a_b"),
    *("Straße", "café", "cafe\u0301", "ﬁne", "红色", "カメラ", "हिन्दी", "İstanbul", "dog’s", "ʼn", "\u0301"),
    *("😀", "!", ",", ".", "-", "—", "\n", "\t", "\x00", "\x1f", "\x85", "\u00a0", "\ud800", "'", "’", "²"),
)


def text(chance: random.Random, longest: int = 12) -> str:
    """Return a caption of pieces, with and without spaces between them."""
    pieces = chance.choices(PIECES, k=chance.randrange(longest))
    return "".join(piece + chance.choice(("", " ", " ", "  ", ", ")) for piece in pieces)


def found(caption: str, longest: int, stop: frozenset[str] = frozenset()) -> list[str]:
    """Return all n-grams of a caption, the same one as often as it occurs."""
    return list(ngrams([word for word in words(caption) if word not in stop], longest))


def vocabulary(
    captions: Mapping[str, str], longest: int, min_count: int, most: int, stop: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Return the n-grams that get an id, in the order of ids, and in how many captions each is."""
    counts: Counter[str] = Counter()
    for caption in captions.values():
        counts.update(set(found(caption, longest, stop)))
    kept = sorted((-count, term) for term, count in counts.items() if count >= min_count)
    return {term: -count for count, term in kept[:most]}


def tokens(
    caption: str, known: Mapping[str, int], longest: int, limit: int, stop: frozenset[str] = frozenset()
) -> list[str]:
    """Return the tokens of a caption, the rarest first."""
    places = {term: place for place, term in enumerate(known)}
    terms = found(caption, longest, stop)
    kept = sorted({term for term in terms if term in known}, key=lambda term: (known[term], places[term]))
    return kept[:limit] or (["<1>"] if terms else [])
