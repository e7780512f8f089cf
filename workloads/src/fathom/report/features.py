"""The tokens made of the captions: how many an item has, which are frequent, how the vocabulary grew."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.features.vocabulary import FIRST
from fathom.report import columns
from fathom.report.columns import pc
from fathom.report.distributions import Histogram
from fathom.report.sampling import First
from fathom.report.text import clean
from fathom.storage import Location

_EACH: Final = 12
_TOP: Final = 12
_TOKEN: Final = 80
#: Ids of tokens: those below are padding, unknown and missing, those above there cannot be.
_IDS: Final = range(FIRST, 100_000_000 + FIRST)
_COLUMNS: Final = ["item_id", "tokens"]


@dataclass
class Features:
    """Tokens of one aspect. `growth` is (items looked at, different tokens seen) at growing distances."""

    aspect: str
    folder: Location
    coverage: dict[str, Any]
    per_item: Histogram = field(default_factory=Histogram)
    growth: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    most: First = field(default_factory=lambda: First(_EACH))
    fewest: First = field(default_factory=lambda: First(_EACH))

    @property
    def top(self) -> list[tuple[str, int]]:
        """The most frequent tokens and the captions they occur in."""
        found = self.coverage.get("topTokens", [])[:_TOP]
        return [(clean(str(entry["token"]), _TOKEN), int(entry["count"])) for entry in found]

    def number(self, name: str) -> float | None:
        """Return a number of `coverage.json`, or None where it is not in it."""
        value = self.coverage.get(name)
        return float(value) if isinstance(value, int | float) else None


def read(root: Location, aspects: Iterable[str]) -> list[Features]:
    """Return the features of the aspects that have some below `root`, the CaptionJob's folder."""
    found: list[Features] = []
    for aspect in aspects:
        folder = root / "features" / aspect
        if (folder / "features.parquet").is_file():
            features = Features(aspect, folder, _json(folder / "coverage.json"))
            _look(features)
            found.append(features)
    return found


def _look(features: Features) -> None:
    seen = np.zeros(1024, np.bool_)
    items = distinct = 0
    mark = 1.0
    for rows in columns.parquet(features.folder / "features.parquet", _COLUMNS):
        counts = _counts(rows["tokens"])
        ids = columns.texts(rows["item_id"])
        hashes = columns.hashes(ids)
        features.per_item.add(counts)
        features.most.offer(ids, hashes, -counts)
        features.fewest.offer(ids, hashes, counts)
        for start, stop in _steps(rows.num_rows, items):
            seen, fresh = _mark(seen, rows["tokens"].slice(start, stop - start))
            distinct += fresh
            items += stop - start
            if items >= mark:
                features.growth.append((float(items), float(distinct)))
                mark = items * 1.15
    if features.growth and features.growth[-1][0] < items:
        features.growth.append((float(items), float(distinct)))


def _counts(tokens: pa.Array) -> NDArray[np.float64]:
    """Return how many tokens each item has, ids that are no token left out."""
    ids = pc.list_flatten(tokens).to_numpy(zero_copy_only=False)
    of = pc.list_parent_indices(tokens).to_numpy(zero_copy_only=False)
    return np.bincount(of[ids >= _IDS.start], minlength=len(tokens)).astype(np.float64)


def _steps(rows: int, before: int) -> list[tuple[int, int]]:
    """Return ranges of a batch: short ones at the start of the table, where the vocabulary grows fast."""
    size = max(8, before // 8)
    return [(start, min(rows, start + size)) for start in range(0, rows, size)]


def _mark(seen: NDArray[np.bool_], tokens: pa.Array) -> tuple[NDArray[np.bool_], int]:
    """Mark the ids in `tokens` as seen; return the marks and how many ids are new."""
    ids = np.unique(pc.list_flatten(tokens).to_numpy(zero_copy_only=False))
    ids = ids[(ids >= _IDS.start) & (ids < _IDS.stop)]
    if len(ids) and ids[-1] >= len(seen):
        seen = np.concatenate([seen, np.zeros(int(ids[-1]) + 1, np.bool_)])
    fresh = int((~seen[ids]).sum())
    seen[ids] = True
    return seen, fresh


def tokens(features: Features, item_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return the tokens of these items in words; one without a name in the vocabulary is `#` and its id."""
    wanted = pa.array(sorted(set(item_ids)), pa.string())
    found: dict[str, list[int]] = {}
    for rows in columns.parquet(features.folder / "features.parquet", _COLUMNS):
        own = columns.among(rows, wanted)
        found |= dict(zip(columns.texts(own["item_id"]), own["tokens"].to_pylist(), strict=True))
    named = names(features.folder, {token for ids in found.values() for token in ids})
    return {
        item: [named.get(token, f"#{token}") for token in ids if token in _IDS] for item, ids in found.items()
    }


def names(folder: Location, ids: set[int]) -> dict[int, str]:
    """Return what these ids stand for, those that the vocabulary in `folder` has."""
    path = folder / "vocabulary.parquet"
    if not path.is_file():
        return {}
    wanted = pa.array(sorted(ids), pa.int64())
    found: dict[int, str] = {}
    for rows in columns.parquet(path, ["id", "token"]):
        own = rows.filter(pc.is_in(rows["id"].cast(pa.int64()), value_set=wanted))
        words = (clean(token, _TOKEN) for token in columns.texts(own["token"]))
        found |= dict(zip(own["id"].to_pylist(), words, strict=True))
    return found


def _json(path: Location) -> dict[str, Any]:
    return json.loads(path.read_bytes()) if path.is_file() else {}
