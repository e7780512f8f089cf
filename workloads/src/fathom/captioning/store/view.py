"""Views: what one run wants, out of all there is; one row for each item and aspect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from fathom.captioning.store import parts
from fathom.captioning.store.hashing import Hashes, hashes, identities
from fathom.captioning.store.parts import ErrorRow
from fathom.storage import Location

pc: Any = pyarrow.compute
_MODULUS: Final = 1 << 256


class Wanted:
    """Identities of captions, of which each is taken once."""

    def __init__(self, wanted: Hashes) -> None:
        """Take 128-bit identities [n, 2], some perhaps more than once."""
        order = np.lexsort((wanted[:, 1], wanted[:, 0]))
        ordered = wanted[order]
        new = np.ones(len(ordered), np.bool_)
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        self._wanted = ordered[new]
        self._taken = np.zeros(len(self._wanted), np.bool_)

    @property
    def missing(self) -> int:
        """How many have not been taken."""
        return int(len(self._taken) - self._taken.sum())

    def take(self, found: Hashes) -> NDArray[np.bool_]:
        """Return which of the identities `found` [m, 2] are wanted and come for the first time."""
        chosen = np.zeros(len(found), np.bool_)
        if not len(self._wanted):
            return chosen
        places = np.searchsorted(self._wanted[:, 0], found[:, 0])
        places[places == len(self._wanted)] = 0
        fresh = (self._wanted[places] == found).all(axis=1) & ~self._taken[places]
        rows = np.flatnonzero(fresh)
        _, first = np.unique(places[rows], return_index=True)
        chosen[rows[first]] = True
        self._taken[places[chosen]] = True
        return chosen


@dataclass
class Content:
    """What a view holds, whatever the order of its rows.

    `total` is the sum of the rows' SHA-256 (AdHash, Bellare and Micciancio 1997): views of one run add up to
    the same number however the items were dealt.
    """

    rows: int = 0
    total: int = 0
    aspects: set[str] = field(default_factory=set[str])
    _items: list[Hashes] = field(default_factory=list[Hashes])

    @property
    def items(self) -> int:
        """How many different items there are."""
        return len(np.unique(np.concatenate(self._items))) if self._items else 0

    def add(self, rows: pa.RecordBatch, columns: list[str]) -> None:
        """Count `rows`, the same if they are the same in `columns`."""
        texts = [_text(rows[name]) for name in columns]
        joined = pc.binary_join_element_wise(*texts, "\0").cast(pa.binary()).to_pylist()
        digests = (int.from_bytes(hashlib.sha256(text).digest()) for text in joined)
        self.total = (self.total + sum(digests)) % _MODULUS
        self.rows += rows.num_rows
        self.aspects |= set(rows["aspect"].unique().to_pylist())
        self._items.append(hashes(rows["item_id"], 0))

    def digest(self) -> str:
        """Return the sum as text."""
        return f"{self.total:064x}"


def _text(column: pa.Array) -> pa.Array:
    """Return a column as strings; of a list, all of them one after the other."""
    joined = pc.binary_join(column, "\1") if pa.types.is_list(column.type) else column
    return pc.fill_null(joined, "")


def write_captions(path: Location, rows: Iterable[pa.RecordBatch], wanted: Wanted, seed: int) -> Content:
    """Write those of `rows` that are `wanted`, each once."""
    content = Content()
    with parts.writing(path, parts.CAPTIONS) as out:
        groups = parts.Groups(out)
        for batch in rows:
            chosen = batch.filter(pa.array(wanted.take(identities(batch, seed))))
            if chosen.num_rows:
                content.add(chosen, ["item_id", "aspect", "caption", "samples"])
                groups.write(chosen)
        groups.flush()
    return content


def write_errors(path: Location, rows: Iterable[ErrorRow]) -> Content:
    """Write `rows`, if there are any."""
    content = Content()
    found = parts.table(list(rows), parts.ERRORS)
    if found.num_rows:
        parts.write(path, found)
        for batch in found.to_batches():
            content.add(batch, ["item_id", "aspect", "reason", "key"])
    return content
