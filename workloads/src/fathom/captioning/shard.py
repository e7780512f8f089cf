"""One shard's captions: what is there already, what is added, and the manifest that ends it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from fathom import manifest
from fathom.captioning import parts
from fathom.captioning.items import shard_hash
from fathom.captioning.parts import CaptionRow, ErrorRow

#: A part is written when it has this many rows or is this many seconds old: the most a killed pod loses.
PART_ROWS: Final = 64
PART_SECONDS: Final = 30.0
#: Captions made when there was another number of shards, kept for reuse.
_EARLIER: Final = "earlier"


class Shard:
    """The captions and errors of shard `index` below `output`, committed in parts while they are made.

    At the end the folder holds one row for each caption wanted in this run and no other, in one sealed file.
    """

    def __init__(
        self, output: Path, index: int, shards: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = parts.shard_folder(output / "captions", index)
        self._errors_folder = parts.shard_folder(output / "errors", index)
        self._earlier = output / "captions" / _EARLIER
        self._index, self._shards = index, shards
        self._clock = clock
        self._existing = {(row.item_id, row.key): row for row in _existing(output, index, shards)}
        self._own = {(row.item_id, row.key) for row in parts.read_captions(parts.parts(self._folder))}
        self._wanted: set[tuple[str, str]] = set()
        self._captions: list[CaptionRow] = []
        self._errors: list[ErrorRow] = []
        self._committed_at = clock()
        _forget_errors(output, index, shards)

    def reuse(self, item_id: str, key: str) -> CaptionRow | None:
        """Return the caption that `item_id` has under `key` already, whichever shard made it."""
        row = self._existing.get((item_id, key))
        if row is not None and (item_id, key) not in self._own:
            self.add(row)
        elif row is not None:
            self._wanted.add((item_id, key))
        return row

    def add(self, row: CaptionRow | ErrorRow) -> None:
        """Keep `row`, and commit when a part is full or old."""
        if isinstance(row, ErrorRow):
            self._errors.append(row)
        else:
            self._captions.append(row)
            self._wanted.add((row.item_id, row.key))
        waiting = len(self._captions) + len(self._errors)
        if waiting >= PART_ROWS or self._clock() - self._committed_at >= PART_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write what has been added since the last commit."""
        if self._captions:
            self._unseal()
            parts.append(self._folder, self._captions, parts.CAPTIONS)
        if self._errors:
            parts.append(self._errors_folder, self._errors, parts.ERRORS)
        self._captions, self._errors = [], []
        self._committed_at = self._clock()

    def finish(self, made_from: dict[str, str], counts: dict[str, int]) -> manifest.Manifest:
        """Commit the rest, drop captions that are not wanted any more, and seal the folder."""
        self.commit()
        self._merge()
        self._folder.mkdir(parents=True, exist_ok=True)
        return manifest.write(self._folder, "Captions", counts=counts, made_from=made_from)

    def _merge(self) -> None:
        files = parts.parts(self._folder)
        rows = list(parts.read_captions(files))
        if len(files) <= 1 and len(rows) == len(self._wanted):
            return
        self._unseal()
        kept = {(row.item_id, row.key): row for row in rows if (row.item_id, row.key) in self._wanted}
        self._hand_over(row for row in rows if shard_hash(row.item_id) % self._shards != self._index)
        if kept:
            parts.append(self._folder, kept.values(), parts.CAPTIONS)
        # Killed here, the next run finds rows twice and merges again.
        for file in files:
            file.unlink()

    def _hand_over(self, rows: Iterable[CaptionRow]) -> None:
        """Put rows that another shard may want, after items were dealt anew, where all shards look."""
        file = self._earlier / f"shard-{self._index:05d}.parquet"
        if fresh := list(rows):
            parts.write(file, [*parts.read_captions([file]), *fresh], parts.CAPTIONS)

    def _unseal(self) -> None:
        (self._folder / manifest.NAME).unlink(missing_ok=True)


def _existing(output: Path, index: int, shards: int) -> Iterator[CaptionRow]:
    """Yield the captions of all folders whose items belong to shard `index` today."""
    folders = parts.shard_folders(output / "captions").values()
    files = itertools.chain.from_iterable(parts.parts(folder) for folder in folders)
    # Rows are handed over before they are removed, so looking there last misses none.
    handed_over = (output / "captions" / _EARLIER).glob("shard-*.parquet")
    for row in parts.read_captions(itertools.chain(files, handed_over)):
        if shard_hash(row.item_id) % shards == index:
            yield row


def _forget_errors(output: Path, index: int, shards: int) -> None:
    """Remove the errors of this shard, and of one that is no more: their items are tried again."""
    for number, folder in parts.shard_folders(output / "errors").items():
        if number % shards == index:
            for file in parts.parts(folder):
                file.unlink(missing_ok=True)
