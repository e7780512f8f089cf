"""Catalogues without media and captioners without a model: what is left is the keeping of captions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fathom.captioning.items import Item
from fathom.captioning.store import planning
from fathom.captioning.store.captions import Captions
from fathom.captioning.store.history import rows
from fathom.captioning.store.parts import CaptionRow, ErrorRow
from fathom.captioning.store.plan import Deal, Plan
from fathom.captioning.store.shard import Shard
from fathom.storage import Location


@dataclass(frozen=True)
class Catalogue:
    """A source: ids in order, None where a row has none; `batch` ids are read at once."""

    names: Sequence[str | None]
    batch: int = 7
    index: None = None

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(list(self.names)).encode()).hexdigest()

    def ids(self) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(self.names), self.batch):
            names = self.names[start : start + self.batch]
            yield pa.record_batch({"item_id": pa.array(names, pa.string())})

    def items(self, start: int, stop: int) -> Iterator[Item]:
        for row in range(start, stop):
            yield Item(row, self.names[row], None, {})

    def deal(self, shards: int = 1, run: int = 1) -> Deal:
        return Deal(self.fingerprint, shards, run)


def catalogue(*names: str | None) -> Catalogue:
    return Catalogue(names)


def numbered(count: int, start: int = 0) -> Catalogue:
    return Catalogue([f"item-{number}" for number in range(start, start + count)])


@dataclass
class Writer:
    """Captions by rule; `words` are what it says instead, `broken` why it says nothing of an item."""

    model: str = "m1"
    aspects: tuple[str, ...] = ("caption",)
    broken: Mapping[str, str] = field(default_factory=dict[str, str])
    batch: int = 2
    words: Mapping[str, str] = field(default_factory=dict[str, str])
    made: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    #: Item and key of captions that were promised to be kept: their batch was committed.
    kept: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    now: float = 0.0

    def key(self, item_id: str, aspect: str) -> str:
        return hashlib.sha256(f"{item_id} {aspect} {self.model}".encode()).hexdigest()

    def text(self, item_id: str, aspect: str) -> str:
        return self.words.get(item_id, f"{aspect} of {item_id} by {self.model}")

    def row(self, item_id: str, aspect: str) -> CaptionRow | ErrorRow:
        key = self.key(item_id, aspect)
        self.made.append((item_id, aspect))
        self.now += 1
        if reason := self.broken.get(item_id):
            return ErrorRow(item_id, aspect, reason, "no", "media", key, self.now)
        text = self.text(item_id, aspect)
        return CaptionRow(item_id, aspect, text, key, "media", self.model, "prompt", 3, 1.5, "Stop", self.now)

    def work(self, source: Catalogue, shard: Shard) -> None:
        """Go through a shard's items, as the pipeline does."""
        fresh: list[CaptionRow | ErrorRow] = []
        for item in source.items(shard.start, shard.stop):
            if item.row in shard.skipped_rows or item.id is None or not shard.wanted(item.id):
                continue
            for aspect in self.aspects:
                key = self.key(item.id, aspect)
                if shard.reuse(item.id, aspect, key) is None and shard.failed_before(item.id, key) is None:
                    fresh.append(self.row(item.id, aspect))
                    shard.add(fresh[-1])
            if len(fresh) >= self.batch:
                shard.batch_done()
                self.kept |= {(r.item_id, r.key) for r in fresh if isinstance(r, CaptionRow)}
                fresh = []

    def caption(
        self, output: Location, source: Catalogue, plan: Plan, index: int, *, retry: bool = False
    ) -> None:
        """Caption one shard."""
        shard = Shard(output, plan, index, asked=self.model, retry_failed=retry)
        self.work(source, shard)
        shard.finish({"model": self.model}, {})

    def run(
        self, output: Location, source: Catalogue, shards: int = 1, run: int = 1, *, retry: bool = False
    ) -> Captions:
        """Plan and caption all shards, one after the other."""
        plan = planning.make(output, source, source.deal(shards, run), "plan")
        for index in range(shards):
            self.caption(output, source, plan, index, retry=retry)
        return Captions(output, shards)


def texts(captions: Captions, aspect: str = "caption") -> dict[str, str]:
    """Return the captions by item; an item that is there twice fails the test."""
    found = [pair for b in captions.batches(aspect) for pair in zip(b.item_ids, b.captions, strict=True)]
    assert len(dict(found)) == len(found)
    return dict(found)


def failures(captions: Captions) -> list[tuple[str, str]]:
    """Return item and reason of each error, sorted."""
    found = [row for batch in captions.errors() for row in batch.to_pylist()]
    return sorted((row["item_id"], row["reason"]) for row in found)


def ever_made(output: Location) -> set[tuple[str, str]]:
    """Return item and key of all captions in history."""
    batches = rows(output / "history", "captions", ["item_id", "key"])
    return {(row["item_id"], row["key"]) for batch in batches for row in batch.to_pylist()}


def captioned(output: Location, words: Mapping[str, str], shards: int = 1) -> Captions:
    """Have the items of `words` captioned so."""
    return Writer(words=words, batch=1000).run(output, Catalogue(list(words)), shards)
