"""Means over seeds with their intervals, and whether the bars are reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.backfill.protocol import Results, rows_of
from fathom.backfill.metrics import relative_gain

#: 97.5 % points of Student's t for 1 … 9 degrees of freedom.
_T: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass(frozen=True)
class Spread:
    """A mean over seeds; `half` is half of its 95 % interval (Student's t), NaN for one seed."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if math.isnan(self.half) else f"{self.mean:.3f} ± {self.half:.3f}"


@dataclass(frozen=True)
class Line:
    """What a method did on one trial.

    Attributes:
        method: its name.
        seeds: how many.
        gain, cmc_gain: relative gain of the area, of mAP and CMC@1.
        own: relative gain of the mAP area with the method's own end in the place of the new model.
        area, end: mAP over β, and when all have moved.
        curve: mean mAP at each β; of CMC@1 `cmc`.
        flips: mean negative flip rate at each β.
        drop: largest fall of the mean mAP curve.
        seconds: CPU time of the fit.
    """

    method: str
    seeds: int
    gain: Spread
    cmc_gain: Spread
    own: Spread
    area: Spread
    end: Spread
    curve: list[float]
    cmc: list[float]
    flips: list[float]
    drop: float
    seconds: float


@dataclass(frozen=True)
class Table:
    """All methods on one trial, beside either model alone."""

    data: str
    trial: str
    betas: list[float]
    old: Spread
    new: Spread
    lines: list[Line]

    def line(self, method: str) -> Line | None:
        """Return what `method` did, None if it has not been measured."""
        return next((line for line in self.lines if line.method == method), None)


def tables(results: Results, trials: Sequence[tuple[str, str]]) -> list[Table]:
    """Return a table for each (data, trial) of `trials` that has been measured."""
    found: list[Table] = []
    for data, trial in trials:
        by_method = dict(rows_of(results, data, trial))
        if not by_method:
            continue
        most = max(by_method.values(), key=len)
        seconds = {m: _mean([r["seconds"] for r in results.rows if (r["data"], r["method"]) == (data, m)])
                   for m in by_method}  # fmt: skip
        found.append(
            Table(
                data,
                trial,
                most[0]["betas"],
                spread([row["old_map"] for row in most]),
                spread([row["new_map"] for row in most]),
                [_line(method, rows, seconds[method]) for method, rows in by_method.items()],
            )
        )
    return found


def spread(values: Sequence[float]) -> Spread:
    """Return the mean of `values` with its interval."""
    count = len(values)
    if count < 2:
        return Spread(_mean(values), math.nan)
    t = _T[count - 2] if count - 2 < len(_T) else 1.96
    return Spread(_mean(values), t * float(np.std(values, ddof=1)) / math.sqrt(count))


def _line(method: str, rows: list[dict[str, Any]], seconds: float) -> Line:
    curve = np.mean([row["map"] for row in rows], axis=0)
    return Line(
        method=method,
        seeds=len(rows),
        gain=spread([row["gain_map"] for row in rows]),
        cmc_gain=spread([row["gain_cmc1"] for row in rows]),
        own=spread([relative_gain(row["area_map"], row["old_map"], row["map"][-1]) for row in rows]),
        area=spread([row["area_map"] for row in rows]),
        end=spread([row["map"][-1] for row in rows]),
        curve=curve.tolist(),
        cmc=np.mean([row["cmc1"] for row in rows], axis=0).tolist(),
        flips=np.mean([row["flips"] for row in rows], axis=0).tolist(),
        drop=float((np.maximum.accumulate(curve) - curve).max()),
        seconds=seconds,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
