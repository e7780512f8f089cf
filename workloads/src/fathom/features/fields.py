"""Answers that are JSON, as sequences of `key=value`: each value one symbol, long texts their words.

Keys of nested objects are joined by dots, an array gives one symbol for each element. `{"scene": {"place":
"beach"}, "tags": ["sea", "sun"]}` → `scene.place=beach`, `tags=sea`, `tags=sun`. A text of more than
`LONGEST_VALUE` words is not a value that comes again: of it the words count, `note:a`, `note:a red`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from fathom.features.lexicon import Lexicon
from fathom.features.sequences import APART, DIRECT, PUNCTUATION, Sequences
from fathom.features.words import normalised, phrases

#: Words of the longest text that is one symbol.
LONGEST_VALUE: Final = 3
#: Values looked at of one answer, and how deep: an answer may be anything.
_MOST: Final = 1000
_DEEPEST: Final = 16


class Fields(Lexicon):
    """A lexicon whose symbols are values and words of answers in JSON. Other text is read as a caption."""

    def scan(self, captions: Sequence[str]) -> Sequences:
        """Return `captions` as sequences of values and words."""
        symbols: list[int] = []
        joints: list[int] = []
        offsets = [0]
        for caption in captions:
            for name, joint in _symbols(caption):
                symbols.append(self.number(name))
                joints.append(joint)
            offsets.append(len(symbols))
        return Sequences(np.array(offsets, np.int64), np.array(symbols, np.int32), np.array(joints, np.uint8))

    def path(self, token: str) -> list[int] | None:
        """Return the symbols of a value, or of an n-gram of a long text."""
        if token in self.numbers:
            return [self.numbers[token]]
        key, colon, found = token.rpartition(":")
        path = [self.numbers.get(f"{key}{colon}{word}", -1) for word in found.split(" ")]
        return None if -1 in path else path

    def extended(self, gram: str, name: str) -> str:
        """Return the name of the n-gram that is `gram` and one more word, the key said once."""
        return f"{gram} {self.word(name)}"

    def word(self, name: str) -> str:
        """Return the bare word of `name`; a value has none, it is never a stop word."""
        return name.rpartition(":")[2] if "=" not in name else ""


def _symbols(caption: str) -> Iterator[tuple[str, int]]:
    """Yield the name of each symbol, and how it joins the one before."""
    try:
        answer = json.loads(caption)
    except (ValueError, RecursionError):
        yield from _words("", caption)
        return
    for number, (key, value) in enumerate(_leaves("", answer, 0)):
        if number == _MOST:
            return
        yield from _said(key, value)


def _leaves(key: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{key}.{_key(name)}" if key else _key(name), inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(key, inner, depth + 1)
    elif value is not None:
        yield key, value


def _key(name: str) -> str:
    return "_".join(name.split())


def _said(key: str, value: Any) -> Iterator[tuple[str, int]]:
    text = value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, str) and sum(map(len, phrases(text))) > LONGEST_VALUE:
        yield from _words(f"{key}:", text)
    elif plain := " ".join(normalised(text).split()):
        yield f"{key}={plain}", APART


def _words(prefix: str, text: str) -> Iterator[tuple[str, int]]:
    for at, phrase in enumerate(phrases(text)):
        for place, word in enumerate(phrase):
            yield f"{prefix}{word}", DIRECT if place else PUNCTUATION if at else APART
