"""The captions of the current run: what is made of captions reads them here, as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from fathom import manifest, storage
from fathom.captioning.store import parts
from fathom.captioning.store.plan import Plan, read
from fathom.captioning.store.views import SealedView, sealed
from fathom.errors import InvalidInputError
from fathom.storage import Location

pc: Any = pyarrow.compute
_MODULUS: Final = 1 << 256
_THREADS: Final = 8
#: What all shards of a run must have been captioned with.
_ALIKE: Final = ("model", "prompt", "decoding")


@dataclass(frozen=True)
class Batch:
    """Some items and their captions."""

    item_ids: list[str]
    captions: list[str]


class Captions:
    """The captions and errors of a run whose shards are all finished: each item and aspect once.

    An item is in one shard only, and a shard's view has one row for each item and aspect, so that nothing
    must be remembered while reading.
    """

    def __init__(self, root: Location, shards: int) -> None:
        """Check the `shards` views of the current plan below the output folder `root`.

        Raises:
            InvalidInputError: a shard is unfinished, damaged or made otherwise, or there is no caption.
        """
        self._root = root
        self._plan = _planned(root, shards)
        with ThreadPoolExecutor(_THREADS) as pool:
            self._views = list(pool.map(self._verified, range(shards)))
        _check_alike(self._views)
        self.count = sum(view.manifest.counts["items"] for view in self._views)
        named = (name for v in self._views for name in v.manifest.made_from["aspects"].split(",") if name)
        self.aspects = sorted(set(named))
        if not self.count:
            raise InvalidInputError("NoCaptions", f"{root}: no captions; see errors/ for why")

    def digest(self) -> str:
        """Return a digest of all items, aspects and captions, the same however they were dealt and made."""
        total = sum(int(view.manifest.made_from["content"], 16) for view in self._views) % _MODULUS
        rows = sum(view.manifest.counts["captions"] for view in self._views)
        return storage.digest_bytes(f"{rows} {total:064x}".encode())

    def batches(self, aspect: str) -> Iterator[Batch]:
        """Yield each item that has a caption of `aspect` once, in no particular order.

        Raises:
            InvalidInputError: there is no such aspect.
        """
        if aspect not in self.aspects:
            raise InvalidInputError(
                "NoSuchAspect", f"{self._root}: has no aspect {aspect}, only {', '.join(self.aspects)}"
            )
        for rows in self.rows(["item_id", "aspect", "caption"]):
            chosen = rows.filter(pc.equal(rows["aspect"], aspect))
            if chosen.num_rows:
                yield Batch(chosen["item_id"].to_pylist(), chosen["caption"].to_pylist())

    def samples(self, aspect: str) -> Iterator[Batch]:
        """Yield what was sampled for each item, its samples one after the other; its caption without any."""
        for rows in self.rows(["item_id", "aspect", "caption", "samples"]):
            chosen = rows.filter(pc.equal(rows["aspect"], aspect))
            said = zip(chosen["caption"].to_pylist(), chosen["samples"].to_pylist(), strict=True)
            texts = [samples or [caption] for caption, samples in said]
            item_ids = chosen["item_id"].to_pylist()
            if item_ids:
                repeated = [i for i, own in zip(item_ids, texts, strict=True) for _ in own]
                yield Batch(repeated, [text for own in texts for text in own])

    def rows(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the captions with `columns` of `parts.CAPTIONS`."""
        for view in self._views:
            yield from view.captions(columns)

    def errors(self) -> Iterator[pa.RecordBatch]:
        """Yield the errors (`parts.ERRORS`), those of rows that no shard took among them."""
        with suppress(FileNotFoundError):
            yield from parts.batches(
                self._root / "errors" / self._plan.name / "plan.parquet", parts.ERRORS.names
            )
        for view in self._views:
            yield from view.errors(parts.ERRORS.names)

    def previous(self) -> Iterator[pa.RecordBatch]:
        """Yield item_id, aspect and caption of the run before, as far as it came; nothing without one."""
        if not self._plan.previous:
            return
        folder = self._root / "captions" / self._plan.previous
        for entry in storage.files(folder):
            if entry.path.name == manifest.NAME:
                view = sealed(self._root, self._plan.previous, int(entry.name.split("/")[0][len("shard-") :]))
                if view is not None:
                    yield from view.captions(["item_id", "aspect", "caption"])

    def _verified(self, shard: int) -> SealedView:
        view = sealed(self._root, self._plan.name, shard)
        if view is None:
            raise InvalidInputError(
                "Unfinished",
                f"{self._root}: shard {shard} of {self._plan.deal.shards} was not finished in this run; run "
                f"`fathom caption --shard {shard}`",
            )
        manifest.verify(view.folder)
        return view


def _planned(root: Location, shards: int) -> Plan:
    plan = read(root)
    if plan is None or plan.deal.shards != shards:
        made = "there is no plan" if plan is None else f"the plan has {plan.deal.shards} shards, not {shards}"
        raise InvalidInputError("Unfinished", f"{root}: {made}; run `fathom caption` for each shard first")
    return plan


def _check_alike(views: list[SealedView]) -> None:
    for shard, view in enumerate(views):
        for name in _ALIKE:
            if view.manifest.made_from.get(name) != views[0].manifest.made_from.get(name):
                raise InvalidInputError(
                    "Unfinished",
                    f"{view.folder}: another {name} than in shard 0 made these captions; run `fathom caption "
                    f"--shard {shard}` with the same model and prompts",
                )
