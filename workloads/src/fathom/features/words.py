"""Words and word n-grams of a caption, in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

import regex

# Chinese and Japanese put no spaces between words: there each character counts as a word.
# Marks belong to the letter before them (Devanagari vowels), and an apostrophe inside a word is part of it.
_WORD: Final = regex.compile(
    r"[\p{Han}\p{Hiragana}]\p{M}*"
    r"|[[\p{L}\p{N}]--[\p{Han}\p{Hiragana}]][[\p{L}\p{N}\p{M}]--[\p{Han}\p{Hiragana}]]*(?:'\p{L}[\p{L}\p{M}]*)*",
    regex.V1,
)
#: Between two words of one phrase.
INSIDE: Final = regex.compile(r"[\s\p{Pd}]*")
_APOSTROPHES: Final = str.maketrans({"’": "'", "ʼ": "'"})


def normalised(text: str) -> str:
    """Return `text` in Unicode's NFKC, case-folded (Unicode's caseless matching)."""
    folded = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).casefold()
    return unicodedata.normalize("NFKC", folded)


def words(text: str) -> list[str]:
    """Return the words of `text`, normalised."""
    return _WORD.findall(normalised(text))


def phrases(text: str) -> list[list[str]]:
    """Return the words of `text`, a list for each run that no punctuation parts."""
    found: list[list[str]] = []
    clean, end = normalised(text), 0
    for match in _WORD.finditer(clean):
        if not found or not INSIDE.fullmatch(clean, end, match.start()):
            found.append([])
        found[-1].append(match[0])
        end = match.end()
    return found


def ngrams(found: list[str], longest: int) -> Iterator[str]:
    """Yield the n-grams of 1 to `longest` words, words joined by a space, in order of where they begin."""
    for start in range(len(found)):
        for end in range(start + 1, min(start + longest, len(found)) + 1):
            yield " ".join(found[start:end])
