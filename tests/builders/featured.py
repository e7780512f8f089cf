"""Captions in memory, and the features made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fathom.features import aspect
from fathom.features.coverage import Coverage
from fathom.features.tokenisers.base import Tokeniser
from fathom.features.vocabulary import FIRST, Vocabulary, read
from fathom_api.tokens import CaptionFeatures


@dataclass(frozen=True)
class Batch:
    item_ids: list[str]
    captions: list[str]


@dataclass(frozen=True)
class Captions:
    """As much of the captions of a run as featurising looks at: aspect → item → caption."""

    texts: Mapping[str, Mapping[str, str]]
    before: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    rows: int = 3

    @property
    def count(self) -> int:
        return max(map(len, self.texts.values()))

    @property
    def aspects(self) -> list[str]:
        return list(self.texts)

    def digest(self) -> str:
        return repr(sorted((name, sorted(texts.items())) for name, texts in self.texts.items()))

    def batches(self, name: str) -> Iterator[Batch]:
        items = list(self.texts[name].items())
        for start in range(0, len(items), self.rows):
            some = items[start : start + self.rows]
            yield Batch([item for item, _ in some], [text for _, text in some])

    def samples(self, name: str) -> Iterator[Batch]:
        """Nothing was sampled."""
        return iter(())

    def previous(self) -> Iterator[pa.RecordBatch]:
        rows = [(i, name, text) for name, texts in self.before.items() for i, text in texts.items()]
        columns = zip(*rows, strict=True) if rows else ([], [], [])
        arrays = [pa.array(column, pa.string()) for column in columns]
        yield pa.record_batch(arrays, names=["item_id", "aspect", "caption"])


def numbered(*captions: str) -> dict[str, str]:
    """Return captions of items 0, 1, …"""
    return {str(number): caption for number, caption in enumerate(captions)}


@dataclass(frozen=True)
class Made:
    """Features of one aspect as they lay on disk when they had been made.

    Attributes:
        coverage: its report.
        vocabulary: as it was read.
        names: what each id stands for.
        ids: the tokens of each item.
        tokens: the same in words; what is no token is `<id>`.
    """

    coverage: Coverage
    vocabulary: Vocabulary
    names: dict[int, str]
    ids: dict[str, list[int]]
    tokens: dict[str, list[str]]


def make(folder: Path, captions: Mapping[str, str], strategy: Tokeniser, features: CaptionFeatures) -> Made:
    """Make the features of one aspect."""
    texts = Captions({"caption": captions})
    coverage = aspect.make(folder, lambda: texts.batches("caption"), len(captions), strategy, features)
    known = read(folder / aspect.VOCABULARY)
    assert known is not None
    names = dict(zip(known.ids.tolist(), known.tokens, strict=True))
    rows = pq.read_table(folder / "features.parquet").to_pylist()
    said = {number: f"<{number}>" for number in range(FIRST)} | names
    return Made(
        coverage,
        known,
        names,
        ids={row["item_id"]: row["tokens"] for row in rows},
        tokens={row["item_id"]: [said[number] for number in row["tokens"]] for row in rows},
    )
