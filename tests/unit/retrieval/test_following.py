"""An index that follows a gallery: as parts are committed, rolled back and dropped, and after a restart."""

from pathlib import Path

import numpy as np
import pytest
from builders import buckets
from builders.galleries import NEW_MODEL, OLD_MODEL, World, rows, vectors

from fathom.errors import InvalidInputError
from fathom.retrieval import writing
from fathom.retrieval.following import Following, Look
from fathom.retrieval.gallery import Gallery, open_gallery
from fathom.retrieval.index import Index
from fathom.retrieval.merging import Queries, search
from fathom.retrieval.parts import Floats, SpaceName


def same(found: Floats) -> Floats:
    return found


def follow(gallery: Gallery) -> Following:
    info = gallery.info
    index = Index({"old": info.old, "new": info.new}, info.items)
    following = Following(gallery, index, same)
    following.load()
    following.index = index  # type: ignore[attr-defined]
    return following


def where(following: Following) -> dict[str, SpaceName]:
    """Return the space of every item; fails if one is there twice."""
    index: Index = following.index  # type: ignore[attr-defined]
    old, new = index.space("old").dim, index.space("new").dim
    asked = Queries(np.zeros((1, old), np.float32), np.zeros((1, new), np.float32))
    [hits] = index.search(asked, 1_000_000)
    assert len({hit.id for hit in hits}) == len(hits)
    return {hit.id: hit.space for hit in hits}


