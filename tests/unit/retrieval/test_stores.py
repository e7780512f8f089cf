"""The same search in vector databases: Qdrant's local mode, and Milvus Lite in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from builders.galleries import NEW_MODEL, OLD_MODEL, OTHER_MODEL, World, names, vectors
from pymilvus import MilvusClient
from qdrant_client import QdrantClient

from fathom.errors import InvalidInputError
from fathom.retrieval import stores
from fathom.retrieval.errors import MixedModelsError
from fathom.retrieval.following import Following
from fathom.retrieval.index import Index
from fathom.retrieval.merging import Queries, search
from fathom.retrieval.parts import Space
from fathom.retrieval.stores import Database, Mirror, open_database
from fathom.retrieval.stores.milvus import MilvusStore
from fathom.retrieval.stores.qdrant import QdrantStore

Opened = Callable[[Space, Space], Database]
OLD, NEW = Space(model=OLD_MODEL, dim=16), Space(model=NEW_MODEL, dim=24)


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    client = MilvusClient(str(tmp_path_factory.mktemp("milvus") / "lite.db"))
    yield client
    client.close()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture(params=["qdrant", "milvus"])
def opened(request: pytest.FixtureRequest, milvus: MilvusClient, pauses: list[float]) -> Opened:
    if request.param == "qdrant":
        client = QdrantClient(":memory:")
        return lambda old, new: QdrantStore(client, "items", old, new, pauses.append)
    name = f"items_{abs(hash(request.node.name)) % 10**9}"
    return lambda old, new: MilvusStore(milvus, name, old, new, pauses.append)


def test_the_answer_is_that_of_our_own_index_at_every_progress(opened: Opened) -> None:
    ids, old, new = names(200), vectors(200, 16, 1), vectors(200, 24, 2)
    database, index = opened(OLD, NEW), Index({"old": OLD, "new": NEW}, 200)
    order, asked = np.random.default_rng(0).permutation(200), Queries(vectors(3, 16, 8), vectors(3, 24, 9))
    for target in (database, index):
        target.put("old", pa.array(ids), old)
    for start in range(0, 200, 50):
        assert [[hit.id for hit in hits] for hits in search(database, asked, 10)] == [
            [hit.id for hit in hits] for hits in search(index, asked, 10)
        ]
        assert database.sizes() == index.sizes()
        moving = order[start : start + 50]
        for target in (database, index):
            target.put("new", pa.array([ids[i] for i in moving]), new[moving])


def test_an_item_that_goes_back_is_in_both_spaces_for_a_while_and_then_in_one(
    opened: Opened, pauses: list[float]
) -> None:
    database = opened(OLD, NEW)
    database.put("new", pa.array(["a", "b"]), vectors(2, 24, 1))
    database.put("old", pa.array(["a"]), vectors(1, 16, 1))
    assert pauses == [stores.GRACE_SECONDS]
    assert database.sizes() == {"old": 1, "new": 1}


def test_an_item_in_both_spaces_is_answered_once(opened: Opened) -> None:
    database = opened(OLD, NEW)
    vector = vectors(1, 24, 1)
    database.put("new", pa.array(["a"]), vector)
    seen: list[list[str]] = []

    def look(seconds: float) -> None:
        [hits] = search(database, Queries(vectors(1, 16, 1), vector), 5)
        seen.append([f"{hit.id} {hit.space}" for hit in hits])

    database._pause = look  # type: ignore[attr-defined]
    database.put("old", pa.array(["a"]), vectors(1, 16, 1))
    assert seen == [["a new"]]


def test_a_database_follows_a_gallery(opened: Opened, tmp_path: Path) -> None:
    world = World(tmp_path / "g", items=120)
    gallery = world.imported()
    database = opened(*world.spaces)
    following = Following(gallery, Mirror(database), lambda found: found)
    following.load()
    world.move(gallery, range(2), 30)
    following.look()
    assert database.sizes() == {"old": 60, "new": 60}
    moved = world.order[:60]
    hits = search(database, Queries(None, world.new[moved]), 1)
    assert [found[0].id for found in hits] == [world.ids[i] for i in moved]
    assert following.progress == 0.5


def test_answers_do_not_wait_for_the_database_to_count_its_items(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = opened(OLD, NEW)
    mirror = Mirror(database)
    mirror.put("old", pa.array(["a", "b"]), vectors(2, 16, 1))
    mirror.put("new", pa.array(["a"]), vectors(1, 24, 1))
    monkeypatch.setattr(database, "sizes", lambda: pytest.fail("counted without a change"))
    assert mirror.sizes() == {"old": 1, "new": 1}
    assert mirror.space("new") == NEW
    [hits] = search(mirror, Queries(vectors(1, 16, 1), vectors(1, 24, 1)), 5)
    assert {hit.id for hit in hits} == {"a", "b"}


def test_vectors_of_another_model_are_refused_though_their_width_is_the_same(opened: Opened) -> None:
    opened(OLD, NEW).put("new", pa.array(["a"]), vectors(1, 24, 1))
    successor = opened(OLD, Space(model=OTHER_MODEL, dim=24))
    with pytest.raises(MixedModelsError, match=f"is of model {NEW_MODEL}, not of {OTHER_MODEL}"):
        successor.search(Queries(None, vectors(1, 24, 1)), 1)


def test_a_collection_of_another_width_is_refused(opened: Opened) -> None:
    opened(OLD, NEW)
    with pytest.raises(InvalidInputError, match="will be made"):
        opened(OLD, Space(model=NEW_MODEL, dim=25))


@pytest.mark.parametrize("uri", ["redis+http://h:1/c", "qdrant+http://h:1/", "qdrant+h/c", "http://h/c", ""])
def test_what_is_no_database_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInputError, match=r"use qdrant\+http"):
        open_database(uri, OLD, NEW)
