"""Names of clusters: the words that set each one's texts apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from fathom.features.words import words
from fathom.serendipity.events import Ints

#: A name has so many words, if that tells it from all others.
_FEWEST, _MOST = 2, 4
KEYWORDS: Final = 10


def keywords(
    texts: Sequence[str], cluster: Ints, count: int, *, stop: Iterable[str] = (), most: int = KEYWORDS
) -> list[list[str]]:
    """Return up to `most` words for each of `count` clusters by class-based TF-IDF, the best first.

    tf(t, c) · log(1 + A / f(t)): how often t is in the texts of c, A the mean number of words of a cluster,
    f(t) how often t is in all (Grootendorst, arXiv 2203.05794). `cluster` [n] is that of each of n `texts`.
    """
    stopped = frozenset(stop)
    counted = [Counter[str]() for _ in range(count)]
    for text, own in zip(texts, cluster.tolist(), strict=True):
        counted[own].update(w for w in words(text) if w not in stopped)
    overall = sum(counted, Counter[str]())
    mean = sum(overall.values()) / max(count, 1)
    return [
        sorted(own, key=lambda word, own=own: (-own[word] * np.log(1 + mean / overall[word]), word))[:most]
        for own in counted
    ]


def names(found: Sequence[Sequence[str]], taken: Mapping[int, str] | None = None) -> list[str]:
    """Return a different name for each cluster of keywords `found`: as few of them as tell it from others.

    `taken` are names that some places have already. Where words do not suffice, a number follows.
    """
    given = dict(taken or {})
    used = set(given.values())
    for place, own in enumerate(found):
        if place in given:
            continue
        tries = [" ".join(own[:n]) for n in range(_FEWEST, _MOST + 1) if own[:n]] or ["interest"]
        name = next((t for t in tries if t not in used), None)
        base = tries[0]
        number = 2
        while name is None:
            name = f"{base} {number}" if f"{base} {number}" not in used else None
            number += 1
        given[place] = name
        used.add(name)
    return [given[place] for place in range(len(found))]


def listed(name: str, words: Iterable[str]) -> bool:
    """Return whether any of `words`, names or words of names, is `name` or whole words of it."""
    told = f" {name.lower()} "
    return any(f" {' '.join(word.lower().split())} " in told for word in words)