def moved(following: Following) -> set[str]:
    return {name for name, space in where(following).items() if space == "new"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gallery", items=300)


@pytest.fixture
def gallery(world: World) -> Gallery:
    return world.imported()


def chunk_ids(world: World, *chunks: int, size: int = 30) -> set[str]:
    return {i for number in chunks for i in world.chunk(number, size).ids.to_pylist()}


def test_at_first_all_items_are_in_the_old_space(world: World, gallery: Gallery) -> None:
    assert where(follow(gallery)) == dict.fromkeys(world.ids, "old")


def test_items_move_as_their_parts_appear_in_whatever_order(world: World, gallery: Gallery) -> None:
    following = follow(gallery)
    world.move(gallery, range(4, 5), 30)
    world.move(gallery, range(1), 30)
    assert following.look() == Look(came=2)
    assert moved(following) == chunk_ids(world, 0, 4)
    assert following.progress == 60 / 300
    assert following.look() == Look()


def test_a_restart_finds_what_the_last_one_had(world: World, gallery: Gallery) -> None:
    following = follow(gallery)
    world.move(gallery, range(3), 30)
    writing.add(gallery, rows(["fresh", world.ids[5]], vectors(2, 24, 3), version=1), NEW_MODEL)
    following.look()
    assert where(follow(gallery)) == where(following)


def test_items_added_or_changed_are_in_the_new_space_and_stay_there_when_rolled_back(
    world: World, gallery: Gallery
) -> None:
    following = follow(gallery)
    world.move(gallery, range(2), 30)
    first = world.chunk(0, 30).ids[0].as_py()
    writing.add(gallery, rows(["fresh", first], vectors(2, 24, 3), version=1), NEW_MODEL)
    following.look()
    assert moved(following) == chunk_ids(world, 0, 1) | {"fresh"}
    writing.roll_back(gallery, 0)
    assert following.look() == Look(went=2)
    assert moved(following) == {"fresh", first}
    assert len(where(following)) == 301


@pytest.mark.parametrize("chunks", [0, 1, 3, 5])
def test_rolling_back_and_forward_leads_to_any_progress(world: World, gallery: Gallery, chunks: int) -> None:
    following = follow(gallery)
    world.move(gallery, range(5), 30)
    following.look()
    writing.roll_back(gallery, chunks)
    following.look()
    assert moved(following) == chunk_ids(world, *range(chunks))
    assert where(follow(gallery)) == where(following), "as after a restart"
    writing.roll_forward(gallery)
    following.look()
    assert moved(following) == chunk_ids(world, *range(5))


def test_a_rollback_that_a_part_held_up_is_finished_at_the_next_look(world: World, gallery: Gallery) -> None:
    following = follow(gallery)
    world.move(gallery, range(5), 30)
    following.look()
    writing.roll_back(gallery, 2)
    path = gallery.path(gallery.parts("old")[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(InvalidInputError, match="write this part again"):
        following.look()
    assert moved(following) == chunk_ids(world, *range(5)), "found where they are until then"
    path.write_bytes(whole)
    following.look()
    assert moved(following) == chunk_ids(world, 0, 1)
    assert len(where(following)) == 300


def test_a_part_that_cannot_be_read_holds_up_no_rollback(world: World, gallery: Gallery) -> None:
    following = follow(gallery)
    writing.add(gallery, rows(["fresh"], vectors(1, 24, 3)), NEW_MODEL)
    path = gallery.path(gallery.parts("new")[0])
    world.move(gallery, range(2), 30)
    path.write_bytes(path.read_bytes()[:-40])
    following.look()
    writing.roll_back(gallery, 1)
    assert following.look() == Look(went=1, failed=1)
    assert moved(following) == chunk_ids(world, 0)


def test_what_is_rolled_back_has_its_old_vector_again(world: World, gallery: Gallery) -> None:
    following = follow(gallery)
    world.move(gallery, range(10), 30)
    following.look()
    writing.roll_back(gallery, 0)
    following.look()
    hits = search(following.index, Queries(world.old, None), 1)  # type: ignore[attr-defined]
    assert [found[0].id for found in hits] == world.ids


def test_the_higher_version_counts_whichever_comes_first(world: World, gallery: Gallery) -> None:
    following, one, two = follow(gallery), vectors(1, 24, 50), vectors(1, 24, 51)
    for version, vector in ((2, two), (1, one)):
        writing.add(gallery, rows([world.ids[0]], vector, version=version), NEW_MODEL)
        following.look()
    world.move(gallery, range(10), 30)
    following.look()
    for each in (following, follow(gallery)):
        [hits] = search(each.index, Queries(None, two), 1)  # type: ignore[attr-defined]
        assert (hits[0].id, round(hits[0].score, 5)) == (world.ids[0], 1.0)
        assert len(where(each)) == 300


def test_after_the_cut_over_only_new_vectors_are_there(world: World, gallery: Gallery) -> None:
    following = follow(gallery)
    world.move(gallery, range(10), 30)
    following.look()
    writing.drop_old(gallery)
    following.look()
    assert where(following) == where(follow(gallery)) == dict.fromkeys(world.ids, "new")


def test_a_part_that_cannot_be_read_is_tried_again_and_holds_up_no_other(
    world: World, gallery: Gallery
) -> None:
    following = follow(gallery)
    world.move(gallery, range(2), 30)
    path = gallery.path(gallery.parts("new")[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert following.look() == Look(came=1, failed=1)
    assert moved(following) == chunk_ids(world, 1)
    path.write_bytes(whole)
    assert following.look() == Look(came=1)
    assert moved(following) == chunk_ids(world, 0, 1)


def test_what_the_index_failed_to_take_is_given_to_it_again(
    world: World, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = follow(gallery)
    world.move(gallery, range(1), 30)

    def refuse(*_: object) -> None:
        raise TimeoutError("the database is away")

    with monkeypatch.context() as away:
        away.setattr(following.index, "put", refuse)  # type: ignore[attr-defined]
        assert following.look() == Look(failed=1)
    assert following.look() == Look(came=1)
    assert moved(following) == chunk_ids(world, 0)


def test_old_vectors_are_transformed_and_new_ones_taken_as_they_are_stored(
    world: World, gallery: Gallery
) -> None:
    info = gallery.info
    index = Index({"old": info.old, "new": info.new}, info.items)
    following = Following(gallery, index, lambda found: -found)
    world.move(gallery, range(1), 30)
    following.load()
    world.move(gallery, range(1, 2), 30)
    following.look()
    moved, left = world.order[:60], world.order[60:]
    for asked, rows_ in ((Queries(None, world.new[moved]), moved), (Queries(-world.old[left], None), left)):
        hits = search(index, asked, 1)
        assert [found[0].id for found in hits] == [world.ids[i] for i in rows_]
        assert all(round(found[0].score, 5) == 1.0 for found in hits)


def test_a_gallery_with_a_missing_part_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PART_ROWS", 100)
    gallery = World(tmp_path / "g", items=250).imported()
    gallery.path(gallery.parts("old")[1]).unlink()
    with pytest.raises(InvalidInputError, match="150 items of 250"):
        follow(gallery)


def test_a_gallery_with_other_items_than_were_imported_is_not_served(world: World, gallery: Gallery) -> None:
    from fathom.retrieval import parts

    strangers = rows([f"other-{i}" for i in range(300)], world.old)
    parts.write(gallery.path(gallery.parts("old")[0]), strangers, "old", OLD_MODEL)
    with pytest.raises(InvalidInputError, match="other items than were imported"):
        follow(gallery)


def test_a_gallery_in_a_bucket_is_followed_as_one_on_a_volume_is(tmp_path: Path) -> None:
    with buckets.s3("vectors"):
        world = World(tmp_path, items=60)
        world.uri = "s3://vectors/gallery"
        gallery = world.imported()
        following = follow(gallery)
        world.move(gallery, range(1), 30)
        writing.add(gallery, rows(["fresh"], vectors(1, 24, 3)), NEW_MODEL)
        assert following.look() == Look(came=2)
        assert moved(following) == chunk_ids(world, 0) | {"fresh"}
        writing.roll_back(gallery, 0)
        following.look()
        assert moved(following) == {"fresh"}
        writing.roll_forward(gallery)
        world.move(gallery, range(1, 2), 30)
        writing.drop_old(gallery)
        assert where(follow(open_gallery(world.uri))) == dict.fromkeys([*world.ids, "fresh"], "new")
