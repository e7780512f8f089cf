"""Qdrant: one collection, a point for each item with the named vector of the space it is in.

Writing a point anew with the other vector moves it in one operation. Each point says in its payload which
model made which of its vectors.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa
from qdrant_client import QdrantClient, models

from fathom.errors import InvalidInputError
from fathom.retrieval.errors import MixedModelsError
from fathom.retrieval.merging import Hit, Queries, search_each, unit
from fathom.retrieval.parts import SPACES, Floats, Space, SpaceName
from fathom.retrieval.stores import BATCH_ROWS, GRACE_SECONDS, OVER_FETCH, REQUEST_SECONDS

_ID: Final = "item_id"
#: Points have UUIDs or numbers: an item's id becomes one in this namespace.
_NAMESPACE: Final = uuid.UUID("6f0b5f6e-0f7a-5c57-9d1c-0c5e6a1f0c11")


def connect(address: str, collection: str, old: Space, new: Space) -> QdrantStore:
    """Return the collection at a server's `address`."""
    client = QdrantClient(
        url=address,
        api_key=os.environ.get("QDRANT_API_KEY"),
        timeout=REQUEST_SECONDS,
        check_compatibility=False,
    )
    return QdrantStore(client, collection, old, new)


class QdrantStore:
    """Two spaces as named vectors, `old` and `new`, of one collection."""

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        old: Space,
        new: Space,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make the collection, or check that it fits.

        Raises:
            InvalidInputError: it is there and its vectors are of other widths.
        """
        self._client, self._collection, self._pause = client, collection, pause
        self._spaces: dict[SpaceName, Space] = {"old": old, "new": new}
        self._prepare()

    def space(self, name: SpaceName) -> Space:
        """Return what a space is of."""
        return self._spaces[name]

    def sizes(self) -> dict[SpaceName, int]:
        """Return how many points have a vector of each space."""
        return {"old": self._count("old"), "new": self._count("new")}

    def search(self, queries: Queries, k: int) -> list[list[Hit]]:
        """Return for each query the best items of each space.

        Raises:
            MixedModelsError: a point's vector is of another model than its space.
        """

        def ask(space: SpaceName, vectors: Floats) -> Iterator[Iterator[Hit]]:
            requests = [
                models.QueryRequest(
                    query=vector, using=space, limit=k + OVER_FETCH, with_payload=[_ID, _model_key(space)]
                )
                for vector in vectors.tolist()
            ]
            answers = self._client.query_batch_points(self._collection, requests)
            return ((self._hit(point, space) for point in answer.points) for answer in answers)

        return search_each(queries, ask)

    def put(self, space: SpaceName, ids: pa.StringArray, vectors: Floats) -> None:
        """Have items in `space` and nowhere else."""
        for names, part in _batches(ids, unit(vectors)):
            points = {
                _point_id(name): (name, vector) for name, vector in zip(names, part.tolist(), strict=True)
            }
            there = self._there(list(points)) if space == "old" else set[str]()
            fresh = [self._point(point, *points[point], space) for point in points if point not in there]
            if fresh:
                self._client.upsert(self._collection, fresh, wait=True)
            if there:
                self._back({point: points[point][1] for point in points if point in there})

    def _back(self, vectors: dict[str, list[float]]) -> None:
        """Give points their old vector, and take the new one when no search that saw neither is under way."""
        old = self._spaces["old"].model
        self._client.batch_update_points(
            self._collection,
            [
                models.SetPayloadOperation(
                    set_payload=models.SetPayload(payload={_model_key("old"): old}, points=list(vectors))
                ),
                models.UpdateVectorsOperation(
                    update_vectors=models.UpdateVectors(
                        points=[models.PointVectors(id=i, vector={"old": v}) for i, v in vectors.items()]
                    )
                ),
            ],
            wait=True,
        )
        self._pause(GRACE_SECONDS)
        self._client.delete_vectors(self._collection, vectors=["new"], points=list(vectors), wait=True)

    def _point(self, point: str, name: str, vector: list[float], space: SpaceName) -> models.PointStruct:
        payload = {_ID: name, _model_key(space): self._spaces[space].model}
        return models.PointStruct(id=point, vector={space: vector}, payload=payload)

    def _there(self, points: list[str]) -> set[str]:
        """Return which of `points` have a new vector now."""
        found = self._client.retrieve(self._collection, points, with_payload=False, with_vectors=["new"])
        return {str(record.id) for record in found if isinstance(record.vector, dict) and record.vector}

    def _hit(self, point: Any, side: SpaceName) -> Hit:
        payload = point.payload or {}
        name, model = payload.get(_ID), payload.get(_model_key(side))
        if name is None or model != self._spaces[side].model:
            raise MixedModelsError(
                f"{self._collection}: the {side} vector of point {point.id} is of model {model}, not of "
                f"{self._spaces[side].model}; write it again with that model, or remove it"
            )
        return Hit(name, float(point.score), side)

    def _count(self, side: SpaceName) -> int:
        has = models.Filter(must=[models.HasVectorCondition(has_vector=side)])
        return self._client.count(self._collection, count_filter=has, exact=True).count

    def _prepare(self) -> None:
        if not self._client.collection_exists(self._collection):
            vectors = {
                side: models.VectorParams(size=self._spaces[side].dim, distance=models.Distance.DOT)
                for side in SPACES
            }
            self._client.create_collection(self._collection, vectors_config=vectors)
            return
        known: Any = self._client.get_collection(self._collection).config.params.vectors
        for side in SPACES:
            params = known.get(side) if isinstance(known, dict) else None
            if params is None or params.size != self._spaces[side].dim:
                raise InvalidInputError(
                    "WrongShape",
                    f"{self._collection}: needs a named vector {side!r} of size {self._spaces[side].dim}, "
                    "it has "
                    f"{params.size if params else 'none'}; name another collection, it will be made",
                )


def _batches(ids: pa.StringArray, vectors: Floats) -> Iterator[tuple[list[str], Floats]]:
    for start in range(0, len(ids), BATCH_ROWS):
        part = slice(start, start + BATCH_ROWS)
        yield ids[part].to_pylist(), vectors[part]


def _point_id(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))


def _model_key(side: SpaceName) -> str:
    return f"fathom_model_{side}"
