"""Texts that may hold a model's own markup: an image token, an end of turn, a role."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

#: What models are known to use, for servers whose tokenizer we do not have.
_KNOWN: Final = re.compile(r"<[|/]?[\w .:-]{1,40}[|]?>|\[/?[A-Z_]{2,24}\]|<<[A-Z]+>>|<｜[^｜]{1,40}｜>")


class Markup:
    """The strings that a tokenizer turns into tokens of their own, and texts without them."""

    def __init__(self, processor: Any) -> None:
        """Take the special and added tokens of `processor`'s tokenizer and its own image and video tokens."""
        self._tokenizer = processor.tokenizer
        own = [getattr(processor, name, None) for name in ("image_token", "video_token", "audio_token")]
        added = {str(token) for token in self._tokenizer.get_added_vocab()}
        marks = {str(t) for t in (*self._tokenizer.all_special_tokens, *own) if t} | {
            token for token in added if _is_markup(token)
        }
        self._marks = _any_of(marks)
        # An unknown character is no markup, though its token is a special one.
        unknown = self._tokenizer.unk_token_id
        ids = self._tokenizer.convert_tokens_to_ids(sorted(marks))
        self._ids = {i for i in ids if i is not None and i != unknown}

    def clean(self, text: str) -> str:
        """Return `text` so that the tokenizer makes ordinary tokens of all of it."""
        if not text:
            return text
        apart = _pull_apart(self._marks, text)
        found = self._tokenizer(apart, add_special_tokens=False)["input_ids"]
        if self._ids.isdisjoint(found):
            return apart
        # A tokenizer that normalises its input finds marks that we do not see: keep letters and digits.
        return " ".join(re.findall(r"\w+", apart))


def clean_known(text: str) -> str:
    """Return `text` without the markup of well-known models."""
    return _pull_apart(_KNOWN, text)


def _pull_apart(marks: re.Pattern[str], text: str) -> str:
    return marks.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)


def _is_markup(token: str) -> bool:
    """Return whether `token` was added for its meaning, not to shorten words or white space."""
    return len(token.strip()) > 1 and not token.strip().isalnum()


def _any_of(marks: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted((m for m in marks if len(m.strip()) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
