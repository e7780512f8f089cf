"""JSON lines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar, Final

import pyarrow as pa
from pydantic_core import from_json

from fathom.captioning.items import Record, as_id
from fathom.captioning.sources import columns, lines
from fathom.captioning.sources.files import Note
from fathom.captioning.sources.index import Mark
from fathom.errors import InvalidInputError
from fathom.storage import Location
from fathom_api.tasks import AnySource

_log = logging.getLogger("fathom")
_BATCH: Final = 8192
#: Names of columns remembered, for the complaint that one is missing.
_NAMES: Final = 1000


class Jsonl:
    """One JSON object a line; empty lines are no rows.

    A line that is none is a row without id, as a row with a null is: it costs one item, not the job. Only
    where the first line is none, the file is not what it is said to be.
    """

    counted_at_once: ClassVar = 1

    def __init__(self, source: AnySource) -> None:
        self._source = source

    def check(self, path: Location) -> None:
        """Check that the first line is a JSON object."""
        with lines.opened(path) as file:
            line = next((line for _, line in _lines(file)), b"{}")
        if _parse(line) is None:
            raise InvalidInputError("UnreadableTable", f"{path}, line 1: not a JSON object")

    def count(self, path: Location) -> int:
        """Count the lines that are not empty."""
        with lines.opened(path) as file:
            return sum(1 for _ in _lines(file))

    def ids(self, path: Location, note: Note) -> Iterator[pa.Array]:
        """Yield the ids; a column that no line has is only known to be missing at the end."""
        self.check(path)
        found: list[str | None] = []
        names: dict[str, None] = {}
        with lines.opened(path) as file:
            for row, (offset, line) in enumerate(_lines(file)):
                note(row, offset)
                value = _parse(line)
                if value is None:
                    _log.warning("%s: row %d, byte %d, is not a JSON object", path, row, offset)
                elif len(names) < _NAMES and not value.keys() <= names.keys():
                    names |= dict.fromkeys(value)
                found.append(as_id((value or {}).get(self._source.id_column)))
                if len(found) == _BATCH:
                    yield pa.array(found, pa.string())
                    found = []
        if found:
            yield pa.array(found, pa.string())
        if names and len(names) < _NAMES:
            columns.need(path, self._source, names)

    def records(self, path: Location, start: int, stop: int | None, mark: Mark) -> Iterator[Record]:
        """Yield rows [start, stop); lines before are read and not parsed."""
        with lines.opened(path) as file:
            file.seek(mark.offset)
            for row, (_, line) in enumerate(_lines(file), mark.row):
                if stop is not None and row >= stop:
                    return
                if row >= start:
                    yield columns.record(self._source, _parse(line) or {})


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    offset = file.tell()
    while (line := lines.next_line(file)) != b"":
        if line is None or line.strip():
            yield offset, line
        offset = file.tell() if line is None else offset + len(line)


def _parse(line: bytes | None) -> dict[str, Any] | None:
    try:
        value = from_json(line or b"")
    except ValueError:
        value = _forgiven(line or b"")
    return value if isinstance(value, dict) else None


def _forgiven(line: bytes) -> Any:
    """Return what a line holds that is JSON but for its Unicode; None where it is not."""
    try:
        # Of numbers there may be more digits than Python turns into an int, of brackets more than its stack.
        return json.loads(line.decode("utf-8-sig", "backslashreplace"))
    except (ValueError, RecursionError):
        return None
