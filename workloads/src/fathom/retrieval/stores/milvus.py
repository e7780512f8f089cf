"""Milvus: a collection for each space, `<name>_old` and `<name>_new`; each row names its vector's model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa
from pymilvus import DataType, MilvusClient

from fathom.errors import InvalidInputError
from fathom.retrieval.errors import MixedModelsError
from fathom.retrieval.merging import Hit, Queries, search_each, unit
from fathom.retrieval.parts import SPACES, Floats, Space, SpaceName
from fathom.retrieval.stores import BATCH_ROWS, GRACE_SECONDS, OVER_FETCH, REQUEST_SECONDS

_ID_BYTES: Final = 512


def connect(address: str, name: str, old: Space, new: Space) -> MilvusStore:
    """Return the collections at a server's `address`."""
    client = MilvusClient(address, token=os.environ.get("MILVUS_TOKEN", ""), timeout=REQUEST_SECONDS)
    return MilvusStore(client, name, old, new)


class MilvusStore:
    """Two spaces as two collections."""

    def __init__(
        self,
        client: MilvusClient,
        name: str,
        old: Space,
        new: Space,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make the collections, or check that they fit.

        Raises:
            InvalidInputError: one is there and its vectors are of another width.
        """
        self._client, self._name, self._pause = client, name, pause
        self._spaces: dict[SpaceName, Space] = {"old": old, "new": new}
        for side in SPACES:
            self._prepare(side)

    def space(self, name: SpaceName) -> Space:
        """Return what a space is of."""
        return self._spaces[name]

    def sizes(self) -> dict[SpaceName, int]:
        """Return how many items each space has."""
        return {"old": self._count("old"), "new": self._count("new")}

    def search(self, queries: Queries, k: int) -> list[list[Hit]]:
        """Return for each query the best items of each space.

        Raises:
            MixedModelsError: a row's vector is of another model than its space.
        """

        def ask(space: SpaceName, vectors: Floats) -> Iterator[Iterator[Hit]]:
            answers: Any = self._client.search(
                self._collection(space),
                vectors.tolist(),
                limit=k + OVER_FETCH,
                output_fields=["model"],
                consistency_level="Strong",
            )
            return ((self._hit(row, space) for row in answer) for answer in answers)

        return search_each(queries, ask)

    def put(self, space: SpaceName, ids: pa.StringArray, vectors: Floats) -> None:
        """Have items in `space` and, in the end, nowhere else.

        Raises:
            InvalidInputError: an id is longer than Milvus takes.
        """
        vectors = unit(vectors)
        for start in range(0, len(ids), BATCH_ROWS):
            names: list[str] = ids[start : start + BATCH_ROWS].to_pylist()
            self._check_lengths(names)
            model = self._spaces[space].model
            rows = [
                {"id": name, "model": model, "vector": vector}
                for name, vector in zip(names, vectors[start : start + BATCH_ROWS].tolist(), strict=True)
            ]
            other: SpaceName = "new" if space == "old" else "old"
            self._client.upsert(self._collection(space), rows)
            leaving = self._there(other, names)
            if leaving and space == "old":
                self._pause(GRACE_SECONDS)
            if leaving:
                self._client.delete(self._collection(other), ids=leaving)

    def _there(self, side: SpaceName, names: list[str]) -> list[str]:
        found: Any = self._client.get(self._collection(side), ids=names, output_fields=["id"])
        return [row["id"] for row in found]

    def _hit(self, row: Any, side: SpaceName) -> Hit:
        model = row["entity"].get("model")
        if model != self._spaces[side].model:
            raise MixedModelsError(
                f"{self._collection(side)}: the vector of {row['id']} is of model {model}, not of "
                f"{self._spaces[side].model}; write it again with that model, or remove it"
            )
        return Hit(row["id"], float(row["distance"]), side)

    def _count(self, side: SpaceName) -> int:
        found: Any = self._client.query(
            self._collection(side), filter="", output_fields=["count(*)"], consistency_level="Strong"
        )
        return int(found[0]["count(*)"])

    def _collection(self, side: SpaceName) -> str:
        return f"{self._name}_{side}"

    def _check_lengths(self, names: list[str]) -> None:
        for name in names:
            if len(name.encode()) > _ID_BYTES:
                raise InvalidInputError(
                    "IdTooLong", f"item {name[:40]}…: Milvus keeps ids of {_ID_BYTES} bytes; use shorter ones"
                )

    def _prepare(self, side: SpaceName) -> None:
        collection, dim = self._collection(side), self._spaces[side].dim
        there: Any = self._client.has_collection(collection)
        if there:
            about: Any = self._client.describe_collection(collection)
            widths = [f["params"]["dim"] for f in about["fields"] if f["name"] == "vector"]
            if [int(width) for width in widths] != [dim]:
                raise InvalidInputError(
                    "WrongShape",
                    f"{collection}: needs a field 'vector' of {dim} components, it has {widths or 'none'}; "
                    "use "
                    "another name, the collections will be made",
                )
            return
        schema: Any = self._client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_ID_BYTES)
        schema.add_field("model", DataType.VARCHAR, max_length=80)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        indexes: Any = self._client.prepare_index_params()
        indexes.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
        self._client.create_collection(
            collection, schema=schema, index_params=indexes, consistency_level="Strong"
        )
