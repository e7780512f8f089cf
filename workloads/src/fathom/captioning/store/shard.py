"""One shard of one run: what is there already, what is added, and the view that ends it.

What is added goes to `history/`, at once or with the next part, and stays. A view is what this run wants of
it: `captions/PLAN/shard-00000/` with one file and its manifest, `errors/PLAN/shard-00000/` beside it. A view
can always be made again, and nothing is lost with it. Not for use by several threads.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
from upath import UPath

from fathom import manifest
from fathom.captioning.store import earlier, history, parts, view
from fathom.captioning.store.hashing import identities, identity, new_seed
from fathom.captioning.store.history import Kind, Log
from fathom.captioning.store.parts import CaptionRow, ErrorRow
from fathom.captioning.store.plan import Plan, check, read
from fathom.captioning.store.views import sealed, shard_name
from fathom.storage import Location

#: Rows are committed when so many wait, or the first of them has waited so long (seconds).
PART_ROWS: Final = history.PART_ROWS
PART_SECONDS: Final = 15.0


class Shard:
    """The captions and errors of shard `index` of `plan` below `output`."""

    def __init__(
        self,
        output: Location,
        plan: Plan,
        index: int,
        *,
        asked: str = "",
        retry_failed: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Find what exists. `asked` is a digest of what the model is asked; see `wanted` for `retry_failed`.

        Raises:
            FileNotFoundError: the plan has just been replaced; begin again.
        """
        self.start, self.stop = plan.rows(index)
        self.total = self.stop - self.start
        self.skipped_rows = plan.skipped(index)
        self.committed_at: float | None = None
        self._output, self._plan, self._index, self._asked = output, plan, index, asked
        self._clock = clock
        self._waits_since: float | None = None
        self._seed = new_seed()
        self._own = output / history.FOLDER / plan.name / shard_name(index)
        self._planned = plan.slices(index, "captions")
        self._earlier = earlier.Earlier(self._planned, self._own, self._seed)
        self._token = history.new_token()
        self._captions = Log(self._own, "captions", self._token)
        self._errors = Log(self._own, "errors", self._token)
        self._wanted = array("Q")
        self._failures: dict[tuple[str, str, str | None], ErrorRow] = {}
        self._failed = {} if retry_failed else self._lasting_failures()
        self._done = self._carry_over() if retry_failed else frozenset[str]()

    def reuse(self, item_id: str, aspect: str, key: str) -> CaptionRow | None:
        """Return the caption that an item has under `key` already, and have it in this run's view."""
        row = self._earlier.find(item_id, aspect, key)
        if row is not None:
            self._want(item_id, aspect, key)
        return row

    def failed_before(self, item_id: str, key: str) -> ErrorRow | None:
        """Return how the same media failed with the same model before, and have it among this run's errors.

        None if it never did, if the reason may have passed, or if what failed is to be tried again.
        """
        row = self._failed.get((item_id, key))
        if row is not None:
            self._failures[_place(row)] = row
        return row

    def wanted(self, item_id: str) -> bool:
        """Return whether to look at an item: False if it is done and only what failed is tried again.

        Such an item keeps the captions of the run before. Where the source, the shards or what is asked have
        changed since, every item is looked at.
        """
        return item_id not in self._done

    def add(self, row: CaptionRow | ErrorRow) -> None:
        """Keep `row`, and commit when a part is full or old."""
        if isinstance(row, CaptionRow):
            self._captions.add(row)
            self._want(row.item_id, row.aspect, row.key)
        elif self._failures.get(_place(row)) is row:
            return  # Remembered from an earlier run, so it is in history.
        else:
            self._errors.add(row)
            self._failures[_place(row)] = row
        if self._waits_since is None:
            self._waits_since = self._clock()
        if self._captions.waiting + self._errors.waiting >= PART_ROWS or self._is_old():
            self.commit()

    def batch_done(self) -> None:
        """Commit what a batch has made; in a bucket, where each part costs a request, when a part is old."""
        if not isinstance(self._own, UPath) or self._is_old():
            self.commit()

    def commit(self) -> None:
        """Write what has been added since the last commit."""
        if self._waits_since is None:
            return
        self._captions.commit()
        self._errors.commit()
        self._waits_since = None
        self.committed_at = self._clock()

    def finish(self, made_from: dict[str, str], counts: dict[str, int]) -> manifest.Manifest:
        """Commit the rest, write the view of this run and seal it. `made_from` says what made the captions.

        Raises:
            InvalidInputError: another plan has been made meanwhile.
        """
        self.commit()
        check(read(self._output), self._plan.deal, self._output)
        before = sealed(self._output, self._plan.name, self._index)
        captions, errors = self._write_captions(), self._write_errors()
        made_from = made_from | {
            "plan": self._plan.name,
            "source": self._plan.deal.source,
            "shards": str(self._plan.deal.shards),
            "asked": self._asked,
            "aspects": ",".join(sorted(captions.aspects)),
            "content": captions.digest(),
            "errors": errors.digest(),
        }
        if before is not None and before.holds(made_from):
            # The same again: what is there stays, under the same digest.
            self._drop(self._name("captions"), self._name("errors"))
            return before.manifest
        made_from["errors_file"] = self._name("errors") if errors.rows else ""
        counts = counts | {"captions": captions.rows, "items": captions.items}
        own = {self._name("captions")}
        done = manifest.write(
            self._view("captions"), "Captions", counts=counts, made_from=made_from, only=own
        )
        # Whoever wrote the manifest that ours replaces has ended, so that nobody will name its files again.
        if before is not None:
            self._drop(*before.manifest.files, before.manifest.made_from["errors_file"])
        return done

    def _write_captions(self) -> view.Content:
        wanted = view.Wanted(np.frombuffer(self._wanted, np.uint64).reshape(-1, 2))
        rows = earlier.rows(self._planned, self._own)
        path = self._view("captions") / self._name("captions")
        content = view.write_captions(path, rows, wanted, self._seed)
        if wanted.missing:
            raise RuntimeError(f"{self._own}: {wanted.missing} captions are gone; run this shard again")
        return content

    def _write_errors(self) -> view.Content:
        return view.write_errors(self._view("errors") / self._name("errors"), self._failures.values())

    def _drop(self, *names: str) -> None:
        for name in filter(None, names):
            folder = self._view("errors" if name.startswith("errors") else "captions")
            (folder / name).unlink(missing_ok=True)

    def _name(self, kind: Kind) -> str:
        return f"{kind}-{self._token}.parquet"

    def _view(self, kind: Kind) -> Location:
        return self._output / kind / self._plan.name / shard_name(self._index)

    def _want(self, item_id: str, aspect: str, key: str) -> None:
        self._wanted.extend(identity(item_id, aspect, key, self._seed))

    def _is_old(self) -> bool:
        return self._waits_since is not None and self._clock() - self._waits_since >= PART_SECONDS

    def _lasting_failures(self) -> dict[tuple[str, str], ErrorRow]:
        """Return the failures of earlier runs and pods that would come again, the latest of each."""
        found: dict[tuple[str, str], ErrorRow] = {}
        for slice_ in self._plan.slices(self._index, "errors"):
            with parts.reading(slice_.path) as file:
                _remember(found, parts.group(file, slice_.group, parts.ERRORS.names).to_pylist())
        for batch in history.rows(self._own, "errors", parts.ERRORS.names):
            _remember(found, batch.to_pylist())
        return found

    def _carry_over(self) -> frozenset[str]:
        """Want all captions of the items that were done in the run before, and return their ids."""
        before = sealed(self._output, self._plan.name, self._index)
        if before is None and self._plan.previous:
            before = sealed(self._output, self._plan.previous, self._index)
        deal = self._plan.deal
        same = {"asked": self._asked, "source": deal.source, "shards": str(deal.shards)}
        if before is None or not same.items() <= before.manifest.made_from.items():
            return frozenset()
        failed = {i for rows in before.errors(["item_id"]) for i in rows["item_id"].to_pylist()}
        done: set[str] = set()
        for rows in before.captions(earlier.IDENTITY):
            kept = rows.filter(pa.array([i not in failed for i in rows["item_id"].to_pylist()]))
            done.update(kept["item_id"].to_pylist())
            self._wanted.extend(identities(kept, self._seed).ravel().tolist())
        return frozenset(done)


def _place(row: ErrorRow) -> tuple[str, str, str | None]:
    return row.item_id, row.aspect, row.key


def _remember(found: dict[tuple[str, str], ErrorRow], rows: list[dict[str, object]]) -> None:
    for row in (ErrorRow(**fields) for fields in rows):  # pyright: ignore[reportArgumentType]
        if row.key is None or not row.lasting:
            continue
        known = found.get((row.item_id, row.key))
        if known is None or known.made_at < row.made_at:
            found[row.item_id, row.key] = row
