"""Captioning a shard: read, reuse, decode, ask, commit, each beside the others.

One thread reads the source's rows. Some read media, look whether the caption exists, and have them prepared.
The thread that calls `run` asks the engine: a model on CPUs is a quarter to a half faster on a process's
first thread, whose memory glibc keeps best and beside whose OpenMP threads are no others. A server is asked
by as many more as it takes requests. One thread does all else: it counts, keeps rows and commits, in the
order in which things come.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Final

from fathom import memory
from fathom.captioning import media
from fathom.captioning.asked import Asked, ItemState
from fathom.captioning.engines import Answer, Engine, Prepared, UnansweredError
from fathom.captioning.engines.structured import with_schema
from fathom.captioning.items import Item
from fathom.captioning.keys import Keys, prompt_digest
from fathom.captioning.media.unusable import UnusableMediaError
from fathom.captioning.models.prompting import fill
from fathom.captioning.pool import Pool, Waiting
from fathom.captioning.preparing import Threads, at_once
from fathom.captioning.sources import SourceReader
from fathom.captioning.stopping import Stop
from fathom.captioning.store.parts import CaptionRow, ErrorRow
from fathom.captioning.store.shard import Shard
from fathom.captioning.tally import Tally
from fathom.progress import Reporter
from fathom_api.tasks import CaptionTask

Result = Answer | UnansweredError | UnusableMediaError
#: Threads that read media; most of the time they wait for a disk or a server.
_READERS: Final = 8
#: Prepared questions may take this share of the memory that is free, and no more than that many bytes.
_SHARE: Final = 0.25
_MOST_BYTES: Final = 4 * 2**30
#: Answers remembered for items whose media and prompt are those of an earlier one.
_REMEMBERED: Final = 65_536
_REPORT_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.2


class Work:
    """Captions the items of one shard with `engine` and keeps the rows in `shard`."""

    def __init__(
        self, task: CaptionTask, engine: Engine, source: SourceReader, shard: Shard, tally: Tally
    ) -> None:
        self.tally = tally
        self._source_spec = task.source
        self._engine = engine
        self._source = source
        self._shard = shard
        self._keys = Keys.of(task.source, engine.digest, engine.decoding)
        self._questions = task.model.questions()
        self._digests = {asked.name: prompt_digest(asked) for asked in self._questions}
        self._pool = Pool(engine.batch_size, int(min(_MOST_BYTES, _SHARE * memory.available())))
        #: What other threads leave for the one that calls `run` to do.
        self._events: queue.Queue[Callable[[], None]] = queue.Queue()
        self._speaking = engine.concurrency
        self._shard_lock = threading.Lock()
        self._lock = threading.Lock()
        self._open: dict[str, list[Asked]] = {}
        self._answers: OrderedDict[str, Result] = OrderedDict()
        self._preparer = engine.preparer() or Threads(engine)
        self._reported_at = float("-inf")
        self._uncommitted = 0

    def run(self, stop: Stop, report: Reporter) -> None:
        """Go through the shard's items once; when stopped, batches in flight are finished and committed.

        Raises:
            SystemExit: we were told to stop.
            InvalidInputError: source or model are wrong.
        """
        with self._threads(stop), ThreadPoolExecutor(1, thread_name_prefix="keep") as keeper:
            kept = keeper.submit(self._keep, stop, report)
            self._ask(stop)
            kept.result()
        stop.check()
        self._check_complete()

    @contextmanager
    def _threads(self, stop: Stop) -> Generator[None]:
        readers = ThreadPoolExecutor(max(_READERS, at_once()), thread_name_prefix="read")
        works = [threading.Thread(target=self._feed, args=(readers,), name="rows", daemon=True)]
        for number in range(1, self._engine.concurrency):
            name = f"ask-{number}"
            works.append(threading.Thread(target=self._ask, args=(stop,), name=name, daemon=True))
        for work in works:
            work.start()
        try:
            yield
        finally:
            self._pool.close()
            readers.shutdown(wait=False, cancel_futures=True)

    def _check_complete(self) -> None:
        """Make sure that no row was lost on its way from thread to thread."""
        settled = self.tally.done + self.tally.failed
        if settled != self.tally.total:
            raise RuntimeError(f"{settled} of {self.tally.total} items settled; run this shard again")

    # ----- the thread that reads rows

    def _feed(self, readers: ThreadPoolExecutor) -> None:
        skipped = self._shard.skipped_rows
        try:
            for item in self._source.items(self._shard.start, self._shard.stop):
                if item.row in skipped:
                    continue
                if not self._pool.admit():
                    return
                readers.submit(self._read_safely, item)
            self._pool.end()
        except BaseException as error:
            self._events.put(partial(_raise, error))

    # ----- threads that read media

    def _read_safely(self, item: Item) -> None:
        try:
            self._read(item)
        except BaseException as error:
            self._events.put(partial(_raise, error))
        finally:
            self._pool.arrived()

    def _read(self, item: Item) -> None:
        """Read the item's media and put the questions into the pool that nobody has answered."""
        if item.id is None:
            self._events.put(partial(self._unusable, "", "NoId", f"row {item.row} has no id"))
            return
        with self._shard_lock:
            wanted = self._shard.wanted(item.id)
        if not wanted:
            self._events.put(self._kept)
            return
        try:
            found = media.read(item.media, self._source_spec)
        except UnusableMediaError as error:
            self._events.put(partial(self._unusable, item.id, error.reason, str(error)))
            return
        missing = [asked for asked in self._asked(item, item.id, found.sha256) if not self._known(asked)]
        if missing:
            self._prepare(missing, found)

    def _prepare(self, missing: list[Asked], found: media.Media) -> None:
        try:
            outcomes = self._preparer.prepare(
                found, self._source_spec, [asked.question() for asked in missing]
            )
        except UnusableMediaError as error:
            outcomes = [error] * len(missing)
        for asked, outcome in zip(missing, outcomes, strict=True):
            if isinstance(outcome, Prepared):
                self._pool.put(Waiting(asked.key, outcome))
            else:
                self._events.put(partial(self._answered, asked.key, outcome))

    def _asked(self, item: Item, item_id: str, sha256: str) -> list[Asked]:
        state = ItemState(item_id, len(self._questions))
        columns = self._source_spec.text_columns
        filled: list[Asked] = []
        for asked in self._questions:
            prompt = with_schema(
                fill(asked.prompt, item.texts, columns, self._engine.clean), asked.json_schema
            )
            key = self._keys.key(sha256, prompt, asked)
            filled.append(Asked(state, asked, prompt, bool(columns), sha256, key))
        return filled

    def _known(self, asked: Asked) -> bool:
        """Return whether the question is answered, or about to be: then nothing more is to be done for it."""
        with self._shard_lock:
            row = self._shard.reuse(asked.item.item_id, asked.asked.name, asked.key)
            failed = None if row else self._shard.failed_before(asked.item.item_id, asked.key)
        if row is not None:
            self._events.put(partial(self._reused, asked, row))
            return True
        if failed is not None:
            self._events.put(partial(self._close, asked, failed=True))
            return True
        with self._lock:
            if asked.key in self._answers:
                self._events.put(partial(self._settle, asked, self._answers[asked.key], first=False))
                return True
            others = self._open.setdefault(asked.key, [])
            others.append(asked)
            return len(others) > 1

    # ----- threads that ask the engine

    def _ask(self, stop: Stop) -> None:
        try:
            while stop.signal is None and (batch := self._pool.take()):
                results = self._engine.generate([waiting.prepared for waiting in batch])
                for waiting, result in zip(batch, results, strict=True):
                    self._events.put(partial(self._answered, waiting.key, result))
                self._events.put(partial(self._batch_done, len(batch)))
        except BaseException as error:
            self._events.put(partial(_raise, error))
        finally:
            self._events.put(self._spoken)

    # ----- the thread that keeps

    def _keep(self, stop: Stop, report: Reporter) -> None:
        """Do what the others leave to be done, until nobody asks any more."""
        try:
            while self._speaking:
                self._next_event()
                if stop.signal is not None:
                    self._pool.close()
                self._tell(report, every=_REPORT_SECONDS)
        finally:
            # What is answered is answered, whatever came after.
            self._pool.close()
            self._commit()
        self._tell(report, every=0)

    def _next_event(self) -> None:
        try:
            event = self._events.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        event()

    def _tell(self, report: Reporter, every: float) -> None:
        now = time.monotonic()
        if now - self._reported_at >= every:
            self._reported_at = now
            report.update(self.tally.progress(self._shard.committed_at))

    def _commit(self) -> None:
        with self._shard_lock:
            self._shard.commit()

    def _batch_done(self, count: int) -> None:
        """Have a batch's rows committed; answers that come one by one are not worth a file each."""
        self._uncommitted += count
        if self._uncommitted >= self._engine.concurrency:
            self._uncommitted = 0
            with self._shard_lock:
                self._shard.batch_done()

    def _spoken(self) -> None:
        self._speaking -= 1

    def _kept(self) -> None:
        self.tally.done += 1
        self.tally.reused += 1

    def _unusable(self, item_id: str, reason: str, message: str) -> None:
        self._add(ErrorRow(item_id, "", reason, message, None, None, time.time()))
        self.tally.failed += 1

    def _reused(self, asked: Asked, row: CaptionRow) -> None:
        self.tally.wrote(row.caption, 0)
        self._close(asked)

    def _answered(self, key: str, result: Result) -> None:
        """Give `result` to all that wait for the answer with this key."""
        with self._lock:
            waiting = self._open.pop(key)
            self._answers[key] = result
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        for number, asked in enumerate(waiting):
            self._settle(asked, result, first=number == 0)

    def _settle(self, asked: Asked, result: Result, *, first: bool) -> None:
        """Keep the row for `asked`; only the `first` with this answer cost tokens and time."""
        if isinstance(result, Answer):
            digest = self._digests[asked.asked.name]
            self._add(asked.caption(result, self._engine.digest, digest, first=first))
            self.tally.wrote(result.text, result.tokens if first else 0)
            asked.item.made = True
            self._close(asked)
            return
        if not (isinstance(result, UnusableMediaError) and asked.item.failed):
            self._add(asked.error(result))
        self._close(asked, failed=True)

    def _add(self, row: CaptionRow | ErrorRow) -> None:
        with self._shard_lock:
            self._shard.add(row)

    def _close(self, asked: Asked, *, failed: bool = False) -> None:
        """Note that a question of an item is settled; with the last one the item is counted."""
        item = asked.item
        item.left -= 1
        item.failed = item.failed or failed
        if item.left:
            return
        self.tally.failed += item.failed
        self.tally.done += not item.failed
        self.tally.reused += not item.failed and not item.made


def _raise(error: BaseException) -> None:
    raise error
