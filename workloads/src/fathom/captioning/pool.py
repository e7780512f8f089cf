"""Prepared questions waiting for their turn, and how many items may be on their way to them."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from fathom.captioning.engines import Prepared

_LEAST_ITEMS: Final = 64
#: Items on their way for each question of a batch: one batch is answered while the next is prepared.
_AHEAD: Final = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """A prepared question and the key of its answer."""

    key: str
    prepared: Prepared


class Pool:
    """Takes prepared questions from several threads and gives out batches of one group.

    One place holds back: `admit`, before an item is read. So whatever was admitted can always be put, and a
    batch is given out as soon as it is full or nothing more can come.
    """

    def __init__(self, batch_size: Callable[[Hashable], int], most_bytes: int) -> None:
        """Take how large the batches of a group are to be, and how many bytes may wait, about."""
        self._batch_size = batch_size
        self._most_bytes = most_bytes
        self._groups: OrderedDict[Hashable, deque[Waiting]] = OrderedDict()
        self._changed = threading.Condition()
        self._waiting = 0
        self._bytes = 0
        self._on_their_way = 0
        self._usual_bytes = 0.0
        self._largest = 1
        self._held_back = False
        self._ended = False
        self._closed = False

    def admit(self) -> bool:
        """Wait until there is room for another item; return whether it is still wanted."""
        with self._changed:
            while not self._closed and not self._has_room():
                self._held_back = True
                self._changed.notify_all()
                self._changed.wait()
            self._held_back = False
            self._on_their_way += 1
            return not self._closed

    def put(self, waiting: Waiting) -> None:
        """Add a question of an item that was admitted."""
        prepared = waiting.prepared
        with self._changed:
            self._groups.setdefault(prepared.group, deque()).append(waiting)
            self._waiting += 1
            self._bytes += prepared.nbytes
            self._usual_bytes = max(prepared.nbytes, 0.99 * self._usual_bytes)
            self._changed.notify_all()

    def arrived(self) -> None:
        """Note that all questions of an admitted item have been put."""
        with self._changed:
            self._on_their_way -= 1
            self._changed.notify_all()

    def end(self) -> None:
        """Note that no more items will be admitted."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Give out no more batches, and admit nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> list[Waiting]:
        """Wait for a batch and return it; an empty one when there will be no more."""
        with self._changed:
            while not self._closed:
                group = self._ready()
                if group is not None:
                    return self._pop(group)
                if self._ended and not self._on_their_way:
                    break
                self._changed.wait()
            return []

    def _has_room(self) -> bool:
        under_way = self._waiting + self._on_their_way
        expected = self._bytes + self._on_their_way * self._usual_bytes
        many = under_way >= max(_LEAST_ITEMS, _AHEAD * self._largest)
        return under_way == 0 or not (many or expected >= self._most_bytes)

    def _ready(self) -> Hashable | None:
        """Return a group with a full batch, or the oldest one if nothing more can come by itself."""
        for group, members in self._groups.items():
            if len(members) >= self._batch_size(group):
                return group
        stuck = (self._held_back or self._ended) and not self._on_their_way
        return next(iter(self._groups), None) if stuck else None

    def _pop(self, group: Hashable) -> list[Waiting]:
        size = self._batch_size(group)
        self._largest = max(self._largest, size)
        members = self._groups.pop(group)
        batch = [members.popleft() for _ in range(min(size, len(members)))]
        if members:
            # Behind the others, so that no group waits for ever.
            self._groups[group] = members
        self._waiting -= len(batch)
        self._bytes -= sum(waiting.prepared.nbytes for waiting in batch)
        self._changed.notify_all()
        return batch
