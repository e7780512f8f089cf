"""Answering queries over a gallery of which some items have moved."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from builders.galleries import NEW_MODEL, OTHER_MODEL, World, unit, vectors
from PIL import Image

from fathom.backfill.merging import scored
from fathom.errors import InvalidInputError
from fathom.retrieval.encoders import Takes
from fathom.retrieval.errors import MixedModelsError
from fathom.retrieval.following import Following
from fathom.retrieval.index import Index
from fathom.retrieval.parts import Floats
from fathom.retrieval.queries import Query
from fathom.retrieval.retriever import Encoders, Retriever, searched_spaces


class Colours:
    """Embeds pictures by their mean colour, texts by their letters; counts its passes."""

    takes: frozenset[Takes] = frozenset({"image", "text"})

    def __init__(self, dim: int, digest: str) -> None:
        self.dim, self.digest, self.passes = dim, digest, 0
        self._axes = np.random.default_rng(7).normal(size=(256, dim)).astype(np.float32)

    def pictures(self, pictures: list[Image.Image]) -> Floats:
        self.passes += 1
        colours = np.stack([np.asarray(p, np.float32).mean(axis=(0, 1)) + 1 for p in pictures])
        return unit(colours @ self._axes[:3])

    def texts(self, texts: list[str]) -> Floats:
        self.passes += 1
        letters = np.stack([np.bincount(list(t.encode()), minlength=256) for t in texts])
        return unit(letters.astype(np.float32) @ self._axes)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "g", items=200).related()


def retriever(
    world: World, method: str | None, moved: int = 0, encoders: Encoders | None = None
) -> Retriever:
    gallery = world.imported()
    world.move(gallery, range(moved // 20), 20)
    compatibility = world.compatibility(method) if method else None
    index = Index(searched_spaces(gallery.info, compatibility), gallery.info.items)
    old_vector = compatibility.old_vector if compatibility else (lambda found: found)
    Following(gallery, index, old_vector).load()
    return Retriever(gallery.info, index, compatibility, encoders or Encoders())


def ids(hits: Sequence[object]) -> list[str]:
    return [hit.id for hit in hits]  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["Procrustes", "Forward"])
@pytest.mark.parametrize("moved", [0, 60, 200])
def test_the_answer_is_what_the_method_says_it_is(world: World, method: str, moved: int) -> None:
    served = retriever(world, method, moved)
    asked = vectors(5, 24, 90)
    mask = np.zeros(200, np.bool_)
    mask[world.order[:moved]] = True
    compatibility = world.compatibility(method)
    scores = scored(compatibility, world.old, world.new, asked).at(mask)
    found = served.find([Query(8, new=vector) for vector in asked])
    for row, hits in zip(scores, found, strict=True):
        best = sorted(row, reverse=True)[:8]
        assert np.allclose([hit.score for hit in hits], np.array(best) + 1, atol=1e-4)


def test_when_all_have_moved_the_answer_is_the_new_models_exactly(world: World) -> None:
    served = retriever(world, "Procrustes", moved=200)
    asked = vectors(5, 24, 90)
    found = served.find([Query(10, new=vector) for vector in asked])
    order = np.argsort(-(asked @ world.new.T), axis=1)[:, :10]
    assert [ids(hits) for hits in found] == [[world.ids[i] for i in row] for row in order]
    assert served.progress == 1.0


def test_a_picture_takes_one_pass_of_one_encoder_whatever_has_moved(world: World) -> None:
    encoder = Colours(24, NEW_MODEL)
    served = retriever(world, "Procrustes", 100, Encoders(encoder))
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    by_picture = served.find([Query(5, image=red), Query(5, image=blue)])
    assert encoder.passes == 1
    by_vector = served.find([Query(5, new=vector) for vector in encoder.pictures([red, blue])])
    assert [ids(hits) for hits in by_picture] == [ids(hits) for hits in by_vector]
    assert {hit.space for hits in by_picture for hit in hits} <= {"old", "new"}


def test_pictures_texts_and_vectors_are_answered_together_each_with_its_own_k(world: World) -> None:
    served = retriever(world, "Procrustes", 100, Encoders(Colours(24, NEW_MODEL)))
    image = Image.new("RGB", (8, 8), "red")
    mixed = [Query(3, image=image), Query(7, text="a red car"), Query(2, new=vectors(1, 24, 4)[0])]
    together = served.find(mixed)
    assert [len(hits) for hits in together] == [3, 7, 2]
    assert [ids(hits) for hits in together] == [ids(served.find([query])[0]) for query in mixed]


def test_a_method_that_needs_the_old_model_embeds_with_both(world: World) -> None:
    new, old = Colours(24, NEW_MODEL), Colours(16, world.spaces[0].model)
    served = retriever(world, "RankMerge", 100, Encoders(new, old))
    served.find([Query(5, image=Image.new("RGB", (8, 8), "red"))])
    assert (new.passes, old.passes) == (1, 1)
    assert served.known.needs_old


def test_without_what_makes_them_comparable_two_models_are_not_served(world: World) -> None:
    with pytest.raises(MixedModelsError, match="nothing makes them comparable"):
        retriever(world, None, moved=100)


def test_when_all_have_moved_nothing_is_needed_to_compare(world: World) -> None:
    served = retriever(world, None, moved=200)
    asked = world.new[3]
    assert ids(served.find([Query(1, new=asked)])[0]) == [world.ids[3]]


def test_another_encoder_than_the_gallerys_is_refused_though_its_vectors_are_as_wide(world: World) -> None:
    with pytest.raises(MixedModelsError, match=f"the encoder is {OTHER_MODEL}"):
        retriever(world, "Procrustes", 0, Encoders(Colours(24, OTHER_MODEL)))


def test_what_is_between_other_models_is_refused(world: World) -> None:
    world.spaces = world.spaces[0], world.spaces[1].model_copy(update={"model": OTHER_MODEL})
    with pytest.raises(InvalidInputError, match="fit it again"):
        retriever(world, "Procrustes")


def test_a_method_that_waits_for_all_items_cannot_serve_some(world: World) -> None:
    with pytest.raises(InvalidInputError, match="choose a method that merges"):
        retriever(world, "CutOver", moved=100)
