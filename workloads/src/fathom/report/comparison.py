"""The run before, caption by caption: what changed, is new or is gone, and some of it word by word."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.report import columns
from fathom.report.survey import Store
from fathom.report.text import clean, shown_id

#: Captions that are compared in memory at once, of each run.
_BUCKET_ROWS: Final = 1 << 18
_SHOWN: Final = 16
_MOST_WORDS: Final = 80
_MOST_CHARACTERS: Final = 600
_COLUMNS: Final = ["item_id", "aspect", "caption"]
_RECORD: Final = np.dtype([("key", np.uint64), ("caption", np.uint64)])
Records = NDArray[np.void]


class Piece(NamedTuple):
    """Some words of two captions: in both, only in the earlier one, or only in the later one."""

    kind: Literal["same", "old", "new"]
    text: str


@dataclass(frozen=True)
class Changed:
    """A caption that is another than in the run before."""

    item_id: str
    aspect: str
    pieces: list[Piece]

    @property
    def name(self) -> str:
        """The id, as it is shown."""
        return shown_id(self.item_id)


@dataclass
class Comparison:
    """How many captions differ from those of the run before, and some that do, chosen by chance."""

    same: int = 0
    changed: int = 0
    new: int = 0
    gone: int = 0
    examples: list[Changed] = field(default_factory=list[Changed])

    @property
    def share(self) -> float:
        """The share of the captions of both runs that changed."""
        return self.changed / max(1, self.same + self.changed)


def compare(store: Store) -> Comparison | None:
    """Return how the captions of `store` differ from the run before, or None where there was none.

    16 bytes of each caption are put aside on disk, in buckets by a hash; memory stays flat.
    """
    before = store.previous()
    first = next(before, None)
    if first is None:
        return None
    buckets = max(1, store.count * len(store.aspects) // _BUCKET_ROWS)
    with tempfile.TemporaryDirectory(prefix="fathom-report-") as spool:
        old = _spool(Path(spool, "old"), itertools.chain([first], before), buckets)
        new = _spool(Path(spool, "new"), store.rows(_COLUMNS), buckets)
        found, keys = _join(zip(old, new, strict=True))
    found.examples = _examples(store, keys)
    return found


def _spool(folder: Path, batches: Iterable[pa.RecordBatch], buckets: int) -> list[Path]:
    folder.mkdir()
    files = [folder / str(number) for number in range(buckets)]
    for rows in batches:
        records = np.empty(rows.num_rows, _RECORD)
        records["key"] = _keys(rows)
        records["caption"] = columns.hashes(columns.texts(rows["caption"]))
        # The low bits choose the bucket, all of them the examples.
        bucket = records["key"] % np.uint64(buckets)
        for number in np.unique(bucket).tolist():
            with files[number].open("ab") as file:
                file.write(records[bucket == number].tobytes())
    return files


def _keys(rows: pa.RecordBatch) -> columns.Hashes:
    ids, aspects = columns.texts(rows["item_id"]), columns.texts(rows["aspect"])
    return columns.hashes([f"{aspect}\0{item}" for item, aspect in zip(ids, aspects, strict=True)])


def _join(pairs: Iterable[tuple[Path, Path]]) -> tuple[Comparison, columns.Hashes]:
    """Return the counts, and the keys of the changed captions to show: those with the smallest hashes."""
    found, keys = Comparison(), np.empty(0, np.uint64)
    for old, new in ((_load(o), _load(n)) for o, n in pairs):
        both, at_old, at_new = np.intersect1d(old["key"], new["key"], return_indices=True)
        differs = old["caption"][at_old] != new["caption"][at_new]
        found.changed += int(differs.sum())
        found.same += int((~differs).sum())
        found.gone += len(old) - len(both)
        found.new += len(new) - len(both)
        keys = np.sort(np.concatenate([keys, both[differs]]))[:_SHOWN]
    return found, keys


def _load(file: Path) -> Records:
    records = np.fromfile(file, _RECORD) if file.exists() else np.empty(0, _RECORD)
    return records[np.unique(records["key"], return_index=True)[1]]


def _examples(store: Store, keys: columns.Hashes) -> list[Changed]:
    old, new = _captions(store.previous(), keys), _captions(store.rows(_COLUMNS), keys)
    return [
        Changed(item, clean(aspect, 64), difference(old[item, aspect], new[item, aspect]))
        for item, aspect in sorted(old.keys() & new.keys())
    ]


def _captions(batches: Iterator[pa.RecordBatch], keys: columns.Hashes) -> dict[tuple[str, str], str]:
    if not len(keys):
        return {}
    found: dict[tuple[str, str], str] = {}
    for rows in batches:
        wanted = rows.filter(pa.array(np.isin(_keys(rows), keys)))
        fields = (columns.texts(wanted[name]) for name in _COLUMNS)
        found |= {(item, aspect): caption for item, aspect, caption in zip(*fields, strict=True)}
    return found


def difference(old: str, new: str) -> list[Piece]:
    """Return two captions in pieces, word by word; what is beyond their first words is not compared."""
    before, after = _words(old), _words(new)
    pieces: list[Piece] = []
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", " ".join(before[i:j])))
            continue
        pieces += [Piece("old", " ".join(before[i:j]))] if j > i else []
        pieces += [Piece("new", " ".join(after[k:m]))] if m > k else []
    return pieces


def _words(caption: str) -> Sequence[str]:
    words = clean(caption, _MOST_CHARACTERS).split()
    return [*words[:_MOST_WORDS], "…"] if len(words) > _MOST_WORDS else words
