"""Counting numbers without holding more than the different ones."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64 | np.int32]
#: Place of what is not there.
ABSENT: Final = -1
#: Times as many places as keys, at most, are worth sorting in rows.
_WIDEST: Final = 8
#: Keys below this are counted in a table (16 MiB).
_SMALL: Final = 1 << 21
#: Keys that are counted at once.
_TOGETHER: Final = 1 << 20
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


def distinct(*parts: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Return each pair of an owner and a key (both ≥ 0) once, ordered by owner, then key.

    Args:
        parts: owners, ascending, and keys, int [m] each.
    """
    items = 1 + max((int(owners[-1]) for owners, _ in parts if len(owners)), default=-1)
    lengths, keys = listed(items, *parts)
    return np.repeat(np.arange(items), lengths), keys


def listed(items: int, *parts: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Return how many keys each of so many owners has, and the keys: what `distinct` does, as lists."""
    total = sum(len(keys) for _, keys in parts)
    if not total:
        return np.zeros(items, np.int64), np.empty(0, np.int64)
    lengths = [np.bincount(owners, minlength=items) for owners, _ in parts]
    width = int(np.sum(lengths, axis=0).max())
    # Sorting short rows is many times faster than sorting all; one huge caption must not make all rows huge.
    if items * width > _WIDEST * total:
        owners, keys = _sorted(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
        return np.bincount(owners, minlength=items), keys
    # Half the bytes, half the time.
    small = max(int(keys.max(initial=0)) for _, keys in parts) < np.iinfo(np.int32).max
    kind = np.int32 if small else np.int64
    last = np.iinfo(kind).max
    rows = np.full((items, width), last, kind)
    begin = np.arange(items) * width
    for (_, keys), length in zip(parts, lengths, strict=True):
        places = np.repeat(begin + length - np.cumsum(length), length)
        places += np.arange(len(keys))
        rows.ravel()[places] = keys.astype(kind, copy=False)
        begin += length
    rows.sort(axis=1)
    first = np.empty(rows.shape, np.bool_)
    # All rows as one line is compared faster than each for itself; then what begins a row is put right.
    np.not_equal(rows.ravel()[1:], rows.ravel()[:-1], out=first.ravel()[1:])
    first[:, 0] = True
    first &= rows != last
    return np.count_nonzero(first, axis=1), rows[first]


def _sorted(owners: Ints, keys: Ints) -> tuple[Ints, Ints]:
    order = np.lexsort((keys, owners))
    owners, keys = owners[order], keys[order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = (owners[1:] != owners[:-1]) | (keys[1:] != keys[:-1])
    return owners[first], keys[first]


class Index:
    """Finds keys among others: a hash table with linear probing, all keys asked for at once.

    A binary search misses the cache at nearly every step; this does once or twice.
    """

    def __init__(self, keys: Ints) -> None:
        """Index `keys` (different, ≥ 0)."""
        bits = max(int(2 * len(keys)).bit_length(), 4)
        self._keys = keys
        self._shift = np.uint64(64 - bits)
        self._mask = (1 << bits) - 1
        self._slots = np.full(1 << bits, ABSENT, np.int32)
        waiting = np.arange(len(keys), dtype=np.int32)
        slots = self._first(keys)
        while len(waiting):
            free = self._slots[slots] == ABSENT
            self._slots[slots[free]] = waiting[free]
            left = self._slots[slots] != waiting
            waiting, slots = waiting[left], (slots[left] + 1) & self._mask

    def find(self, keys: Ints) -> Ints:
        """Return the place of each of `keys` among those indexed, ABSENT where it is not there."""
        if not len(self._keys):
            return np.full(len(keys), ABSENT, np.int64)
        slots = self._first(keys)
        found = self._slots[slots].astype(np.int64)
        missed = np.flatnonzero((found != ABSENT) & (self._keys[found] != keys))
        while len(missed):
            slots[missed] = (slots[missed] + 1) & self._mask
            found[missed] = self._slots[slots[missed]]
            again = found[missed]
            missed = missed[(again != ABSENT) & (self._keys[again] != keys[missed])]
        return found

    def _first(self, keys: Ints) -> Ints:
        return ((keys.astype(np.uint64) * _MULTIPLIER) >> self._shift).astype(np.int64)


class Counts:
    """How often each key was added. Small keys are counted in a table, others in sorted runs.

    Runs are merged as soon as the newest has grown to its elder's size: 16 bytes are held for each different
    key, at most three times that while they are merged.
    """

    def __init__(self) -> None:
        self._waiting: list[Ints] = []
        self._small = np.zeros(0, np.int64)
        self._runs: list[tuple[Ints, Ints]] = []

    def add(self, keys: Ints) -> None:
        """Count `keys`, in any order."""
        self._waiting.append(keys)
        if sum(map(len, self._waiting)) >= _TOGETHER:
            self._count()

    def total(self) -> tuple[Ints, Ints]:
        """Return all keys, ascending, and their counts."""
        self._count()
        while len(self._runs) > 1:
            self._merge()
        small = np.flatnonzero(self._small)
        keys, counts = self._runs[0] if self._runs else (np.empty(0, np.int64), np.empty(0, np.int64))
        return np.concatenate([small, keys]), np.concatenate([self._small[small], counts])

    def _count(self) -> None:
        keys = np.concatenate(self._waiting) if self._waiting else np.empty(0, np.int64)
        self._waiting = []
        small = keys < _SMALL
        counts = np.bincount(keys[small], minlength=len(self._small))
        counts[: len(self._small)] += self._small
        self._small = counts
        if len(keys := keys[~small]):
            self._runs.append(np.unique(keys, return_counts=True))
        while len(self._runs) > 1 and len(self._runs[-1][0]) * 2 > len(self._runs[-2][0]):
            self._merge()

    def _merge(self) -> None:
        newer, older = self._runs.pop(), self._runs.pop()
        self._runs.append(_merged(older, newer))


def _merged(one: tuple[Ints, Ints], other: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    keys = np.concatenate([one[0], other[0]])
    counts = np.concatenate([one[1], other[1]])
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    return (keys[first], np.add.reduceat(counts, first)) if len(keys) else (keys, counts)
