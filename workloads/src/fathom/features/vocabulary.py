"""Vocabularies: which id each token has. They only grow; an id never comes to mean something else.

A vocabulary is known by its `id`, a digest of what decides the meaning of its tokens and of its first tokens.
As long as the former stays, a later run appends to it; otherwise another vocabulary with another id begins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from fathom.features.counting import Ints
from fathom.storage import Location, appearing, digest_bytes

pc: Any = pyarrow.compute
#: Ids of tokens: 0 pads, 1 is a caption without any known token, 2 an item without caption; tokens follow.
PADDING: Final = 0
UNKNOWN: Final = 1
MISSING: Final = 2
FIRST: Final = 3
#: No id.
NONE: Final = -1

SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("since", pa.int32(), nullable=False),
    ]
)
_METADATA: Final = b"fathom"


@dataclass(frozen=True)
class Terms:
    """What captions consist of: the name of each term, and in how many captions it is."""

    names: list[str]
    counts: Ints


@dataclass(frozen=True)
class Vocabulary:
    """A version of a vocabulary.

    Attributes:
        id: the same for all its versions.
        version: from 1; grows by one whenever tokens are added.
        meaning: what decides what its tokens mean.
        size: ids there may be, those below FIRST included: the rows an embedding table needs.
        ids: int64 [n], ascending.
        tokens: what each stands for.
        counts: int64 [n]; in how many captions each is now.
        since: int64 [n]; the version that gave each its id.
    """

    id: str
    version: int
    meaning: Mapping[str, str]
    size: int
    ids: Ints
    tokens: list[str]
    counts: Ints
    since: Ints

    @classmethod
    def fixed(cls, meaning: Mapping[str, str], ids: Ints, terms: Terms, size: int) -> Self:
        """Return one whose ids follow from the terms themselves; it lists those in use."""
        begun = _begun(meaning, [])
        return cls(begun, 1, meaning, size, ids, terms.names, terms.counts, np.ones_like(ids))

    def find(self, names: Sequence[str]) -> Ints:
        """Return the id of each of `names`, NONE of one that has none."""
        places = pc.index_in(pa.array(names, pa.string()), value_set=pa.array(self.tokens, pa.string()))
        found = places.fill_null(NONE).to_numpy()
        return np.where(found == NONE, NONE, self.ids[found]) if len(self.ids) else found.astype(np.int64)


def extended(
    known: Vocabulary | None, meaning: Mapping[str, str], terms: Terms, *, min_count: int, most: int
) -> Vocabulary:
    """Return `known` with the frequent ones of `terms` added, the most frequent first, ties alphabetically.

    Args:
        known: the version before; None, or one of another meaning, begins a vocabulary.
        meaning: what decides what tokens mean.
        terms: those of the captions now.
        min_count: fewest captions of a new token.
        most: most tokens in all. Tokens that have an id keep it.
    """
    before = known if known is not None and known.meaning == meaning else None
    old = before.tokens if before else []
    now, rest = _parted(old, terms)
    new = _frequent(rest, min_count, most - len(old))
    version = (before.version if before else 0) + bool(new.names or not before)
    tokens = [*old, *new.names]
    since = [*(before.since.tolist() if before else []), *([version] * len(new.names))]
    return Vocabulary(
        id=before.id if before else _begun(meaning, tokens),
        version=version,
        meaning=meaning,
        size=FIRST + len(tokens),
        ids=np.arange(FIRST, FIRST + len(tokens)),
        tokens=tokens,
        counts=np.concatenate([now, new.counts]),
        since=np.array(since, np.int64),
    )


def _parted(old: list[str], terms: Terms) -> tuple[Ints, Terms]:
    """Return in how many captions each of the `old` tokens is now, and the terms that are none of them."""
    if not old:
        return np.empty(0, np.int64), terms
    counts = dict(zip(terms.names, terms.counts.tolist(), strict=True))
    now = np.array([counts.pop(token, 0) for token in old], np.int64)
    return now, Terms(list(counts), np.array(list(counts.values()), np.int64))


def _frequent(terms: Terms, min_count: int, most: int) -> Terms:
    """Return at most so many of `terms`, the most frequent first, ties alphabetically."""
    table = pa.table({"name": pa.array(terms.names, pa.string()), "count": terms.counts})
    table = table.filter(pa.array(terms.counts >= min_count))
    table = table.sort_by([("count", "descending"), ("name", "ascending")]).slice(0, max(most, 0))
    return Terms(table["name"].to_pylist(), table["count"].to_numpy())


def _begun(meaning: Mapping[str, str], tokens: Sequence[str]) -> str:
    text = json.dumps(dict(meaning), sort_keys=True)
    return digest_bytes("\n".join([text, *tokens]).encode())


def write(path: Location, vocabulary: Vocabulary) -> None:
    """Write `vocabulary`; what is not a column is in the file's metadata."""
    columns = (vocabulary.ids, vocabulary.tokens, vocabulary.counts, vocabulary.since)
    about = {
        "vocabulary": vocabulary.id,
        "version": vocabulary.version,
        "meaning": dict(vocabulary.meaning),
        "size": vocabulary.size,
    }
    schema = SCHEMA.with_metadata({_METADATA: json.dumps(about, sort_keys=True)})
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    with appearing(path) as temporary:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), temporary, compression="zstd")


def read(path: Location) -> Vocabulary | None:
    """Return the vocabulary at `path`; None where there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
        about = json.loads((table.schema.metadata or {})[_METADATA])
        return Vocabulary(
            id=about["vocabulary"],
            version=about["version"],
            meaning=about["meaning"],
            size=about["size"],
            ids=table["id"].to_numpy().astype(np.int64),
            tokens=table["token"].to_pylist(),
            counts=table["count"].to_numpy(),
            since=table["since"].to_numpy().astype(np.int64),
        )
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        # Nobody can go on from such a file. Another vocabulary begins, and its id says that it is another.
        return None


@dataclass(frozen=True)
class Numbering:
    """The ids of terms by their numbers, and how rare they are.

    Attributes:
        ranks: int64 [terms]; its place from the rarest on, NONE of one that has no id.
        by_rank: int64; the id at each place.
    """

    ranks: Ints
    by_rank: Ints

    @classmethod
    def of(cls, ids: Ints, counts: Ints) -> Self:
        """Number terms with these ids, in so many captions; of equally rare ones the lower id comes first."""
        numbered = np.flatnonzero(ids != NONE)
        order = numbered[np.lexsort((ids[numbered], counts[numbered]))]
        ranks = np.full(len(ids), NONE, np.int64)
        ranks[order] = np.arange(len(order))
        return cls(ranks, ids[order])
