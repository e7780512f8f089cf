"""Batch sizes that find themselves: halved when memory runs out, doubled while that makes it faster."""

from __future__ import annotations

import resource
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from fathom import memory

_START: Final = 8
#: A doubling must make items this much faster to be kept; less is noise.
_GAIN: Final = 1.1
#: Full batches that a size is judged by: the first of a shape is slow, whatever the size.
_TRIALS: Final = 2
#: Good batches after which a size that once ran out of memory is tried again.
_PATIENCE: Final = 64


@dataclass
class _Group:
    size: int
    ceiling: int
    rates: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    settled: bool = False
    good: int = 0


class BatchSizes:
    """How many items of each group (of equal shape, so of equal cost) are best taken at once.

    Not for several threads. `roomy(factor)` says whether batches may need `factor` times the memory.
    """

    def __init__(
        self, fixed: int | None, *, largest: int, roomy: Callable[[float], bool] = lambda factor: True
    ) -> None:
        """Take the size that was asked for, if one was, and the largest to try otherwise."""
        self._largest = fixed or largest
        self._fixed = fixed is not None
        self._last = fixed or min(_START, largest)
        self._roomy = roomy
        self._groups: dict[Hashable, _Group] = {}

    def size(self, group: Hashable) -> int:
        """Return the size for `group`; one not seen before starts where the last one was."""
        return self._of(group).size

    def done(self, group: Hashable, count: int, seconds: float) -> None:
        """Note that `count` items took `seconds`."""
        state = self._of(group)
        if count < state.size:
            return
        state.rates.setdefault(count, []).append(count / max(seconds, 1e-9))
        self._recover(state)
        if not self._fixed and not state.settled and len(state.rates[count]) >= _TRIALS:
            self._judge(state)
        self._last = state.size

    def exhausted(self, group: Hashable, count: int) -> None:
        """Note that memory did not suffice for `count` items."""
        state = self._of(group)
        state.size = state.ceiling = max(1, min(state.size, count) // 2)
        state.settled, state.good = True, 0
        self._last = state.size

    def _of(self, group: Hashable) -> _Group:
        return self._groups.setdefault(group, _Group(self._last, self._largest))

    def _judge(self, state: _Group) -> None:
        """Double the size if it paid to come here, else go back."""
        here, before = max(state.rates[state.size]), state.rates.get(state.size // 2)
        if before and here < _GAIN * max(before):
            state.size, state.settled = state.size // 2 if here < max(before) else state.size, True
        elif state.size * 2 <= state.ceiling and self._roomy(2):
            state.size *= 2
        else:
            state.settled = True

    def _recover(self, state: _Group) -> None:
        """Try a size again at which memory ran out long ago: what filled it then may be gone."""
        state.good += 1
        if state.ceiling < self._largest and state.good >= _PATIENCE and self._roomy(2):
            state.ceiling = state.size = min(2 * state.ceiling, self._largest)
            state.good = 0


class CpuRoom:
    """Whether memory suffices for larger batches on a CPU, where running out of it kills the process."""

    def __init__(self) -> None:
        """Take what is used now as what is used without any batch."""
        self._before = memory.used()

    def __call__(self, factor: float, replicas: int = 1) -> bool:
        """Return whether what batches have needed so far, times `factor`, fits with a quarter to spare.

        So many `replicas` grow alike, out of the same memory.
        """
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        more = (peak - self._before) * factor - (memory.used() - self._before)
        return replicas * more < 0.75 * memory.available()
