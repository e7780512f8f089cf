"""Strangers' words made fit for a page: nothing unseen, nothing endless, nothing that cannot be written."""

from __future__ import annotations

from typing import Final, NamedTuple

#: Embeddings, overrides and isolates reorder what stands around them. Marks (U+200E) are harmless.
_REORDERING: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_LONGEST_ID: Final = 120
_BLANK: Final = (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
#: Half a surrogate pair has no UTF-8; the last two are no characters at all.
_UNWRITABLE: Final = (*range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_SHOWN: Final[dict[int, str]] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys(_UNWRITABLE, "\ufffd"),
    **{code: f"[U+{code:04X}]" for code in _REORDERING},
    **dict.fromkeys(_BLANK, " "),
}


class Cut(NamedTuple):
    """A text as it is shown, and how many of its characters are not."""

    text: str
    left_off: int = 0


def cut(text: str, most: int) -> Cut:
    """Return the first `most` characters of `text`, those made visible that would be unseen or do harm."""
    return Cut(text[:most].translate(_SHOWN), max(0, len(text) - most))


def shown_id(item_id: str) -> str:
    """Return an item's id as it is shown."""
    return clean(item_id, _LONGEST_ID)


def clean(text: str, most: int) -> str:
    """Return `text` like `cut`, with an ellipsis where something was left off."""
    shown = cut(text, most)
    return f"{shown.text}…" if shown.left_off else shown.text
