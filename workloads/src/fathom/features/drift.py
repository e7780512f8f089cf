"""How far two features of the same catalogue are apart: `drift.json`, and `fathom drift A B`.

Tokens are compared by name, so that any two can be: two runs, two captioners, two vocabularies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from fathom import manifest, storage
from fathom.errors import InvalidInputError
from fathom.features import coverage, tables, vocabulary
from fathom.features.aspect import VOCABULARY
from fathom.features.coverage import Coverage
from fathom.storage import Location
from fathom_api.meta import StatusModel

pc: Any = pyarrow.compute
NAME: Final = "drift.json"
#: Tokens that are a bin of their own in the PSI; all others share one. Rare ones would add up to noise.
_BINS: Final = 1000
_NAMED: Final = 20
_HALF: Final = 0.5


class Shift(StatusModel):
    """A token whose frequency changed."""

    token: str = Field(description="What it stands for.")
    before: float = Field(description="Share of the captions it was in.")
    after: float = Field(description="Share of the captions it is in.")


class AspectDrift(StatusModel):
    """Drift of one aspect."""

    items_before: int = Field(description="Items that had a caption.")
    items_after: int = Field(description="Items that have one.")
    items_in_both: int = Field(description="Items that had and have one.")
    coverage_before: float = Field(description="Share of the items that had a token.")
    coverage_after: float = Field(description="Share of the items that have one.")
    same_vocabulary: bool = Field(description="Whether ids mean the same in both.")
    tokens_before: int = Field(description="Tokens in use then.")
    tokens_after: int = Field(description="Tokens in use now.")
    jaccard: float = Field(description="Tokens in use in both, of those in use in either.")
    psi: float = Field(
        description="Population stability index of the tokens' frequencies; by custom, below 0.1 is stable, "
        "above 0.25 another population."
    )
    changed_items: float = Field(description="Share of the items in both whose tokens differ.")
    changed_captions: float | None = Field(
        default=None, description="Share of the items in both whose captions differ; unset if unknown."
    )
    shifts: list[Shift] = Field(description="Tokens whose share changed most.")


class Drift(StatusModel):
    """Drift between two features, by aspect; aspects that only one has are left out."""

    before: str = Field(description="Digest of the features then.")
    after: str | None = Field(
        default=None, description="Digest of the features now; unset in their own folder, which it seals."
    )
    aspects: dict[str, AspectDrift] = Field(description="By aspect.")


@dataclass(frozen=True)
class Snapshot:
    """What is remembered of the features of one aspect: 16 bytes an item, and the tokens in use.

    Attributes:
        coverage: its report.
        counts: in how many captions each token is, those in none left out.
        contents: by a hash of the item, ascending: uint64 [n, 2], hash of the item and of its tokens' names.
    """

    coverage: Coverage
    counts: dict[str, int]
    contents: NDArray[np.uint64]


@dataclass(frozen=True)
class Before:
    """Features that were there: their digest, and a snapshot of each aspect."""

    digest: str
    aspects: dict[str, Snapshot]


class Run(Protocol):
    """The captions of a run and of the one before."""

    def batches(self, aspect: str, /) -> Iterable[Any]:
        """Yield the captions of an aspect."""
        ...

    def previous(self) -> Iterable[pa.RecordBatch]:
        """Yield item_id, aspect and caption of the run before."""
        ...


def aspects(folder: Location) -> set[str]:
    """Return the aspects that have features in `folder`."""
    return {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()


def snapshots(folder: Location) -> Before:
    """Return what is remembered of the features in `folder`.

    Raises:
        InvalidInputError: they are unfinished or damaged.
    """
    sealed = manifest.verify(folder)
    return Before(sealed.digest, {name: snapshot(folder / name) for name in sorted(aspects(folder))})


def snapshot(folder: Location) -> Snapshot:
    """Return what is remembered of the features of an aspect."""
    known = vocabulary.read(folder / VOCABULARY)
    if known is None:
        raise InvalidInputError("Damaged", f"{folder / VOCABULARY}: not a vocabulary; run `fathom featurise`")
    names = np.zeros(int(known.ids.max(initial=vocabulary.FIRST)) + 1, np.uint64)
    names[known.ids] = _hashes(known.tokens)
    names[vocabulary.UNKNOWN] = _hashes([""])[0]
    pairs = zip(known.tokens, known.counts.tolist(), strict=True)
    return Snapshot(
        coverage=Coverage.model_validate_json((folder / coverage.NAME).read_bytes()),
        counts={token: count for token, count in pairs if count},
        contents=_ordered(_items(folder / tables.NAME, names)),
    )


def compare(before: Snapshot, after: Snapshot, captions: float | None = None) -> AspectDrift:
    """Return how far `after` is from `before`; `captions` is the share of captions that differ."""
    both, changed = _matched(before.contents, after.contents)
    union = before.counts.keys() | after.counts.keys()
    return AspectDrift(
        items_before=before.coverage.items,
        items_after=after.coverage.items,
        items_in_both=both,
        coverage_before=before.coverage.coverage,
        coverage_after=after.coverage.coverage,
        same_vocabulary=before.coverage.vocabulary == after.coverage.vocabulary,
        tokens_before=len(before.counts),
        tokens_after=len(after.counts),
        jaccard=len(before.counts.keys() & after.counts.keys()) / len(union) if union else 1.0,
        psi=psi(before.counts, after.counts),
        changed_items=changed / max(both, 1),
        changed_captions=captions,
        shifts=_shifts(before, after),
    )


def psi(before: dict[str, int], after: dict[str, int]) -> float:
    """Return the population stability index: the sum over bins of (q - p) · ln(q / p).

    p and q are the shares of a token in all tokens of all captions, half a caption added to each so that none
    is zero. The tokens most frequent before are bins of their own, all others are one bin.
    """
    bins = sorted(before, key=lambda token: (-before[token], token))[:_BINS]
    p, q = (
        np.array([*(counts.get(token, 0) for token in bins), 0], np.float64) for counts in (before, after)
    )
    p[-1], q[-1] = sum(before.values()) - p.sum(), sum(after.values()) - q.sum()
    p, q = (p + _HALF) / (p + _HALF).sum(), (q + _HALF) / (q + _HALF).sum()
    return float(((q - p) * np.log(q / p)).sum())


def between(before: Location, after: Location) -> Drift:
    """Return the drift between two folders of features.

    Raises:
        InvalidInputError: one of them is unfinished or damaged.
    """
    then, now = snapshots(before), snapshots(after)
    shared = {
        name: compare(old, now.aspects[name]) for name, old in then.aspects.items() if name in now.aspects
    }
    return Drift(before=then.digest, after=now.digest, aspects=shared)


def write(folder: Location, before: Before | None, captions: Run) -> None:
    """Write how far the features in `folder`, not sealed yet, are from those `before` them."""
    (folder / NAME).unlink(missing_ok=True)
    if before is None:
        return
    shared = {
        name: compare(old, snapshot(folder / name), changed_captions(captions, name))
        for name, old in before.aspects.items()
        if name in aspects(folder)
    }
    drift = Drift(before=before.digest, aspects=shared)
    with storage.appearing(folder / NAME) as path:
        path.write_text(drift.model_dump_json(by_alias=True, indent=2))


def changed_captions(captions: Run, aspect: str) -> float | None:
    """Return the share of the items in this run and in the one before whose captions differ."""
    before = _ordered(_texts(captions.previous(), aspect))
    if not len(before):
        return None
    both, changed = _matched(before, _ordered(_now(captions, aspect)))
    return changed / both if both else None


def text(drift: Drift) -> str:
    """Return `drift` as a table for people."""
    lines = [f"before {drift.before}", f"after  {drift.after}"]
    for name, found in drift.aspects.items():
        lines += ["", name]
        for field in AspectDrift.model_fields:
            value = getattr(found, field)
            if field != "shifts" and value is not None:
                lines.append(
                    f"  {field.replace('_', ' '):18} {f'{value:.4f}' if isinstance(value, float) else value}"
                )
        lines += [f"  {s.before:8.2%} → {s.after:8.2%}  {s.token}" for s in found.shifts]
    return "\n".join(lines)


def drift(before: str, after: str, *, as_json: bool = False) -> str:
    """Return the drift between the features at two URIs (`fathom drift`).

    Raises:
        InvalidInputError: one of them is missing, unfinished or damaged.
    """
    found = between(storage.existing(before), storage.existing(after))
    return found.model_dump_json(by_alias=True, indent=2) if as_json else text(found)


def _shifts(before: Snapshot, after: Snapshot) -> list[Shift]:
    shares = [
        Shift(
            token=token,
            before=before.counts.get(token, 0) / max(before.coverage.items, 1),
            after=after.counts.get(token, 0) / max(after.coverage.items, 1),
        )
        for token in before.counts.keys() | after.counts.keys()
    ]
    changed = [share for share in shares if share.before != share.after]
    return sorted(changed, key=lambda s: (-abs(s.after - s.before), s.token))[:_NAMED]


def _matched(before: NDArray[np.uint64], after: NDArray[np.uint64]) -> tuple[int, int]:
    """Return how many items are in both, and how many of those have other contents."""
    _, old, new = np.intersect1d(before[:, 0], after[:, 0], assume_unique=True, return_indices=True)
    return len(old), int((before[old, 1] != after[new, 1]).sum())


def _items(path: Location, names: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    with path.open("rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(columns=["item_id", "tokens"]):
            tokens = batch["tokens"]
            parents = pc.list_parent_indices(tokens).to_numpy(zero_copy_only=False)
            # A sum says which tokens an item has, in whatever order.
            sums = np.zeros(batch.num_rows, np.uint64)
            np.add.at(sums, parents, names[tokens.flatten().to_numpy()])
            yield np.stack([_hashes(batch["item_id"].to_pylist()), sums], axis=1)


def _texts(rows: Iterable[pa.RecordBatch], aspect: str) -> Iterator[NDArray[np.uint64]]:
    for batch in rows:
        own = batch.filter(pc.equal(batch["aspect"], aspect))
        hashes = [_hashes(own[name].to_pylist()) for name in ("item_id", "caption")]
        yield np.stack(hashes, axis=1)


def _now(captions: Run, aspect: str) -> Iterator[NDArray[np.uint64]]:
    for batch in captions.batches(aspect):
        yield np.stack([_hashes(batch.item_ids), _hashes(batch.captions)], axis=1)


def _ordered(rows: Iterable[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    table = np.concatenate([np.empty((0, 2), np.uint64), *rows])
    _, first = np.unique(table[:, 0], return_index=True)
    return table[first]


def _hashes(texts: Iterable[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b((t or "").encode(), digest_size=8).digest() for t in texts)
    return np.frombuffer(digests, np.uint64)
