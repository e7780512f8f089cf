"""A merged search is what a search through all items, each where it is, would find."""

import numpy as np
import pytest
from builders import spaces

from fathom.backfill import Compatibility, fit
from fathom.backfill.arrays import unit
from fathom.backfill.curves import curve
from fathom.backfill.merging import plain, scored
from fathom.errors import InvalidInputError

MADE = spaces.make()
OLD, NEW = unit(MADE.old), unit(MADE.new)


def fitted(method: str) -> Compatibility:
    return fit(method, MADE.old, MADE.new, MADE.labels, from_digest=spaces.FROM, to_digest=spaces.TO)


def moved(count: int) -> np.ndarray:
    return np.isin(np.arange(len(OLD)), np.random.default_rng(5).permutation(len(OLD))[:count])


@pytest.mark.parametrize("method", ["Procrustes", "LowRankAffine", "RankMerge", "Isotonic", "NaiveMerge"])
@pytest.mark.parametrize("count", [0, 1, 80, 160])
def test_each_item_is_scored_in_the_space_where_it_is(method: str, count: int) -> None:
    made = fitted(method)
    where = moved(count)
    found = scored(made, OLD, NEW, NEW[:9], OLD[:9]).at(where)
    backward = OLD[:9] if made.needs_old_query else made.old_query(NEW[:9])
    for query in (0, 8):
        for item in range(0, len(OLD), 7):
            if where[item]:
                distance = 1 - float(made.new_vector(NEW)[query] @ made.new_vector(NEW)[item])
            else:
                raw = np.float32(1 - float(backward[query] @ OLD[item]))
                distance = float(made.merge_distance(np.array([raw]))[0])
            assert found[query, item] == pytest.approx(-distance, abs=2e-5)


@pytest.mark.parametrize("method", ["Procrustes", "RankMerge", "Isotonic", "CutOver", "ReciprocalRankFusion"])
def test_when_all_have_moved_the_ranking_is_exactly_the_new_models(method: str) -> None:
    merged = scored(fitted(method), OLD, NEW, NEW, OLD).at(moved(160))
    assert (np.argsort(-merged, kind="stable") == np.argsort(-plain(NEW, NEW), kind="stable")).all()


@pytest.mark.parametrize("method", ["RankMerge", "CutOver", "ReciprocalRankFusion"])
def test_with_the_old_models_queries_it_starts_exactly_as_the_old_model(method: str) -> None:
    merged = scored(fitted(method), OLD, NEW, NEW, OLD).at(moved(0))
    order, expected = np.argsort(-merged, kind="stable"), np.argsort(-plain(OLD, OLD), kind="stable")
    assert (order == expected).all()


def test_waiting_answers_with_the_old_model_until_the_last_item_has_moved() -> None:
    scores = scored(fitted("CutOver"), OLD, NEW, NEW, OLD)
    assert scores.at(moved(159)) == pytest.approx(plain(OLD, OLD), abs=1e-6)


def test_rank_fusion_takes_turns_between_the_spaces() -> None:
    where = moved(80)
    found = scored(fitted("ReciprocalRankFusion"), OLD, NEW, NEW, OLD).at(where)
    best = np.argsort(-found, axis=1, kind="stable")[:, :10]
    assert (where[best].sum(axis=1) == 5).all()


def test_a_query_that_is_an_item_does_not_find_itself() -> None:
    own = np.arange(len(OLD))
    scores = scored(fitted("Procrustes"), OLD, NEW, NEW, own=own)
    for count in (0, 80, 160):
        assert np.isneginf(np.diagonal(scores.at(moved(count)))).all()


def test_methods_of_two_passes_ask_for_the_old_models_queries() -> None:
    with pytest.raises(InvalidInputError, match="RankMerge needs each query's vector by the old model too"):
        scored(fitted("RankMerge"), OLD, NEW, NEW)


def test_a_curve_counts_whole_items_and_keeps_either_model_beside_it() -> None:
    own = np.arange(len(OLD))
    relevant = (MADE.labels[:, None] == MADE.labels[None, :]) & (own[:, None] != own[None, :])
    made = curve(
        scored(fitted("CutOver"), OLD, NEW, NEW, OLD, own=own),
        plain(OLD, OLD, own=own),
        plain(NEW, NEW, own=own),
        relevant,
        own,
        betas=(0.0, 0.999, 1.0),
    )
    old, new = made.old.means()["map"], made.new.means()["map"]
    assert made.values() == pytest.approx([old, old, new])
    assert made.flips()[:2] == [0, 0]
    assert made.relative_gain() == pytest.approx(0.0005)
    assert made.largest_drop() == 0
