"""A compatibility is two files that say what they are between, and refuses what does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import spaces

from fathom.backfill import METHODS, Compatibility, fit
from fathom.errors import InvalidInputError

MADE = spaces.make()
CLOSED = [n for n, m in METHODS.items() if m.fit is None] + ["Procrustes", "LowRankAffine", "Isotonic"]


def fitted(method: str) -> Compatibility:
    return fit(method, MADE.old, MADE.new, MADE.labels, from_digest=spaces.FROM, to_digest=spaces.TO)


@pytest.mark.parametrize("method", CLOSED)
def test_what_is_loaded_does_exactly_what_was_saved(method: str, tmp_path: Path) -> None:
    made = fitted(method)
    made.save(tmp_path)
    again = Compatibility.load(tmp_path)
    assert again.info == made.info
    assert (again.new_vector(MADE.new) == made.new_vector(MADE.new)).all()
    assert (again.old_vector(MADE.old) == made.old_vector(MADE.old)).all()
    distances = np.linspace(0, 2, 50, dtype=np.float32)
    assert (again.merge_distance(distances) == made.merge_distance(distances)).all()
    if not made.needs_old_query:
        assert (again.old_query(MADE.new) == made.old_query(MADE.new)).all()


def test_the_description_says_what_it_is_between_and_how_well_it_did(tmp_path: Path) -> None:
    fitted("Procrustes").save(tmp_path)
    told = json.loads((tmp_path / "compatibility.json").read_text())
    assert told["method"] == "Procrustes"
    assert (told["fromDigest"], told["toDigest"]) == (spaces.FROM, spaces.TO)
    assert (told["oldWidth"], told["newWidth"], told["metric"]) == (24, 48, "cosine")
    assert (told["pairs"], told["seed"]) == (128, 0)
    assert 0 < told["heldOut"]["old.map"] < told["heldOut"]["new.map"] <= 1


def test_vectors_are_of_unit_length_whatever_the_length_of_what_comes_in() -> None:
    made = fitted("Procrustes")
    for given in (made.old_query(MADE.new * 7), made.new_vector(MADE.new * 7), made.old_vector(MADE.old * 7)):
        assert np.linalg.norm(given, axis=1) == pytest.approx(1, abs=1e-5)
    assert made.old_query(MADE.new * 7) == pytest.approx(made.old_query(MADE.new), abs=1e-5)


def test_calibrated_distances_keep_their_order() -> None:
    found = fitted("Isotonic").merge_distance(np.linspace(0.05, 1.4, 2000, dtype=np.float32))
    assert (np.diff(found) >= 0).all()


def test_a_method_of_two_passes_has_no_query_transform() -> None:
    with pytest.raises(InvalidInputError, match="RankMerge embeds each query with the old model too"):
        fitted("RankMerge").old_query(MADE.new)


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        pytest.param(np.ones((3, 24)), "width 24, but 48 is needed", id="of the other model"),
        pytest.param(np.ones(48), "but .items, width. is needed", id="one vector, not a table"),
        pytest.param(np.full((3, 48), np.nan), "row 0 holds NaN or infinity .3 such rows", id="not numbers"),
        pytest.param(np.zeros((2, 48)), "row 0 is zero .2 such rows", id="without direction"),
    ],
)
def test_bad_vectors_are_refused_in_words(vectors: np.ndarray, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        fitted("Procrustes").old_query(vectors)


def test_other_models_than_it_was_learned_between_are_refused() -> None:
    made = fitted("Procrustes")
    made.expect(spaces.FROM, spaces.TO)
    with pytest.raises(InvalidInputError, match="fit it again") as caught:
        made.expect(spaces.TO, spaces.FROM)
    assert caught.value.reason == "MixedModels"


class TestDamage:
    def test_an_empty_folder_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match=r"no compatibility\.json"):
            Compatibility.load(tmp_path)

    def test_weights_that_are_missing(self, tmp_path: Path) -> None:
        fitted("Procrustes").save(tmp_path)
        (tmp_path / "compatibility.safetensors").unlink()
        with pytest.raises(InvalidInputError, match="fit it again"):
            Compatibility.load(tmp_path)

    def test_weights_that_are_cut_short(self, tmp_path: Path) -> None:
        fitted("Procrustes").save(tmp_path)
        weights = tmp_path / "compatibility.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
        with pytest.raises(InvalidInputError, match="fit it again"):
            Compatibility.load(tmp_path)

    def test_weights_of_another_method(self, tmp_path: Path) -> None:
        fitted("Procrustes").save(tmp_path / "one")
        fitted("RankMerge").save(tmp_path / "two")
        other = (tmp_path / "two" / "compatibility.safetensors").read_bytes()
        (tmp_path / "one" / "compatibility.safetensors").write_bytes(other)
        with pytest.raises(InvalidInputError, match="its query transform is missing"):
            Compatibility.load(tmp_path / "one")

    def test_a_description_without_a_digest(self, tmp_path: Path) -> None:
        fitted("Procrustes").save(tmp_path)
        told = json.loads((tmp_path / "compatibility.json").read_text())
        (tmp_path / "compatibility.json").write_text(json.dumps(told | {"toDigest": "latest"}))
        with pytest.raises(InvalidInputError, match="toDigest"):
            Compatibility.load(tmp_path)
