"""A gallery whose items are captions: what a CaptionJob says of each item is what is embedded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

from fathom import storage
from fathom.backfill.stages.items import Seen
from fathom.captioning.store.captions import Captions
from fathom.errors import InvalidInputError
from fathom_api.tasks import CaptionsAt

pc: Any = pyarrow.compute


class CaptionItems:
    """The items of a CaptionJob that have a caption, in the order of their ids; a row is a place in it."""

    def __init__(self, at: CaptionsAt) -> None:
        """Read the captions; they stay in memory.

        Raises:
            InvalidInputError: they are unfinished, or there is no such aspect.
        """
        self._at = at
        store = Captions(storage.existing(at.output), at.shards)
        parts = [pa.table({"id": b.item_ids, "caption": b.captions}) for b in store.batches(at.aspect)]
        table = pa.concat_tables(parts).sort_by("id").combine_chunks()
        self._ids, self._captions = table["id"].combine_chunks(), table["caption"].combine_chunks()

    def ids(self) -> tuple[list[str], list[int]]:
        """Return the ids of all items and their rows."""
        return self._ids.to_pylist(), list(range(len(self._ids)))

    def contents(self, ids: Sequence[str], rows: Sequence[int]) -> Iterator[Seen]:
        """Yield the items with their captions.

        They are found by id: the catalogue may have been captioned again since `rows` were counted.
        """
        places = pc.index_in(pa.array(ids, pa.string()), value_set=self._ids).to_pylist()
        for item_id, row, place in zip(ids, rows, places, strict=True):
            text = None if place is None else self._captions[place].as_py()
            if text is None or not text.strip():
                yield Seen(item_id, row, reason="NoCaption", message="has no caption to embed")
            else:
                yield Seen(item_id, row, text, hashlib.sha256(text.encode()).hexdigest())

    digests = contents

    def column(self, name: str) -> dict[str, str]:
        """Captions have no columns.

        Raises:
            InvalidInputError: always.
        """
        raise InvalidInputError(
            "MissingColumn", f"{self._at.output}: captions have no column {name!r}; name media as the gallery"
        )
