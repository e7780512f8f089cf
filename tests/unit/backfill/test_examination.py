"""Whether to start: a merge that would be worse than the old model is refused, in words."""

from dataclasses import replace

import numpy as np
import pytest
from builders import spaces

from fathom.backfill import Compatibility, Queries, examine, fit
from fathom.backfill.transform import Transform
from fathom.errors import InvalidInputError

MADE = spaces.make()
FRESH = spaces.make(seed=1)


def fitted(method: str = "Procrustes", made: spaces.Spaces = MADE) -> Compatibility:
    return fit(method, made.old, made.new, made.labels, from_digest=spaces.FROM, to_digest=spaces.TO)


def misled() -> Compatibility:
    """Return a compatibility whose query transform says nothing."""
    noise = np.random.default_rng(3).normal(size=(24, 48)).astype(np.float32)
    return replace(fitted(), query=Transform((), noise))


def test_a_merge_that_helps_may_start() -> None:
    found = examine(fitted(), FRESH.old, FRESH.new, FRESH.labels)
    assert not found.worse_than_old
    assert found.curve.values() == sorted(found.curve.values())
    assert "never worse than the old one" in found.verdict


def test_a_transform_that_says_nothing_is_refused() -> None:
    found = examine(misled(), FRESH.old, FRESH.new, FRESH.labels)
    assert found.worse_than_old
    assert "with 0% of the items moved mAP is" in found.verdict
    assert "take more pairs" in found.verdict


def test_a_new_model_that_is_worse_is_refused_whatever_the_method() -> None:
    turned = spaces.Spaces(FRESH.new, FRESH.old, FRESH.labels)
    found = examine(fitted("CutOver", turned), turned.old, turned.new, turned.labels)
    assert found.worse_than_old
    assert "keep the old model" in found.verdict


def test_what_chance_explains_is_no_reason_to_refuse() -> None:
    same = spaces.Spaces(FRESH.old, FRESH.old, FRESH.labels)
    found = examine(fitted("RankMerge", same), same.old, same.new, same.labels)
    assert not found.worse_than_old
    assert all(d.low <= d.mean <= d.high for d in found.against_old)


def test_without_labels_the_new_models_neighbours_are_what_should_be_found() -> None:
    found = examine(fitted(), FRESH.old, FRESH.new, k=5)
    assert found.curve.new.means()["recall"] == 1
    assert found.curve.old.means()["recall"] < 1


def test_queries_may_be_others_than_the_items() -> None:
    relevant = MADE.labels[:30, None] == FRESH.labels[None, :]
    asked = Queries(MADE.old[:30], MADE.new[:30], relevant)
    found = examine(fitted(), FRESH.old, FRESH.new, queries=asked)
    assert found.queries == 30


@pytest.mark.parametrize(
    ("relevant", "says"),
    [
        pytest.param(np.ones((3, 2), np.bool_), r"relevant has shape \(3, 2\)", id="of another gallery"),
        pytest.param(np.zeros((30, 160), np.bool_), "no query has anything to find", id="nothing to find"),
    ],
)
def test_queries_that_say_nothing_are_refused(relevant: np.ndarray, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        examine(fitted(), FRESH.old, FRESH.new, queries=Queries(MADE.old[:30], MADE.new[:30], relevant))


def test_figures_are_named_by_beta_and_what_they_are() -> None:
    figures = examine(fitted(), FRESH.old, FRESH.new, FRESH.labels).figures()
    assert {"old.map", "new.map", "0.map", "0.25.recall", "0.5.flips", "1.cmc1", "relative_gain"} <= set(
        figures
    )
    assert figures["1.map"] == figures["new.map"]
    assert all(np.isfinite(list(figures.values())))


def test_the_same_seed_finds_the_same() -> None:
    one, two = (examine(fitted(), FRESH.old, FRESH.new, FRESH.labels, seed=4).figures() for _ in range(2))
    assert one == two
