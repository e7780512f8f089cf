"""Counting numbers without holding more than the different ones."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
#: Place of what is not there.
ABSENT: Final = -1
#: Times as many places as keys, at most, are worth sorting in rows.
_WIDEST: Final = 8
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


def distinct(*parts: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Return each pair of an owner and a key (both ≥ 0) once, ordered by owner, then key.

    Args:
        parts: owners, ascending, and keys, int64 [m] each.
    """
    total = sum(len(keys) for _, keys in parts)
    if not total:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    items = 1 + max(int(owners[-1]) for owners, _ in parts if len(owners))
    lengths = [np.bincount(owners, minlength=items) for owners, _ in parts]
    width = int(np.sum(lengths, axis=0).max())
    # Sorting short rows is many times faster than sorting all; one huge caption must not make all rows huge.
    if items * width > _WIDEST * total:
        return _sorted(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    # Half the bytes, half the time.
    small = max(int(keys.max(initial=0)) for _, keys in parts) < np.iinfo(np.int32).max
    last = np.iinfo(np.int32 if small else np.int64).max
    rows = np.full((items, width), last, np.int32 if small else np.int64)
    begin = np.arange(items) * width
    for (owners, keys), length in zip(parts, lengths, strict=True):
        starts = np.cumsum(length) - length
        rows.ravel()[np.arange(len(keys)) + (begin - starts)[owners]] = keys
        begin = begin + length
    rows.sort(axis=1)
    first = rows != last
    first[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    return np.repeat(np.arange(items), first.sum(axis=1)), rows[first].astype(np.int64)


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
    """How often each key was added. Sorted runs, merged as soon as the newest has grown to its elder's size.

    16 bytes are held for each different key, at most three times that while runs are merged.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Ints, Ints]] = []

    def add(self, keys: Ints) -> None:
        """Count `keys`, in any order."""
        if not len(keys):
            return
        small = int(keys.max()) < np.iinfo(np.int32).max
        found, counts = np.unique(keys.astype(np.int32) if small else keys, return_counts=True)
        self._runs.append((found.astype(np.int64), counts))
        while len(self._runs) > 1 and len(self._runs[-1][0]) * 2 > len(self._runs[-2][0]):
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append(_merged(older, newer))

    def total(self) -> tuple[Ints, Ints]:
        """Return all keys, ascending, and their counts."""
        while len(self._runs) > 1:
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append(_merged(older, newer))
        return self._runs[0] if self._runs else (np.empty(0, np.int64), np.empty(0, np.int64))


def _merged(one: tuple[Ints, Ints], other: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    keys = np.concatenate([one[0], other[0]])
    counts = np.concatenate([one[1], other[1]])
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    return (keys[first], np.add.reduceat(counts, first)) if len(keys) else (keys, counts)
