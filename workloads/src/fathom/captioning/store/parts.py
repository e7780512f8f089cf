"""Captions and errors as rows, and the Parquet files that hold them, each of which appears whole."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from fathom.errors import InvalidInputError
from fathom.storage import Location, appearing

SAMPLES: Final = "samples"
CAPTIONS: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("aspect", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("media_sha256", pa.string(), nullable=False),
        pa.field("model_digest", pa.string(), nullable=False),
        pa.field("prompt_digest", pa.string(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("milliseconds", pa.float64(), nullable=False),
        pa.field("finish", pa.string(), nullable=False),
        pa.field("made_at", pa.float64(), nullable=False),
        pa.field(SAMPLES, pa.list_(pa.string())),
    ]
)
ERRORS: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("aspect", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("media_sha256", pa.string()),
        pa.field("key", pa.string()),
        pa.field("made_at", pa.float64(), nullable=False),
    ]
)
#: Reasons that may have passed by the next run: these failures are not remembered, they are tried again.
TRANSIENT: Final = frozenset(
    {
        "ConnectionFailed",
        "EndpointUnavailable",
        "MediaUnreachable",
        "OutOfMemory",
        "RateLimited",
        "ServerError",
        "Timeout",
    }
)
Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)
#: Rows read at once.
BATCH_ROWS: Final = 8192


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """One answer about one item; `key` says what it was made from, `made_at` is seconds since 1970.

    `samples` are what else the model might have said, None where it was not asked.
    """

    item_id: str
    aspect: str
    caption: str
    key: str
    media_sha256: str
    model_digest: str
    prompt_digest: str
    tokens: int
    milliseconds: float
    finish: str
    made_at: float
    samples: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One item that could not be read, or (with an `aspect`) one question about it without an answer."""

    item_id: str
    aspect: str
    reason: str
    message: str
    media_sha256: str | None
    key: str | None
    made_at: float

    @property
    def lasting(self) -> bool:
        """Return whether the same media and model are bound to fail again."""
        return self.key is not None and self.reason not in TRANSIENT


def table(rows: Sequence[CaptionRow | ErrorRow], schema: pa.Schema) -> pa.Table:
    """Return `rows` as a table."""
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)


def write(path: Location, rows: pa.Table) -> None:
    """Write `rows` to `path`, which appears whole."""
    with writing(path, rows.schema) as out:
        out.write_table(rows)


@contextmanager
def writing(path: Location, schema: pa.Schema, compression: str = "zstd") -> Generator[pq.ParquetWriter]:
    """Yield a writer of a file that appears at `path`, whole, when the block succeeds."""
    with (
        appearing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression=compression, write_page_checksum=True) as out,
    ):
        yield out


class Groups:
    """Collects batches of any size into row groups of `size` rows."""

    def __init__(self, out: pq.ParquetWriter, size: int = BATCH_ROWS) -> None:
        self._out = out
        self._size = size
        self._waiting: list[pa.RecordBatch] = []
        self._count = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        self._waiting.append(rows)
        self._count += rows.num_rows
        if self._count >= self._size:
            self.flush()

    def flush(self) -> None:
        """Write what waits; call it once more at the end."""
        if self._waiting:
            self._out.write_table(pa.Table.from_batches(self._waiting), row_group_size=self._size)
        self._waiting, self._count = [], 0


@contextmanager
def reading(path: Location) -> Generator[pq.ParquetFile]:
    """Yield the file at `path`; its pages are checked against their checksums as they are read.

    Raises:
        FileNotFoundError: there is none.
        InvalidInputError: it is damaged.
    """
    try:
        with path.open("rb") as data, pq.ParquetFile(data, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        # Arrow reports a page that does not fit its checksum as an OSError that has no number.
        if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) is not None:
            raise
        raise InvalidInputError(
            "Damaged", f"{path}: not readable as Parquet ({error}); restore it or remove it"
        ) from error


def group(file: pq.ParquetFile, number: int, columns: list[str]) -> pa.Table:
    """Return row group `number` of `file`; a small one is read faster without threads."""
    return _with_samples(file.read_row_group(number, columns, use_threads=False), columns)


def batches(path: Location, columns: list[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file, a few at a time.

    Raises:
        FileNotFoundError: there is none.
        InvalidInputError: it is damaged.
    """
    with reading(path) as file:
        for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
            yield _with_samples(batch, columns)


def _with_samples(rows: Rows, columns: list[str]) -> Rows:
    """Return `rows` with the column `samples`, if it is one of `columns`: files older than it have none."""
    if SAMPLES not in columns or SAMPLES in rows.schema.names:
        return rows
    field = CAPTIONS.field(SAMPLES)
    return rows.append_column(field, pa.nulls(rows.num_rows, field.type))
