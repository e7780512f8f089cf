"""Captioning a shard: read, reuse, caption, commit."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from PIL.Image import Image

from fathom.captioning import media
from fathom.captioning.captioner import Caption, Captioner, Keys
from fathom.captioning.items import Item, shard_hash
from fathom.captioning.parts import CaptionRow, ErrorRow
from fathom.captioning.shard import Shard
from fathom.captioning.sources import open_source
from fathom.captioning.stopping import Stop
from fathom.progress import Reporter
from fathom_api.progress import Progress
from fathom_api.tasks import AnySource, CaptionTask


def dealt(source: AnySource, shard: int, shards: int) -> Iterator[Item]:
    """Yield the items of `shard`: the same id is always in the same one, wherever its row is."""
    for item in open_source(source).items(0, sys.maxsize):
        if (item.row if item.id is None else shard_hash(item.id)) % shards == shard:
            yield item


@dataclass
class Tally:
    """What has been counted so far, as progress."""

    total: int
    done: int = 0
    failed: int = 0
    reused: int = 0
    tokens: int = 0
    samples: list[str] = field(default_factory=list[str])
    started: float = field(default_factory=time.monotonic)

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {"total": self.total, "done": self.done, "failed": self.failed, "reused": self.reused}

    def progress(self) -> Progress:
        """Return the counts, and the tokens that the model writes per second."""
        seconds = max(time.monotonic() - self.started, 1e-3)
        return Progress(
            **self.counts(),
            metrics={"tokens_per_second": round(self.tokens / seconds, 1)},
            samples=self.samples[-3:],
        )


@dataclass(frozen=True)
class _Ready:
    """An item whose picture is decoded."""

    item_id: str
    sha256: str
    key: str
    image: Image


class Work:
    """Captions the items of one shard with `captioner` and keeps the rows in `shard`."""

    def __init__(
        self, task: CaptionTask, captioner: Captioner, keys: Keys, shard: Shard, tally: Tally
    ) -> None:
        self._task = task
        self._captioner = captioner
        self._keys = keys
        self._shard = shard
        self.tally = tally
        self._seen: set[str] = set()

    def run(self, index: int, stop: Stop, report: Reporter) -> None:
        """Go through the shard's items once; when stopped, the batch in flight is finished and committed.

        Raises:
            SystemExit: we were told to stop.
        """
        for batch in self._batches(index):
            self._caption(batch)
            report.update(self.tally.progress())
            if stop.signal is not None:
                self._shard.commit()
                stop.check()

    def _batches(self, index: int) -> Iterator[list[_Ready]]:
        """Yield full batches, and empty ones now and then so that long runs of reused items are reported."""
        batch: list[_Ready] = []
        for number, item in enumerate(dealt(self._task.source, index, self._task.shards), start=1):
            ready = self._prepare(item)
            if ready is not None:
                batch.append(ready)
            if len(batch) == (self._task.model.batch_size or 8) or (not batch and number % 100 == 0):
                yield batch
                batch = []
        yield batch

    def _prepare(self, item: Item) -> _Ready | None:
        """Return the item with its picture, or None where its caption exists or it cannot have one."""
        if item.id is None:
            return self._fail(ErrorRow("", "NoId", f"row {item.row} has no {self._task.source.id_column}"))
        if item.id in self._seen:
            message = f"row {item.row} has the {self._task.source.id_column} of an earlier row"
            return self._fail(ErrorRow(item.id, "DuplicateId", message))
        self._seen.add(item.id)
        sha256 = None
        try:
            found = media.read(item.media, self._task.source)
            sha256, key = found.sha256, self._keys.key(found.sha256)
            if (row := self._shard.reuse(item.id, key)) is not None:
                self._count(row.caption, 0)
                self.tally.reused += 1
                return None
            return _Ready(item.id, sha256, key, media.decode(found, self._task.source).frames[0])
        except media.UnusableMediaError as error:
            return self._fail(ErrorRow(item.id, error.reason, str(error), sha256))

    def _caption(self, batch: list[_Ready]) -> None:
        """Caption `batch`; one that the model refuses is halved until the item at fault is alone."""
        if not batch:
            return
        try:
            captions = self._captioner.caption([ready.image for ready in batch])
        except (ValueError, torch.OutOfMemoryError) as error:
            if len(batch) > 1:
                self._caption(batch[: len(batch) // 2])
                self._caption(batch[len(batch) // 2 :])
            else:
                reason = "OutOfMemory" if isinstance(error, torch.OutOfMemoryError) else "RefusedByModel"
                self._fail(ErrorRow(batch[0].item_id, reason, str(error)[:500], batch[0].sha256))
            return
        for ready, caption in zip(batch, captions, strict=True):
            self._keep(ready, caption)

    def _keep(self, ready: _Ready, caption: Caption) -> None:
        self._shard.add(
            CaptionRow(
                item_id=ready.item_id,
                caption=caption.text,
                key=ready.key,
                media_sha256=ready.sha256,
                model_digest=self._keys.model_digest,
                prompt_digest=self._keys.prompt_digest,
                tokens=caption.tokens,
                milliseconds=caption.milliseconds,
            )
        )
        self._count(caption.text, caption.tokens)

    def _count(self, text: str, tokens: int) -> None:
        self.tally.done += 1
        self.tally.tokens += tokens
        if text and text not in self.tally.samples:
            self.tally.samples = [*self.tally.samples[-2:], text]

    def _fail(self, row: ErrorRow) -> None:
        self._shard.add(row)
        self.tally.failed += 1
