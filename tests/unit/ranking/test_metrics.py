"""Metrics agree with scikit-learn, with sums done by hand, and know what they cannot say."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from fathom.ranking import metrics
from fathom.ranking.bootstrap import auc_difference


def rows(n: int, *, distinct: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, scores with at most `distinct` values, and groups."""
    chance = np.random.default_rng(seed)
    scores = chance.integers(1, distinct + 1, size=n) / (distinct + 1)
    return (chance.random(n) < scores).astype(np.float32), scores, chance.integers(n // 10, size=n)


@pytest.mark.parametrize("distinct", [pytest.param(10**9, id="no ties"), pytest.param(5, id="many ties")])
class TestAgainstScikitLearn:
    def test_auc(self, distinct: int) -> None:
        labels, scores, _ = rows(500, distinct=distinct)
        assert metrics.auc(labels, scores) == pytest.approx(
            reference.roc_auc_score(labels, scores), abs=1e-12
        )

    def test_weighted_auc(self, distinct: int) -> None:
        labels, scores, weights = rows(500, distinct=distinct)
        expected = reference.roc_auc_score(labels, scores, sample_weight=weights)
        assert metrics.auc(labels, scores, weights) == pytest.approx(expected, abs=1e-12)

    def test_gauc_is_the_mean_of_users_weighted_by_their_rows(self, distinct: int) -> None:
        labels, scores, users = rows(500, distinct=distinct)
        groups = [users == u for u in np.unique(users) if 0 < labels[users == u].mean() < 1]
        aucs = [reference.roc_auc_score(labels[g], scores[g]) for g in groups]
        expected = np.average(aucs, weights=[g.sum() for g in groups])
        assert metrics.gauc(labels, scores, users) == pytest.approx(expected, abs=1e-12)

    def test_log_loss(self, distinct: int) -> None:
        labels, scores, _ = rows(500, distinct=distinct)
        assert metrics.log_loss(labels, scores) == pytest.approx(
            reference.log_loss(labels, scores), abs=1e-12
        )

    def test_normalized_entropy_is_relative_to_the_base_rate(self, distinct: int) -> None:
        labels, scores, _ = rows(500, distinct=distinct)
        always = np.full(500, labels.mean())
        expected = reference.log_loss(labels, scores) / reference.log_loss(labels, always)
        assert metrics.normalized_entropy(labels, scores) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "scores", "auc"),
    [
        pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 1.0, id="positives above all negatives"),
        pytest.param([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.0, id="positives below all negatives"),
        pytest.param([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], 0.5, id="the same score for all"),
        pytest.param([0, 1, 1], [0.5, 0.5, 0.9], 0.75, id="a tie counts half: (½ + 1) of 2 pairs"),
        pytest.param([1, 1], [0.1, 0.2], math.nan, id="one class only says nothing"),
        pytest.param([], [], math.nan, id="no rows say nothing"),
    ],
)
def test_auc_by_hand(labels: list[int], scores: list[float], auc: float) -> None:
    assert metrics.auc(np.array(labels), np.array(scores)) == pytest.approx(auc, nan_ok=True)


def test_gauc_leaves_out_users_with_one_class() -> None:
    labels, scores = np.array([0, 1, 1, 1]), np.array([0.1, 0.9, 0.2, 0.3])
    assert metrics.gauc(labels, scores, np.array([7, 7, 9, 9])) == 1.0
    assert math.isnan(metrics.gauc(labels, scores, np.array([1, 2, 3, 4])))


def test_calibration_is_predictions_over_labels() -> None:
    assert metrics.calibration(np.array([0, 1, 1, 0]), np.array([0.5, 1.0, 1.0, 0.5])) == pytest.approx(1.5)
    assert math.isnan(metrics.calibration(np.array([0]), np.array([0.5])))


def test_calibration_bins_are_of_equal_size_and_ordered_by_prediction() -> None:
    bins = metrics.calibration_bins(np.array([1, 0, 1, 0]), np.array([0.9, 0.1, 0.7, 0.3]), bins=2)
    assert [b["prediction"] for b in bins] == pytest.approx([0.2, 0.8])
    assert [b["label"] for b in bins] == [0.0, 1.0]
    assert [b["rows"] for b in bins] == [2, 2]


def test_a_certain_and_wrong_prediction_costs_much_but_not_infinitely() -> None:
    assert 15 < metrics.log_loss(np.array([1]), np.array([0.0])) < 20


class TestBootstrap:
    def test_a_clear_difference_has_an_interval_above_zero(self) -> None:
        labels, scores, users = rows(2000, distinct=10**9)
        noise = np.random.default_rng(1).random(2000)
        delta, low, high = auc_difference(labels, scores, noise, users, resamples=200)
        expected = reference.roc_auc_score(labels, scores) - reference.roc_auc_score(labels, noise)
        assert delta == pytest.approx(expected, abs=1e-12)
        assert 0 < low < delta < high

    def test_a_ranker_does_not_differ_from_itself(self) -> None:
        labels, scores, users = rows(500, distinct=100)
        assert auc_difference(labels, scores, scores, users, resamples=50) == (0, 0, 0)

    def test_draws_are_of_users_so_one_user_alone_leaves_no_doubt(self) -> None:
        labels, scores, _ = rows(500, distinct=100)
        delta, low, high = auc_difference(labels, scores, -scores, np.zeros(500, np.int64), resamples=20)
        assert low == high == pytest.approx(delta)
