"""Galleries of pictures that show one of a few things, two models of them, and tasks of a backfill."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from fathom.errors import InvalidInputError

_SIDE: Final = 16
CLASSES: Final = 8


@dataclass(frozen=True)
class Grid:
    """A model: the picture on a grid of `side` × `side`, projected; the finer the grid the more it tells."""

    side: int
    dim: int = 24

    @property
    def digest(self) -> str:
        """Return what tells this model from others."""
        return f"sha256:{hashlib.sha256(f'grid-{self.side}-{self.dim}'.encode()).hexdigest()}"

    def texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Refuse."""
        raise InvalidInputError("UnusableEncoder", "it embeds no texts")

    def pictures(self, pictures: list[Image.Image]) -> NDArray[np.float32]:
        """Return float32 [n, dim], of unit length."""
        cells = [
            np.asarray(p.resize((self.side, self.side), Image.Resampling.BOX), np.float32) for p in pictures
        ]
        flat = np.stack(cells).reshape(len(pictures), -1) / 127.5 - 1
        turn = np.random.default_rng(self.side).normal(size=(flat.shape[1], self.dim))
        out = (flat @ turn).astype(np.float32)
        return out / np.linalg.norm(out, axis=1, keepdims=True)


@dataclass(frozen=True)
class Words:
    """A model: the first `letters` of each word; the more of them the more it tells."""

    letters: int
    dim: int = 24

    @property
    def digest(self) -> str:
        """Return what tells this model from others."""
        return f"sha256:{hashlib.sha256(f'words-{self.letters}-{self.dim}'.encode()).hexdigest()}"

    def pictures(self, pictures: list[Image.Image]) -> NDArray[np.float32]:
        """Refuse."""
        raise InvalidInputError("UnusableEncoder", "it embeds no pictures")

    def texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return float32 [n, dim], of unit length."""
        out = np.stack([sum(map(self._word, text.split())) for text in texts]).astype(np.float32)
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    def _word(self, word: str) -> NDArray[np.float64]:
        seed = hashlib.sha256(word[: self.letters].encode()).digest()
        return np.random.default_rng(list(seed)).normal(size=self.dim)


OLD, NEW = Grid(2, 12), Grid(8, 24)
OLD_WORDS, NEW_WORDS = Words(1, 12), Words(9, 24)
MODELS: Final[dict[str, Grid | Words]] = {
    "models/old": OLD,
    "models/new": NEW,
    "models/old-words": OLD_WORDS,
    "models/new-words": NEW_WORDS,
}


def open_model(uri: str) -> Grid | Words:
    """Return the model of a test's task."""
    return MODELS[uri]


def picture(kind: int, number: int, noise: float = 120.0) -> bytes:
    """Return a PNG of a thing of `kind`, different for each `number`."""
    base = np.random.default_rng(kind).uniform(40, 215, (8, 8, 3)).repeat(2, 0).repeat(2, 1)
    noisy = base + np.random.default_rng([7, kind, number]).normal(0, noise, (_SIDE, _SIDE, 3))
    out = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def write_gallery(path: Path, items: int, **columns: list[Any]) -> None:
    """Write a table of `items` pictures; the first of every CLASSES is of kind 0, and so on."""
    rows = {
        "item_id": [f"item-{n:04d}" for n in range(items)],
        "image": [picture(n % CLASSES, n) for n in range(items)],
        "kind": [f"kind-{n % CLASSES}" for n in range(items)],
        "views": list(range(items)),
        **columns,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows), path)


def write_queries(path: Path, queries: int, items: int) -> None:
    """Write queries that no gallery holds; all items of a query's kind are relevant to it."""
    kinds = [n % CLASSES for n in range(queries)]
    rows = {
        "image": [picture(kind, 100_000 + n) for n, kind in enumerate(kinds)],
        "relevant": [[f"item-{n:04d}" for n in range(kind, items, CLASSES)] for kind in kinds],
    }
    pq.write_table(pa.table(rows), path)


def task(root: Path, **more: Any) -> dict[str, Any]:
    """Return what all tasks of a backfill below `root` say."""
    return {
        "gallery": {"uri": str(root / "items.parquet")},
        "from": {"model": "models/old"},
        "to": {"model": "models/new"},
        "output": str(root / "out"),
        **more,
    }
