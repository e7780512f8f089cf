"""Metrics agree with scikit-learn, with sums done by hand, and know what they cannot say."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from fathom.ranking import bootstrap, metrics
from fathom.ranking.bootstrap import Panel


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
        panel = Panel(labels, users, resamples=200)
        found = bootstrap.difference(panel.judge(scores).auc, panel.judge(noise).auc)
        expected = reference.roc_auc_score(labels, scores) - reference.roc_auc_score(labels, noise)
        assert found
        assert found.value == pytest.approx(expected, abs=1e-12)
        assert 0 < found.low < found.value < found.high

    def test_a_ranker_does_not_differ_from_itself(self) -> None:
        labels, scores, users = rows(500, distinct=100)
        judged = Panel(labels, users, resamples=50).judge(scores)
        assert bootstrap.difference(judged.auc, judged.auc) == (0, 0, 0)
        assert bootstrap.relative(judged.log_loss, judged.log_loss) == (0, 0, 0)

    def test_draws_are_of_users_so_one_user_alone_leaves_no_doubt(self) -> None:
        labels, scores, _ = rows(500, distinct=100)
        panel = Panel(labels, np.zeros(500, np.int64), resamples=20)
        found = bootstrap.difference(panel.judge(scores).auc, panel.judge(-scores).auc)
        assert found
        assert found.low == found.high == pytest.approx(found.value)

    def test_all_users_once_give_the_metrics_themselves(self) -> None:
        labels, scores, users = rows(1500, distinct=50)
        judged = Panel(labels, users, resamples=3).judge(scores)
        assert judged.auc[0] == pytest.approx(metrics.auc(labels, scores))
        assert judged.gauc[0] == pytest.approx(metrics.gauc(labels, scores, users))
        assert judged.log_loss[0] == pytest.approx(metrics.log_loss(labels, scores))
        assert judged.normalized_entropy[0] == pytest.approx(metrics.normalized_entropy(labels, scores))

    def test_a_draw_counts_a_user_as_often_as_it_is_drawn(self) -> None:
        """Each draw's metrics are those of the drawn users' rows, laid end to end."""
        labels, scores, users = rows(300, distinct=20)
        judged = Panel(labels, users, resamples=2, seed=7).judge(scores)
        _, user = np.unique(users, return_inverse=True)
        count = user.max() + 1
        generator = np.random.default_rng(7)
        for draw in (1, 2):
            drawn = generator.integers(count, size=count)
            at = np.concatenate([np.flatnonzero(user == u) for u in drawn])
            own = np.concatenate([np.full((user == u).sum(), n) for n, u in enumerate(drawn)])
            assert judged.auc[draw] == pytest.approx(metrics.auc(labels[at], scores[at]))
            assert judged.gauc[draw] == pytest.approx(metrics.gauc(labels[at], scores[at], own))
            assert judged.normalized_entropy[draw] == pytest.approx(
                metrics.normalized_entropy(labels[at], scores[at])
            )

    def test_rela_impr_tells_how_much_further_from_chance(self) -> None:
        found = bootstrap.rela_impr(np.full(3, 0.72), np.full(3, 0.7))
        assert found == pytest.approx((0.1, 0.1, 0.1))

    def test_rela_impr_over_a_ranker_that_guesses_has_no_value(self) -> None:
        assert bootstrap.rela_impr(np.full(3, 0.7), np.array([0.5, 0.49, 0.51])) is None
