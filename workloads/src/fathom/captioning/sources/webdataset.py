"""WebDataset: tar archives whose members of one name, suffixes aside, are one sample."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Final, cast

import pyarrow as pa

from fathom.captioning.items import Record, as_id, texts
from fathom.captioning.sources.files import Note
from fathom.captioning.sources.folder import SUFFIXES
from fathom.captioning.sources.index import Mark
from fathom.captioning.sources.slices import Slice
from fathom.errors import InvalidInputError
from fathom.storage import Location
from fathom_api.tasks import AnySource

_BATCH: Final = 8192
#: Most of a sample's JSON or text that is read.
_MAX_TEXT: Final = 2**20
_MAX_HEADER: Final = 2**20


@dataclass
class _Sample:
    """Members of one key: suffix → where the member's content lies."""

    key: str
    offset: int
    members: dict[str, Slice] = field(default_factory=dict[str, Slice])


class WebDataset:
    """A sample's id is its JSON's, or its key.

    Its media is the member whose suffix is the media column's name, or the first of a known suffix; texts are
    values of its JSON, or members of that suffix.

    Reading goes from header to header; media are not read here but where they are needed. Links, folders and
    devices in an archive are passed over.
    """

    counted_at_once: ClassVar = 1

    def __init__(self, source: AnySource) -> None:
        self._source = source

    def check(self, path: Location) -> None:
        """Check that the first sample has media and the columns that are asked for."""
        with _opened(path) as file:
            sample = next(_samples(path, file, 0), None)
        if sample is None:
            return
        if self._media(sample) is None:
            raise InvalidInputError(
                "MissingColumn",
                f"{path}: the first sample, {sample.key!r}, has no {self._source.media_type.lower()}; it has "
                f"{', '.join(map(repr, sample.members))}",
            )

    def count(self, path: Location) -> int:
        """Go over the headers."""
        with _opened(path) as file:
            return sum(1 for _ in _samples(path, file, 0))

    def ids(self, path: Location, note: Note) -> Iterator[pa.Array]:
        """Yield the ids, reading headers and JSON members."""
        found: list[str | None] = []
        with _opened(path) as file:
            for row, sample in enumerate(_samples(path, file, 0)):
                note(row, sample.offset)
                found.append(self._id(sample, _json(file, sample)))
                if len(found) == _BATCH:
                    yield pa.array(found, pa.string())
                    found = []
        if found:
            yield pa.array(found, pa.string())

    def records(self, path: Location, start: int, stop: int | None, mark: Mark) -> Iterator[Record]:
        """Yield samples [start, stop)."""
        with _opened(path) as file:
            for row, sample in enumerate(_samples(path, file, mark.offset), mark.row):
                if stop is not None and row >= stop:
                    return
                if row >= start:
                    told = _json(file, sample)
                    yield Record(self._id(sample, told), self._media(sample), self._texts(file, sample, told))

    def _id(self, sample: _Sample, told: dict[str, Any]) -> str | None:
        return as_id(told.get(self._source.id_column)) or as_id(sample.key)

    def _media(self, sample: _Sample) -> Slice | None:
        named = sample.members.get(self._source.media_column.lower())
        if named is not None:
            return named
        known = SUFFIXES[self._source.media_type]
        return next((s for name, s in sample.members.items() if f".{name.rpartition('.')[2]}" in known), None)

    def _texts(self, file: BinaryIO, sample: _Sample, told: dict[str, Any]) -> dict[str, str]:
        row: dict[str, Any] = {}
        for name in self._source.text_columns:
            member = sample.members.get(name.lower())
            row[name] = told.get(name) if member is None or name in told else _content(file, member)
        return texts(row, self._source.text_columns, self._source.max_text_length)


def _samples(path: Location, file: BinaryIO, offset: int) -> Iterator[_Sample]:
    """Yield the samples from the header at byte `offset` on."""
    sample: _Sample | None = None
    for member in _members(path, file, offset):
        folder, slash, name = member.name.removeprefix("./").rpartition("/")
        stem, dot, suffix = name.partition(".")
        if not dot or not stem:
            continue
        key = f"{folder}{slash}{stem}"
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(key, member.offset)
        sample.members.setdefault(suffix.lower(), Slice(path, member.offset_data, member.size))
    if sample is not None:
        yield sample


def _members(path: Location, file: BinaryIO, offset: int) -> Iterator[tarfile.TarInfo]:
    file.seek(offset)
    try:
        headers = _Headers(file)
        with tarfile.open(fileobj=cast(io.BytesIO, headers), mode="r:", errors="backslashreplace") as tar:
            while (member := tar.next()) is not None:
                # tarfile remembers every member it has seen.
                tar.members = []  # pyright: ignore[reportAttributeAccessIssue]
                if member.isreg() and not member.issparse():
                    yield member
        if headers.last.strip(b"\0") or not headers.last:
            raise tarfile.ReadError("it ends without an end mark, so that more may be missing")
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise InvalidInputError("UnreadableTable", f"{path}: a damaged archive: {error}") from error


class _Headers:
    """The file as tarfile sees it: headers only, so that one that claims to be long cannot fill the memory.

    Others read from the same file between two headers, so that the place is kept here.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._place = file.tell()
        self.last = b""

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self._file.seek(self._place)
        data = self._file.read(size)
        self._place += len(data)
        self.last = data
        return data

    def seek(self, place: int) -> int:
        self._place = place
        return place

    def tell(self) -> int:
        return self._place


def _json(file: BinaryIO, sample: _Sample) -> dict[str, Any]:
    member = sample.members.get("json")
    if member is None:
        return {}
    try:
        value = json.loads(_content(file, member))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _content(file: BinaryIO, member: Slice) -> bytes:
    file.seek(member.offset)
    return file.read(min(member.size, _MAX_TEXT))


@contextmanager
def _opened(path: Location) -> Generator[BinaryIO]:
    with path.open("rb") as file:
        yield cast(BinaryIO, file)
