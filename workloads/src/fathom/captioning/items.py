"""What an item is: its id, its media, its texts, as they come out of any source."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import regex

#: Whatever Unicode calls a space becomes one. What is left of control characters is dropped: they end a line
#: of a log, begin an escape sequence of a terminal, or turn the direction of text.
_SPACES: Final = regex.compile(r"\s+")
_CONTROLS: Final = regex.compile(r"[\p{Cc}\p{Cs}\p{Bidi_Control}\uFEFF]+")


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the source: its place from 0, its id (None: it has none), its unread media, its texts."""

    row: int
    id: str | None
    media: Any
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """One row as a file has it."""

    id: str | None
    media: Any
    texts: Mapping[str, str]


def as_id(value: Any) -> str | None:
    """Return `value` as an id: 12, 12.0 (how pandas writes a column with gaps) and "12" are the same.

    What is not Unicode is written out (`\\xe9`, `\\ud800`), so that different ids stay different.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    if isinstance(value, dict | list):
        value = json.dumps(value, default=str)
    return str(value).strip().encode(errors="backslashreplace").decode() or None


def as_ids(column: pa.Array) -> pa.Array:
    """Return `column`, of any type that can be an id, as strings; null where there is none."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        if _is_unicode(column):
            trimmed = pc.call_function("utf8_trim_whitespace", [column])
            empty = pc.call_function("equal", [trimmed, pa.scalar("", column.type)])
            return pc.call_function("if_else", [empty, pa.scalar(None, column.type), trimmed]).cast(
                pa.string()
            )
        column = column.cast(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
    return pa.array([as_id(value) for value in column.to_pylist()], pa.string())


def as_text(value: Any, limit: int) -> str | None:
    """Return `value` as one line of at most `limit` characters; None where there is nothing to say."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        value = value[: 8 * limit].decode(errors="replace")
    if isinstance(value, dict):
        value = json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, list):
        value = ", ".join(map(str, value[:limit]))
    # Cut before cleaning too: what is thrown away need not be looked at.
    text = _CONTROLS.sub("", _SPACES.sub(" ", str(value)[: 8 * limit]))
    return text.strip()[:limit].rstrip() or None


def texts(row: Mapping[str, Any], columns: Iterable[str], limit: int) -> dict[str, str]:
    """Return the texts that `row` has in `columns`."""
    found = ((name, as_text(row.get(name), limit)) for name in columns)
    return {name: text for name, text in found if text is not None}


def _is_unicode(column: pa.Array) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
