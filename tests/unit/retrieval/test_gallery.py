"""Galleries on disk: what appears whole, what is refused, what is in force."""

from pathlib import Path

import numpy as np
import pytest
from builders.galleries import NEW_MODEL, OLD_MODEL, OTHER_MODEL, World, names, rows, vectors

from fathom.errors import InvalidInputError
from fathom.retrieval import writing
from fathom.retrieval.errors import MixedModelsError
from fathom.retrieval.gallery import Gallery, open_gallery
from fathom.retrieval.parts import Rows, Space


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gallery")


@pytest.fixture
def gallery(world: World) -> Gallery:
    return world.imported()


def chunks(gallery: Gallery) -> list[int]:
    return sorted(p.chunk for p in gallery.standing().parts if p.space == "new" and p.chunk is not None)


def test_what_was_imported_is_read_back(world: World, gallery: Gallery) -> None:
    read = [gallery.read(part) for part in open_gallery(world.uri).parts("old")]
    assert [i for part in read for i in part.ids.to_pylist()] == world.ids
    assert np.array_equal(np.concatenate([part.vectors for part in read]), world.old)
    assert gallery.info.items == len(world.ids)


def test_a_large_import_comes_in_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PART_ROWS", 100)
    gallery = World(tmp_path / "g", items=250).imported()
    assert [gallery.rows(part) for part in gallery.parts("old")] == [100, 100, 50]


def test_an_import_that_was_not_finished_is_no_gallery_and_can_begin_again(world: World) -> None:
    half = writing.Import(world.uri, *world.spaces)
    half.add(rows(["stale"], world.old[:1]), OLD_MODEL)
    with pytest.raises(InvalidInputError, match="never finished"):
        open_gallery(world.uri)
    gallery = world.imported()
    assert sum(gallery.rows(part) for part in gallery.parts("old")) == len(world.ids)


def test_a_gallery_is_not_imported_over(world: World, gallery: Gallery) -> None:
    with pytest.raises(InvalidInputError, match="there is a gallery already"):
        writing.Import(world.uri, *world.spaces)


def test_the_same_items_in_another_order_have_the_same_digest(tmp_path: Path) -> None:
    one, other = World(tmp_path / "one"), World(tmp_path / "other")
    other.ids.reverse()
    assert one.imported().info.ids == other.imported().info.ids


def test_a_chunk_that_is_there_stays_as_it_is(world: World, gallery: Gallery) -> None:
    part = writing.commit(gallery, 3, world.chunk(3, 10), NEW_MODEL)
    before = gallery.path(part).read_bytes()
    writing.commit(gallery, 3, world.chunk(4, 10), NEW_MODEL)
    assert gallery.path(part).read_bytes() == before


def test_a_chunk_may_be_empty_where_none_of_its_items_could_be_embedded(
    world: World, gallery: Gallery
) -> None:
    part = writing.commit(gallery, 0, rows([], np.zeros((0, 24), np.float32)), NEW_MODEL)
    assert len(gallery.read(part)) == 0


def test_what_is_added_twice_at_one_instant_is_there_twice(world: World, gallery: Gallery) -> None:
    for name in ("a", "b"):
        writing.add(gallery, rows([name], world.new[:1], version=1), NEW_MODEL, clock=lambda: 1.0)
    assert len(gallery.parts("new")) == 2


def test_all_chunks_are_in_force_until_some_are_rolled_back(world: World, gallery: Gallery) -> None:
    world.move(gallery, range(5), 10)
    writing.add(gallery, rows(["added"], world.new[:1]), NEW_MODEL)
    assert chunks(gallery) == [0, 1, 2, 3, 4]
    writing.roll_back(gallery, 2)
    assert chunks(gallery) == [0, 1]
    assert any(part.chunk is None for part in gallery.standing().parts), "what was added stays"
    writing.roll_forward(gallery)
    assert chunks(gallery) == [0, 1, 2, 3, 4]


def test_the_old_vectors_are_dropped_only_when_nothing_needs_them(world: World, gallery: Gallery) -> None:
    world.move(gallery, range(4), 100)
    with pytest.raises(InvalidInputError, match="100 items are not in the new space"):
        writing.drop_old(gallery)
    world.move(gallery, range(4, 5), 100)
    writing.roll_back(gallery, 4)
    with pytest.raises(InvalidInputError, match="roll forward first"):
        writing.drop_old(gallery)
    writing.roll_forward(gallery)
    writing.drop_old(gallery)
    writing.drop_old(gallery)
    assert gallery.parts("old") == []
    with pytest.raises(InvalidInputError, match="nothing to go back to"):
        writing.roll_back(gallery, 0)


def test_vectors_of_another_model_are_refused_when_written(world: World, gallery: Gallery) -> None:
    with pytest.raises(MixedModelsError, match="vectors of two models cannot be compared"):
        writing.commit(gallery, 0, world.chunk(0, 10), OTHER_MODEL)
    with pytest.raises(MixedModelsError):
        writing.add(gallery, rows(["a"], world.new[:1]), OLD_MODEL)
    assert gallery.parts("new") == []


def test_vectors_of_another_model_are_refused_when_read(
    world: World, gallery: Gallery, tmp_path: Path
) -> None:
    other = World(tmp_path / "other")
    other.spaces = other.spaces[0], Space(model=OTHER_MODEL, dim=24)
    part = writing.commit(other.imported(), 0, other.chunk(0, 10), OTHER_MODEL)
    stray = gallery.path(part)
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes((tmp_path / "other" / "new" / part.name).read_bytes())
    with pytest.raises(MixedModelsError, match="take the file out"):
        gallery.read(part)


def test_one_model_twice_is_refused(world: World) -> None:
    with pytest.raises(MixedModelsError, match="nothing to move"):
        writing.Import(world.uri, world.spaces[0], world.spaces[0])


def test_a_part_whose_content_has_changed_is_refused(world: World, gallery: Gallery) -> None:
    part = writing.commit(gallery, 0, world.chunk(0, 10), NEW_MODEL)
    path = gallery.path(part)
    data = bytearray(path.read_bytes())
    vector = world.chunk(0, 10).vectors[3].tobytes()
    data[data.index(vector)] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InvalidInputError, match="not what its digest says"):
        gallery.read(part)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda: rows(["a"], vectors(1, 8, 0)), "WrongShape"),
        (lambda: rows(["a"], np.full((1, 24), np.nan, np.float32)), "NotFinite"),
        (lambda: rows(["a", "a"], vectors(2, 24, 0)), "Duplicate"),
        (lambda: rows([""], vectors(1, 24, 0)), "NoId"),
        (
            lambda: Rows(rows(names(2), vectors(2, 24, 0)).ids, vectors(2, 24, 0), np.zeros(1, np.int64)),
            "WrongShape",
        ),
    ],
)
def test_rows_that_cannot_be_searched_are_refused(gallery: Gallery, wrong: object, reason: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        writing.commit(gallery, 0, wrong(), NEW_MODEL)  # type: ignore[operator]
    assert error.value.reason == reason
    assert gallery.parts("new") == []


def test_an_item_imported_twice_is_named(world: World) -> None:
    importing = writing.Import(world.uri, *world.spaces)
    importing.add(rows(["a", "b"], world.old[:2]), OLD_MODEL)
    importing.add(rows(["b"], world.old[:1]), OLD_MODEL)
    with pytest.raises(InvalidInputError, match="item b is there twice"):
        importing.seal()
