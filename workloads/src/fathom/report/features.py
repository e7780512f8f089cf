"""The tokens made of the captions: how many each item has, which are frequent, and how the vocabulary grew."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fathom.report import columns
from fathom.report.distributions import Histogram
from fathom.report.sampling import First
from fathom.report.text import clean

_EACH: Final = 12
_TOP: Final = 12
_TOKEN: Final = 80
#: Token ids are below this (CaptionFeatures.vocabulary_size).
_MOST_IDS: Final = 100_000_002
_COLUMNS: Final = ["item_id", "tokens"]


@dataclass
class Features:
    """Tokens of one aspect. `growth` is (items looked at, different tokens seen) at growing distances."""

    aspect: str
    folder: Path
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


def read(root: Path, aspects: Iterable[str]) -> list[Features]:
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
        counts = columns.numbers(pc.list_value_length(rows["tokens"]))
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


def _steps(rows: int, before: int) -> list[tuple[int, int]]:
    """Return ranges of a batch: short ones at the start of the table, where the vocabulary grows fast."""
    size = max(8, before // 8)
    return [(start, min(rows, start + size)) for start in range(0, rows, size)]


def _mark(seen: columns.NDArray[np.bool_], tokens: pa.Array) -> tuple[columns.NDArray[np.bool_], int]:
    """Mark the ids in `tokens` as seen; return the marks and how many ids are new."""
    ids = np.unique(pc.list_flatten(tokens).to_numpy(zero_copy_only=False))
    ids = ids[(ids >= 0) & (ids < _MOST_IDS)]
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
    names = _names(features.folder, {token for ids in found.values() for token in ids})
    return {item: [names.get(token, f"#{token}") for token in ids] for item, ids in found.items()}


def _names(folder: Path, ids: set[int]) -> dict[int, str]:
    path = folder / "vocabulary.parquet"
    if not path.is_file():
        return {}
    wanted = pa.array(sorted(ids), pa.int64())
    names: dict[int, str] = {}
    for rows in columns.parquet(path, ["id", "token"]):
        own = rows.filter(pc.is_in(rows["id"].cast(pa.int64()), value_set=wanted))
        words = (clean(token, _TOKEN) for token in columns.texts(own["token"]))
        names |= dict(zip(own["id"].to_pylist(), words, strict=True))
    return names


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes()) if path.is_file() else {}
