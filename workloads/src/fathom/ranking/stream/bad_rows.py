"""Rows that cannot be used: counted by why, a few kept to show, and more than the budget refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom_api.types import IntOrPercent

#: Rows kept of each reason.
SAMPLES: Final = 3


@dataclass
class BadRows:
    """What was found so far.

    Attributes:
        rows: all rows seen.
        bad: those that cannot be used.
        counts: by why; a row may have several reasons.
        samples: the first few of each reason, as they were.
    """

    rows: int = 0
    bad: int = 0
    counts: dict[str, int] = field(default_factory=dict[str, int])
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])

    def sift(self, batch: pa.RecordBatch, reasons: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Count the rows of `batch` for which there are `reasons`, and return which rows are usable."""
        unusable = np.any(list(reasons.values()), axis=0)
        self.rows += len(unusable)
        self.bad += int(unusable.sum())
        for why, rows in reasons.items():
            if rows.any():
                self.counts[why] = self.counts.get(why, 0) + int(rows.sum())
                kept = self.samples.setdefault(why, [])
                first = np.flatnonzero(rows)[: SAMPLES - len(kept)]
                kept += batch.take(pa.array(first)).to_pylist()
        return ~unusable

    def check(self, uri: str, budget: IntOrPercent) -> None:
        """Refuse what has no rows, or more bad ones than `budget`.

        Raises:
            InvalidInputError: so it is; the message counts the reasons and shows a row of each.
        """
        if not self.rows:
            raise InvalidInputError("NoRows", f"{uri}: no rows")
        if self.bad <= allowed(budget, self.rows):
            return
        found = ", ".join(f"{n:,} with {why} (as {self.samples[why][0]})" for why, n in self.counts.items())
        raise InvalidInputError(
            "BadRows",
            f"{uri}: {self.bad:,} of {self.rows:,} rows cannot be used, more than maxBadRows {budget}: "
            f"{found}; correct the data, name other columns, or raise data.maxBadRows",
        )


def allowed(budget: IntOrPercent, rows: int) -> float:
    """Return how many of `rows` may be bad."""
    return budget if isinstance(budget, int) else rows * float(budget.rstrip("%")) / 100
