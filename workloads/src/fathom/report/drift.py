"""How far the tokens are from those of the features before, from `features/drift.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from fathom.report.text import clean
from fathom.storage import Location

_SHIFTS: Final = 12
_TOKEN: Final = 80
#: By custom, the population stability index is read so.
_STABLE: Final = 0.1
_OTHER: Final = 0.25


@dataclass(frozen=True)
class Shift:
    """A token and the share of the captions that it was and is in."""

    token: str
    before: float
    after: float


@dataclass(frozen=True)
class Drift:
    """Drift of one aspect's tokens; shares are from 0 to 1."""

    aspect: str
    psi: float
    jaccard: float
    coverage_before: float
    coverage_after: float
    changed_items: float
    shifts: list[Shift]

    @property
    def verdict(self) -> str:
        """What the PSI says, by custom."""
        if self.psi < _STABLE:
            return "stable"
        return "moved" if self.psi < _OTHER else "another population"


def read(root: Location) -> list[Drift]:
    """Return the drift by aspect; nothing where there were no features before."""
    path = root / "features" / "drift.json"
    if not path.is_file():
        return []
    return [_drift(name, found) for name, found in json.loads(path.read_bytes())["aspects"].items()]


def _drift(aspect: str, found: dict[str, Any]) -> Drift:
    shifts = [
        Shift(clean(s["token"], _TOKEN), float(s["before"]), float(s["after"]))
        for s in found["shifts"][:_SHIFTS]
    ]
    return Drift(
        aspect=clean(aspect, 64),
        psi=float(found["psi"]),
        jaccard=float(found["jaccard"]),
        coverage_before=float(found["coverageBefore"]),
        coverage_after=float(found["coverageAfter"]),
        changed_items=float(found["changedItems"]),
        shifts=shifts,
    )
