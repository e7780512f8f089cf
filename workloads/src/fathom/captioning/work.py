"""Captioning a shard: read, reuse, caption, commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from PIL.Image import Image

from fathom.captioning import media
from fathom.captioning.captioner import Caption, Captioner, Keys
from fathom.captioning.items import Item
from fathom.captioning.parts import CaptionRow, ErrorRow
from fathom.captioning.shard import Shard
from fathom.captioning.sources import SourceReader
from fathom.captioning.stopping import Stop
from fathom.progress import Reporter
from fathom_api.captioning import ASPECT
from fathom_api.progress import Progress
from fathom_api.tasks import CaptionTask


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

    def progress(self, shard: Shard) -> Progress:
        """Return the counts, the tokens that the model writes per second, and when `shard` last committed."""
        seconds = max(time.monotonic() - self.started, 1e-3)
        return Progress(
            **self.counts(),
            metrics={"tokens_per_second": round(self.tokens / seconds, 1)},
            samples=self.samples[-3:],
            tokens=self.tokens,
            committed_at=shard.committed_at,
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

    def run(self, reader: SourceReader, stop: Stop, report: Reporter) -> None:
        """Go through the shard's items once; when stopped, the batch in flight is finished and committed.

        Raises:
            SystemExit: we were told to stop.
        """
        for batch in self._batches(reader):
            self._caption(batch)
            self._shard.batch_done()
            report.update(self.tally.progress(self._shard))
            if stop.signal is not None:
                self._shard.commit()
                stop.check()

    def _batches(self, reader: SourceReader) -> Iterator[list[_Ready]]:
        """Yield full batches, and empty ones now and then so that long runs of reused items are reported."""
        batch: list[_Ready] = []
        for number, item in enumerate(reader.items(self._shard.start, self._shard.stop), start=1):
            ready = None if item.row in self._shard.skipped_rows else self._prepare(item)
            if ready is not None:
                batch.append(ready)
            if len(batch) == (self._task.model.batch_size or 8) or (not batch and number % 100 == 0):
                yield batch
                batch = []
        yield batch

    def _prepare(self, item: Item) -> _Ready | None:
        """Return the item with its picture, or None where its caption exists or it cannot have one."""
        item_id = item.id or ""
        if not self._shard.wanted(item_id):
            return self._reuse("")
        sha256 = key = None
        try:
            found = media.read(item.media, self._task.source)
            sha256, key = found.sha256, self._keys.key(found.sha256)
            if (row := self._shard.reuse(item_id, ASPECT, key)) is not None:
                return self._reuse(row.caption)
            if (failed := self._shard.failed_before(item_id, key)) is not None:
                return self._fail(failed)
            return _Ready(item_id, sha256, key, media.decode(found, self._task.source).frames[0])
        except media.UnusableMediaError as error:
            return self._fail(ErrorRow(item_id, "", error.reason, str(error), sha256, key, time.time()))

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
                first, text = batch[0], str(error)[:500]
                self._fail(
                    ErrorRow(first.item_id, ASPECT, reason, text, first.sha256, first.key, time.time())
                )
            return
        for ready, caption in zip(batch, captions, strict=True):
            self._keep(ready, caption)

    def _keep(self, ready: _Ready, caption: Caption) -> None:
        self._shard.add(
            CaptionRow(
                item_id=ready.item_id,
                aspect=ASPECT,
                caption=caption.text,
                key=ready.key,
                media_sha256=ready.sha256,
                model_digest=self._keys.model_digest,
                prompt_digest=self._keys.prompt_digest,
                tokens=caption.tokens,
                milliseconds=caption.milliseconds,
                finish="Stop" if caption.tokens < self._task.model.max_new_tokens else "Length",
                made_at=time.time(),
            )
        )
        self._count(caption.text, caption.tokens)

    def _reuse(self, text: str) -> None:
        self._count(text, 0)
        self.tally.reused += 1

    def _count(self, text: str, tokens: int) -> None:
        self.tally.done += 1
        self.tally.tokens += tokens
        if text and text not in self.tally.samples:
            self.tally.samples = [*self.tally.samples[-2:], text]

    def _fail(self, row: ErrorRow) -> None:
        self._shard.add(row)
        self.tally.failed += 1
