"""Stop words: the most common words of a language, and which language captions are in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from fathom.features.counting import Ints
from fathom.features.words import words

#: Languages the API names, and the lists (Snowball's) that bm25s keeps of them.
_LISTS: Final = {
    "de": "STOPWORDS_GERMAN",
    "en": "STOPWORDS_EN_PLUS",
    "es": "STOPWORDS_SPANISH",
    "fr": "STOPWORDS_FRENCH",
    "it": "STOPWORDS_ITALIAN",
    "nl": "STOPWORDS_DUTCH",
    "pt": "STOPWORDS_PORTUGUESE",
}
NONE: Final = "None"
AUTO: Final = "Auto"


@cache
def of(language: str) -> frozenset[str]:
    """Return the stop words of `language`; none of `None`."""
    if language == NONE:
        return frozenset()
    from bm25s import stopwords

    return frozenset(w for listed in getattr(stopwords, _LISTS[language]) for w in words(listed))


def spoken(names: Sequence[str], counts: Ints) -> str:
    """Return the language most captions are in, `None` where no stop word of any occurs.

    Args:
        names: words.
        counts: in how many captions each is. A word of several languages counts for each a part.
    """
    lists = {language: of(language) for language in _LISTS}
    points = dict.fromkeys(lists, 0.0)
    for name, count in zip(names, counts.tolist(), strict=True):
        speaking = [language for language, listed in lists.items() if name in listed]
        for language in speaking:
            points[language] += count / len(speaking)
    best = max(points, key=lambda language: (points[language], language))
    return best if points[best] else NONE
