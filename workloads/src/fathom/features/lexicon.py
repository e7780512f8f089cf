"""From captions to sequences of numbered words: all words of a batch at once, as bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.features.sequences import APART, DIRECT, PUNCTUATION, Sequences
from fathom.features.words import INSIDE, phrases, words

_SPACE, _COMMA, _APOSTROPHE, _NINE = b" ,'9"
#: All that is no word to the scanner.
_BETWEEN: Final = " ,'"
#: After letters behind an apostrophe a digit begins another word; the byte scanner does not know that.
_DIGIT_BEHIND: Final = re.compile(r"'[A-Za-z]+[0-9]")


def _plain(byte: int) -> int:
    """Return what the scanner sees of an ASCII character: a small letter or digit, `'`, space or comma."""
    character = chr(byte)
    if byte > 127 or character == "'":
        return byte
    if found := words(character):
        return ord(found[0])
    return _SPACE if INSIDE.fullmatch(character) else _COMMA


_TABLE: Final = bytes(_plain(byte) for byte in range(256))


class Lexicon:
    """The words seen so far: word i is `names[i]`. With `punctuation`, joints tell where it is."""

    def __init__(self, *, punctuation: bool = True) -> None:
        self._punctuation = punctuation
        self.names: list[str] = []
        self.numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """Return the number of `name`, a new one if it has none."""
        found = self.numbers.setdefault(name, len(self.names))
        if found == len(self.names):
            self.names.append(name)
        return found

    def scan(self, captions: Sequence[str]) -> Sequences:
        """Return `captions` as sequences of words."""
        joined, lengths = _bytes(captions)
        starts, joints, texts = _scan(joined, punctuation=self._punctuation)
        coded = texts.dictionary_encode()
        names = [text.rstrip(_BETWEEN) for text in coded.dictionary.to_pylist()]
        numbers = np.array(self._all(names), np.int32)
        begins = np.concatenate([[0], np.cumsum(lengths + 1)])
        offsets = np.searchsorted(starts, begins)
        joints[offsets[:-1][np.diff(offsets) > 0]] = APART
        indices = coded.indices.to_numpy(zero_copy_only=False)
        return Sequences(offsets, numbers[indices] if len(numbers) else np.empty(0, np.int32), joints)

    def _all(self, names: list[str]) -> list[int]:
        found = list(map(self.numbers.get, names))
        return [self.number(name) if at is None else at for at, name in zip(found, names, strict=True)]

    def path(self, token: str) -> list[int] | None:
        """Return the numbers of the words of an n-gram; None if one was never seen."""
        found = [self.numbers.get(word, -1) for word in token.split(" ")]
        return None if -1 in found else found

    def extended(self, gram: str, name: str) -> str:
        """Return the name of the n-gram that is `gram` and one more word."""
        return f"{gram} {name}"

    def word(self, name: str) -> str:
        """Return the bare word of `name`, by which stop words are known."""
        return name


def _bytes(captions: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
    """Return the captions as bytes, one more byte after each, and their lengths in bytes.

    What is not ASCII is cut into words here and put together again, so that one scanner reads all.
    """
    joined = "\n".join(captions)
    odd = "'" in joined and _DIGIT_BEHIND.search(joined) is not None
    if not joined.isascii() or odd:
        captions = [
            text if text.isascii() and not (odd and _DIGIT_BEHIND.search(text)) else _spelt(text)
            for text in captions
        ]
        encoded = [text.encode() for text in captions]
        return b"\n".join(encoded), np.fromiter(map(len, encoded), np.int64, len(encoded))
    return joined.encode(), np.fromiter(map(len, captions), np.int64, len(captions))


def _spelt(text: str) -> str:
    return " , ".join(" ".join(phrase) for phrase in phrases(text))


def _scan(joined: bytes, *, punctuation: bool) -> tuple[NDArray[np.int64], NDArray[np.uint8], Any]:
    """Return where words start, how each joins the word before, and the words (string).

    What follows a word up to the next one is still on it: few different words are cheaper to strip than all.
    """
    text = np.frombuffer(joined.translate(_TABLE), np.uint8)
    word = text > _COMMA
    quotes = np.flatnonzero(text == _APOSTROPHE)
    if len(quotes):
        before = np.where(quotes > 0, word[quotes - 1], False)
        after = np.where(quotes + 1 < len(text), text[np.minimum(quotes + 1, len(text) - 1)] > _NINE, False)
        word[quotes[before & after]] = True
    begins = word.copy()
    begins[1:] &= ~word[:-1]
    starts = np.flatnonzero(begins)
    buffers = [None, pa.py_buffer(np.append(starts, len(text)).astype(np.int32)), pa.py_buffer(text)]
    texts = pa.Array.from_buffers(pa.string(), len(starts), buffers)
    joints = np.full(len(starts), DIRECT, np.uint8)
    if punctuation:
        commas = np.flatnonzero((text == _COMMA) | ((text == _APOSTROPHE) & ~word))
        passed = np.searchsorted(commas, starts)
        joints[1:][passed[1:] != passed[:-1]] = PUNCTUATION
    return starts, joints, texts
