"""How far two features are apart."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from builders.featured import Captions

from fathom.errors import InvalidInputError
from fathom.features import drift
from fathom.features.command import write
from fathom_api.tasks import FeaturiseTask
from fathom_api.tokens import CaptionFeatures

OLD = {"1": "red car", "2": "red bus", "3": "old bus", "4": "old car"}


def featurise(output: Path, captions: Mapping[str, str], before: Mapping[str, str] | None = None) -> None:
    task = FeaturiseTask.model_validate(
        {
            "output": str(output),
            "features": CaptionFeatures(min_count=1, max_ngram=1).document(),
            "model": {"uri": "fathom://small-llava"},
        }
    )
    write(task, output, Captions({"caption": captions}, {"caption": before or {}}))


def against(tmp_path: Path, new: Mapping[str, str]) -> drift.AspectDrift:
    """Return the drift from OLD to `new`, two vocabularies."""
    for name, captions in (("old", OLD), ("new", new)):
        (tmp_path / name).mkdir()
        featurise(tmp_path / name, captions)
    return drift.between(tmp_path / "old/features", tmp_path / "new/features").aspects["caption"]


def test_the_same_captions_do_not_drift(tmp_path: Path) -> None:
    found = against(tmp_path, OLD)
    assert (found.jaccard, found.psi, found.changed_items, found.shifts) == (1, 0, 0, [])
    assert found.same_vocabulary


def test_other_captions_do(tmp_path: Path) -> None:
    found = against(tmp_path, OLD | {"4": "new car", "5": "new bus"})
    assert (found.items_before, found.items_after, found.items_in_both) == (4, 5, 4)
    assert found.jaccard == pytest.approx(4 / 5)
    assert found.changed_items == pytest.approx(1 / 4)
    assert found.psi > 0
    assert not found.same_vocabulary
    assert found.shifts[0] == drift.Shift(token="new", before=0, after=2 / 5)


def test_items_of_other_names_are_not_compared(tmp_path: Path) -> None:
    found = against(tmp_path, {f"x{item}": text for item, text in OLD.items()})
    assert (found.items_in_both, found.changed_items, found.jaccard) == (0, 0, 1)


def test_psi_is_the_published_sum() -> None:
    before, after = {"a": 30, "b": 10}, {"a": 10, "c": 30}
    p, q = [30.5 / 41.5, 10.5 / 41.5, 0.5 / 41.5], [10.5 / 41.5, 0.5 / 41.5, 30.5 / 41.5]
    expected = sum((y - x) * math.log(y / x) for x, y in zip(p, q, strict=True))
    assert drift.psi(before, after) == pytest.approx(expected)


def test_a_second_run_says_how_far_it_is_from_the_first(tmp_path: Path) -> None:
    featurise(tmp_path, OLD)
    assert not (tmp_path / "features/drift.json").exists()
    featurise(tmp_path, OLD | {"1": "blue car"}, before=OLD)
    found = json.loads((tmp_path / "features/drift.json").read_text())["aspects"]["caption"]
    assert found["sameVocabulary"]
    assert found["changedItems"] == found["changedCaptions"] == pytest.approx(1 / 4)


def test_captions_may_change_where_tokens_do_not(tmp_path: Path) -> None:
    featurise(tmp_path, OLD)
    featurise(tmp_path, OLD | {"1": "car, red!"}, before=OLD)
    found = json.loads((tmp_path / "features/drift.json").read_text())["aspects"]["caption"]
    assert (found["changedItems"], found["changedCaptions"]) == (0, pytest.approx(1 / 4))


def test_it_is_printed_for_people_or_as_json(tmp_path: Path) -> None:
    against(tmp_path, OLD | {"4": "new car"})
    folders = str(tmp_path / "old/features"), str(tmp_path / "new/features")
    assert "changed items" in drift.drift(*folders)
    assert json.loads(drift.drift(*folders, as_json=True))["aspects"]["caption"]["itemsInBoth"] == 4


def test_unfinished_features_are_not_compared(tmp_path: Path) -> None:
    featurise(tmp_path, OLD)
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidInputError, match="never finished"):
        drift.drift(str(tmp_path / "features"), str(tmp_path / "other"))
