"""The columns that a source names, and complaints about those that are not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from fathom.captioning.items import Record, as_id, texts
from fathom.errors import InvalidInputError
from fathom.storage import Location
from fathom_api.tasks import AnySource


def wanted(source: AnySource) -> list[str]:
    """Return the columns that `source` names, each once."""
    return list(dict.fromkeys([source.id_column, source.media_column, *source.text_columns]))


def need(path: Location, source: AnySource, existing: Iterable[str]) -> None:
    """Check that the columns of `source` are among `existing`, and each once.

    Raises:
        InvalidInputError: one is missing or there several times.
    """
    counts = Counter(list(existing))
    for name in wanted(source):
        if not counts[name]:
            known = ", ".join(map(repr, list(counts)[:50])) or "none"
            raise InvalidInputError("MissingColumn", f"{path}: no column {name!r}; it has {known}")
        if counts[name] > 1:
            raise InvalidInputError(
                "AmbiguousColumn", f"{path}: {counts[name]} columns are called {name!r}; rename all but one"
            )


def record(source: AnySource, row: dict[str, Any]) -> Record:
    """Return `row` as a record."""
    return Record(
        as_id(row.get(source.id_column)),
        row.get(source.media_column),
        texts(row, source.text_columns, source.max_text_length),
    )
