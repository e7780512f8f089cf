"""The probes: queries whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fathom import storage
from fathom.backfill.stages.embedding import Encoder, embed, together
from fathom.backfill.stages.folders import Floats
from fathom.backfill.stages.items import Seen
from fathom.captioning import media
from fathom.captioning.items import as_id
from fathom.captioning.media.unusable import UnusableMediaError
from fathom.errors import InvalidInputError
from fathom_api.backfill_tasks import AnyProbes
from fathom_api.tasks import AnySource


@dataclass(frozen=True)
class Queries:
    """Queries by one model, float32 [q, d], and the items that answer each."""

    vectors: Floats
    relevant: list[frozenset[str]]


def read(probes: AnyProbes, encoder: Encoder) -> Queries:
    """Return the queries, embedded.

    Raises:
        InvalidInputError: they cannot be read, a column is missing, or a picture cannot be used: what is
            measured must not depend on which queries could be read today.
    """
    path = storage.existing(probes.queries)
    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
    except pa.ArrowInvalid as error:
        raise InvalidInputError("UnreadableTable", f"{path}: not readable as Parquet: {error}") from error
    column = probes.text_column or probes.media_column
    for name in (column, probes.relevant_column):
        if name not in table.schema.names:
            raise InvalidInputError(
                "MissingColumn", f"{path}: no column {name!r}, only {', '.join(table.schema.names)}"
            )
    relevant = [_ids(value) for value in table[probes.relevant_column].to_pylist()]
    empty = next((row for row, ids in enumerate(relevant) if not ids), None)
    if not relevant or empty is not None:
        raise InvalidInputError(
            "NothingRelevant",
            f"{path}: " + (f"row {empty} names no relevant item" if relevant else "no queries") + "; mend it",
        )
    where = AnySource(uri=probes.queries, media_column=probes.media_column)
    look = _picture if probes.text_column is None else _text
    seen = [look(value, where, row) for row, value in enumerate(table[column].to_pylist())]
    return Queries(together(embed(encoder, seen), encoder.dim).vectors, relevant)


def _picture(value: object, where: AnySource, row: int) -> Seen:
    try:
        found = media.read(value, where)
        return Seen(str(row), row, media.decode(found, where).frames[0], found.sha256)
    except UnusableMediaError as error:
        raise InvalidInputError(
            error.reason, f"{where.uri}: the picture of row {row} cannot be used: {error}; mend or remove it"
        ) from error


def _text(value: object, where: AnySource, row: int) -> Seen:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError("NoText", f"{where.uri}: row {row} holds no text; mend or remove it")
    return Seen(str(row), row, value)


def _ids(value: Any) -> frozenset[str]:
    values = value if isinstance(value, list) else [value]
    return frozenset(item_id for each in values if (item_id := as_id(each)) is not None)
