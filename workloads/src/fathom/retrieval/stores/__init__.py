"""Vector databases in place of our own index: the same search over two spaces, the same moves.

What they cannot do is change two spaces in one instant. Both are searched one after the other, the old one
first, and an item is written into a space before it is taken out of the other; where it moves against that
order, as in a rollback, it stays in both for `GRACE_SECONDS`, longer than a search takes. So it may be found
twice, which merging mends, and never not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import pyarrow as pa

from fathom.errors import InvalidInputError
from fathom.retrieval.index import Batch
from fathom.retrieval.merging import Hit, Queries, Store
from fathom.retrieval.names import Names
from fathom.retrieval.parts import Floats, Space, SpaceName

#: Longer than any search: clients are refused after REQUEST_SECONDS.
GRACE_SECONDS: Final = 12.0
REQUEST_SECONDS: Final = 5
#: Asked for beyond k: what was moved between two looks is found twice and leaves fewer.
OVER_FETCH: Final = 16
#: Vectors sent in one request.
BATCH_ROWS: Final = 256


class Database(Store, Protocol):
    """A vector database with two spaces."""

    def put(self, space: SpaceName, ids: pa.StringArray, vectors: Floats) -> None:
        """Have items in `space` with these vectors, and in the end nowhere else."""
        ...

    def sizes(self) -> dict[SpaceName, int]:
        """Return how many items each space has."""
        ...


class Mirror:
    """A database that follows a gallery, as the index in memory does.

    It counts the database's items when it has changed something: whoever answers a query must not wait for
    that.
    """

    def __init__(self, database: Database) -> None:
        """Take the `database` as it is."""
        self.names = Names()
        self._database = database
        self._sizes = database.sizes()

    def space(self, name: SpaceName) -> Space:
        """Return what a space is of."""
        return self._database.space(name)

    def search(self, queries: Queries, k: int) -> list[list[Hit]]:
        """Return for each query the best items of each space."""
        return self._database.search(queries, k)

    def load(self, space: SpaceName, read: Callable[[], Iterator[Batch]]) -> None:
        """Have what `read` yields in `space`; what is there already is written again."""
        for numbers, vectors in read():
            ids = pa.array(self.names.take(numbers.tolist()), pa.string())
            self._database.put(space, ids, vectors)
        self._sizes = self._database.sizes()

    def put(self, space: SpaceName, ids: pa.StringArray, vectors: Floats) -> None:
        """Have items in `space`."""
        self._database.put(space, ids, vectors)
        self._sizes = self._database.sizes()

    def sizes(self) -> dict[SpaceName, int]:
        """Return how many items each space had after the last change."""
        return self._sizes


def open_database(uri: str, old: Space, new: Space) -> Database:
    """Return the database at `uri`: `qdrant+http(s)://host:port/collection`,
    `milvus+http(s)://host:port/name`.

    Keys come from the environment: `QDRANT_API_KEY`, `MILVUS_TOKEN`.

    Raises:
        InvalidInputError: the URI names no database, its library is missing, or what is there is of other
        models.
    """
    kind, separator, rest = uri.partition("+")
    address, _, name = rest.rpartition("/")
    if not separator or kind not in ("qdrant", "milvus") or "://" not in address or not name:
        raise InvalidInputError(
            "InvalidUri", f"{uri}: use qdrant+http://host:6333/collection or milvus+http://host:19530/name"
        )
    try:
        if kind == "qdrant":
            from fathom.retrieval.stores.qdrant import connect
        else:
            from fathom.retrieval.stores.milvus import connect
    except ImportError as error:
        raise InvalidInputError(
            "MissingLibrary", f"{uri}: {error}; pip install 'fathom-workloads[{kind}]' brings it"
        ) from error
    return connect(address, name, old, new)
