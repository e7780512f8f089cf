"""Figures agree with sums done by hand, and with apple/ml-fct's evaluation, done again independently."""

import math

import numpy as np
import pytest
from builders import spaces
from sklearn.metrics import average_precision_score

from fathom.backfill import metrics
from fathom.backfill.arrays import unit
from fathom.backfill.curves import quality
from fathom.backfill.merging import plain


def found(*rows: str) -> np.ndarray:
    """Return hits of queries: `x` is a relevant item, `.` another one, best first."""
    return np.array([[mark == "x" for mark in row] for row in rows])


@pytest.mark.parametrize(
    ("row", "precision", "first", "five", "recall2"),
    [
        pytest.param("x.....", 1.0, 1, 1, 1.0, id="the only relevant item comes first"),
        pytest.param(".....x", 1 / 6, 0, 0, 0.0, id="it comes last"),
        pytest.param("x.x...", (1 + 2 / 3) / 2, 1, 1, 0.5, id="two, at ranks 1 and 3"),
        pytest.param("..xxx.", (1 / 3 + 2 / 4 + 3 / 5) / 3, 0, 1, 0.0, id="three; the first two show none"),
        pytest.param("xxx...", 1.0, 1, 1, 1.0, id="three, of which two places can hold two"),
    ],
)
def test_figures_of_one_query(row: str, precision: float, first: int, five: int, recall2: float) -> None:
    hits = found(row)
    assert metrics.average_precision(hits)[0] == pytest.approx(precision)
    assert metrics.cmc(hits, 1)[0] == first
    assert metrics.cmc(hits, 5)[0] == five
    assert metrics.recall(hits, 2)[0] == pytest.approx(recall2)


def test_a_query_without_anything_to_find_says_nothing() -> None:
    assert math.isnan(metrics.average_precision(found("...."))[0])
    assert math.isnan(metrics.cmc(found("...."), 1)[0])


def test_equal_scores_are_in_the_order_of_items() -> None:
    scores = np.array([[0.5, 0.5, 0.9, 0.5]], np.float32)
    hits = metrics.hits(scores, np.array([[False, True, False, False]]))
    assert hits.tolist() == [[False, False, True, False]]


def test_items_are_ranked_as_by_a_stable_sort() -> None:
    scores = np.random.default_rng(0).integers(-3, 3, (50, 40)).astype(np.float32) / 2
    scores[0, :3], scores[1, 5] = [0.0, -0.0, 0.0], -np.inf
    assert (metrics.ranked(scores) == np.argsort(-scores, axis=1, kind="stable")).all()


@pytest.mark.parametrize(
    ("values", "area", "gain", "drop"),
    [
        pytest.param([0.4, 0.5, 0.6], 0.5, 0.5, 0.0, id="a straight line"),
        pytest.param([0.4, 0.6, 0.6], 0.55, 0.75, 0.0, id="most is gained early"),
        pytest.param([0.4, 0.3, 0.6], 0.4, 0.0, 0.1, id="it falls before it rises"),
        pytest.param([0.5, 0.45, 0.4], 0.45, 0.25, 0.1, id="it only falls"),
    ],
)
def test_figures_of_a_curve(values: list[float], area: float, gain: float, drop: float) -> None:
    assert metrics.area([0, 0.5, 1], values) == pytest.approx(area)
    assert metrics.relative_gain(metrics.area([0, 0.5, 1], values), 0.4, 0.6) == pytest.approx(gain)
    assert metrics.largest_drop(values) == pytest.approx(drop)


def test_the_area_weighs_steps_by_their_width() -> None:
    assert metrics.area([0, 0.9, 1], [0, 0, 1]) == pytest.approx(0.05)


def test_there_is_no_share_of_a_gain_that_is_not_there() -> None:
    assert math.isnan(metrics.relative_gain(0.5, 0.5, 0.5))


def test_negative_flips_are_counted_over_all_queries() -> None:
    before, after = np.array([True, True, True, False]), np.array([True, False, True, True])
    assert metrics.negative_flip_rate(before, after) == 0.25


def reference(vectors: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Return mAP, CMC@1 and CMC@5 as apple/ml-fct computes them: L2 distances, self left out by its index.

    Written from its description: AP is scikit-learn's on minus the distance; a query's CMC curve steps from 0
    to 1 at its first match; queries without a match are not counted.
    """
    distances = np.sqrt(((vectors[:, None, :] - vectors[None, :, :]) ** 2).sum(axis=2))
    precisions, ranks = [], []
    for query, row in enumerate(distances):
        others = [item for item in np.argsort(row) if item != query]
        same = [bool(labels[item] == labels[query]) for item in others]
        if any(same):
            precisions.append(average_precision_score(same, [-row[item] for item in others]))
            ranks.append(same.index(True))
    place = np.array(ranks)
    return float(np.mean(precisions)), float((place < 1).mean()), float((place < 5).mean())


@pytest.mark.parametrize("blur", [0.3, 1.2, 3.0])
def test_as_ml_fct_evaluates_the_same_embeddings(blur: float) -> None:
    made = spaces.make(classes=12, each=5, blur=blur)
    # A class of one: its item is a query without a match.
    vectors = unit(np.concatenate([made.old, -made.old[:1]]))
    labels = np.concatenate([made.labels, [99]])
    own = np.arange(len(labels))
    relevant = (labels[:, None] == labels[None, :]) & (own[:, None] != own[None, :])
    ours = quality(plain(vectors, vectors, own=own), relevant).means()
    expected = reference(vectors.astype(np.float64), labels)
    assert (ours["map"], ours["cmc1"], ours["cmc5"]) == pytest.approx(expected, abs=1e-9)
