"""Captions as sequences of numbers, and where all of them wait on disk for the next look."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: How a symbol joins the one before it: directly, over punctuation, or not at all (another value).
DIRECT: Final = 0
PUNCTUATION: Final = 1
APART: Final = 2

_SPOOLED: Final = pa.schema(
    [("item_id", pa.string()), ("symbols", pa.list_(pa.int32())), ("joints", pa.list_(pa.uint8()))]
)


@dataclass(frozen=True)
class Sequences:
    """The symbols of some captions, one caption after the other.

    Attributes:
        offsets: int64 [n + 1]; caption i has symbols `offsets[i]` to `offsets[i + 1]`.
        symbols: int32 [m].
        joints: uint8 [m]; how each symbol joins the one before: DIRECT, PUNCTUATION or APART. The first of a
            caption is APART.
    """

    offsets: NDArray[np.int64]
    symbols: NDArray[np.int32]
    joints: NDArray[np.uint8]

    @property
    def owners(self) -> NDArray[np.int64]:
        """int64 [m]; the caption of each symbol."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def without(self, dropped: NDArray[np.bool_], joint: int) -> Sequences:
        """Return the sequences without the symbols that are `dropped` [number of symbols known].

        Where some are dropped, their neighbours join by at least `joint`.
        """
        gone = dropped[self.symbols]
        if not gone.any():
            return self
        places = np.flatnonzero(~gone)
        if not len(places):
            return Sequences(np.zeros_like(self.offsets), self.symbols[:0], self.joints[:0])
        # A kept symbol takes the strongest joint of itself and of all that went before it.
        groups = np.concatenate([[0], places[:-1] + 1])
        strongest = np.maximum.reduceat(self.joints[: places[-1] + 1], groups)
        strongest = np.where(places > groups, np.maximum(strongest, joint), strongest).astype(np.uint8)
        left = np.concatenate([[0], np.cumsum(~gone)])
        return Sequences(left[self.offsets], self.symbols[places], strongest)


class Spool:
    """Sequences of all items, on disk; looked at several times, always in the same order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pa.ipc.RecordBatchFileWriter | None = pa.ipc.new_file(str(path), _SPOOLED)

    def write(self, item_ids: list[str], sequences: Sequences) -> None:
        """Add some items."""
        if self._writer is None:
            raise RuntimeError("the spool has been read already")
        offsets = pa.array(sequences.offsets.astype(np.int32))
        columns = [
            pa.array(item_ids, pa.string()),
            pa.ListArray.from_arrays(offsets, pa.array(sequences.symbols)),
            pa.ListArray.from_arrays(offsets, pa.array(sequences.joints)),
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=_SPOOLED))

    def __iter__(self) -> Iterator[tuple[pa.Array, Sequences]]:
        """Yield some items at a time: their ids (string) and their sequences."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        with pa.memory_map(str(self._path)) as mapped:
            reader = pa.ipc.open_file(mapped)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                symbols, joints = batch["symbols"], batch["joints"]
                offsets = symbols.offsets.to_numpy().astype(np.int64)
                yield (
                    batch["item_id"],
                    Sequences(offsets, symbols.values.to_numpy(), joints.values.to_numpy()),
                )


@contextmanager
def spooling() -> Generator[Path]:
    """Yield a folder for spools, on the pod's own disk (`$TMPDIR`)."""
    with tempfile.TemporaryDirectory(prefix="fathom-features-") as folder:
        yield Path(folder)
