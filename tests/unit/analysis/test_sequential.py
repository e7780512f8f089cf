"""Bounds that hold at every look: hand-computed values, and coverage under hundreds of looks."""

from __future__ import annotations

import math
import random

import pytest

from fathom_operator.analysis.sequential import critical_value, log_mixture, rate_bounds

ALPHA = 0.05


def test_the_mixture_starts_at_one_and_weighs_evidence() -> None:
    assert log_mixture(0, 0, 0.3) == 0
    # B(3/2, 1/2) / B(1/2, 1/2) = 1/2: a success is as likely under the prior as under a rate of 1/2.
    assert log_mixture(1, 1, 0.5) == pytest.approx(0.0)
    assert log_mixture(1, 1, 0.25) == pytest.approx(math.log(2))
    # B(5/2, 1/2) / B(1/2, 1/2) = 3/8.
    assert log_mixture(2, 2, 0.5) == pytest.approx(math.log(3 / 8 / 0.25))


def test_what_cannot_be_is_excluded_at_once() -> None:
    assert log_mixture(1, 10, 0.0) == math.inf


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        pytest.param(0, 0, 0.0, 1.0, id="nothing seen: anything goes"),
        pytest.param(0, 100, 0.0, 0.1, id="no success: no lower bound"),
        pytest.param(100, 100, 0.9, 1.0, id="only successes: no upper bound"),
        pytest.param(50, 100, 0.3, 0.7, id="half and half"),
    ],
)
def test_bounds_hold_the_rate_seen(successes: int, trials: int, low: float, high: float) -> None:
    got = rate_bounds(successes, trials, ALPHA)
    assert low <= got[0] <= got[1] <= high


def test_bounds_are_where_the_mixture_reaches_its_limit() -> None:
    low, high = rate_bounds(20, 1000, ALPHA)
    for edge in (low, high):
        assert log_mixture(20, 1000, edge) == pytest.approx(math.log(1 / ALPHA), abs=1e-6)


def test_a_rate_is_excluded_at_some_look_as_rarely_as_stated_where_a_plain_interval_is_so_often() -> None:
    draw, rate, sequences = random.Random(1), 0.1, 400
    ours = plain = 0
    for _ in range(sequences):
        successes, excluded, crossed = 0, False, False
        for trials in range(1, 1001):
            successes += draw.random() < rate
            excluded = excluded or log_mixture(successes, trials, rate) >= math.log(1 / ALPHA)
            z = abs(successes - trials * rate) / math.sqrt(trials * rate * (1 - rate))
            crossed = crossed or (trials >= 100 and z > 1.96)
        ours, plain = ours + excluded, plain + crossed
    assert ours <= ALPHA * sequences
    assert plain > 3 * ALPHA * sequences


@pytest.mark.parametrize("dimensions", [1, 5])
def test_a_gaussian_walk_leaves_the_bound_at_some_look_as_rarely_as_stated(dimensions: int) -> None:
    draw, sequences, out = random.Random(2), 400, 0
    for _ in range(sequences):
        walk = [0.0] * dimensions
        for step in range(1, 301):
            walk = [x + draw.gauss(0, 1) for x in walk]
            if sum(x * x for x in walk) / step > critical_value(step, 100, ALPHA, dimensions):
                out += 1
                break
    # It is not so wide as to be useless either.
    assert 0 < out <= ALPHA * sequences


def test_the_bound_is_tightest_at_the_samples_planned_for() -> None:
    values = {n: critical_value(n, 1000, 0.01) for n in (10, 500, 1000, 2000, 100_000)}
    assert min(values, key=values.__getitem__) == 1000
    assert all(value > 2.576**2 for value in values.values())


@pytest.mark.parametrize(("samples", "planned", "alpha"), [(0, 1, 0.1), (1, 0, 0.1), (1, 1, 0), (1, 1, 1)])
def test_there_is_no_bound_without_samples_or_level(samples: int, planned: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="no bound"):
        critical_value(samples, planned, alpha)
