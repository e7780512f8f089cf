"""Each metric against a hand-computed value, and what clusters of requests do to its bounds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from builders.counted import LATENCY_EDGES, counts, histogram, windows

from fathom_operator.analysis import outcomes, requests, scores
from fathom_operator.analysis.comparison import Comparison, Missing, compare_rates
from fathom_operator.analysis.counts import Counts, NotComparableError
from fathom_operator.analysis.estimates import Drift, design_effect, drift, rate
from fathom_operator.analysis.windows import Window

Measure = Callable[[Sequence[Window], float, float], Comparison | Missing]
ALPHA, PLANNED = 0.01, 1000


def numbers(found: Comparison | Missing) -> Comparison:
    assert isinstance(found, Comparison), found
    assert found.low <= found.delta <= found.high
    return found


def test_error_rates() -> None:
    found = numbers(requests.error_rate(windows(counts(900, 9), counts(100, 3)), ALPHA, PLANNED))
    assert (found.stable, found.candidate) == (0.01, 0.03)
    assert found.samples == 2000


def test_the_share_of_unknown_items_is_of_candidates() -> None:
    stable, candidate = Counts(candidates=1000, unknown=20), Counts(candidates=100, unknown=40)
    found = numbers(requests.unknown_feature_rate(windows(stable, candidate), ALPHA, PLANNED))
    assert found.delta == pytest.approx(0.38)
    assert found.least_harm > 0.3


def latency(*per_bucket: float) -> Counts:
    return Counts(requests=sum(per_bucket), latency=histogram(*per_bucket, edges=LATENCY_EDGES))


def test_a_median_twice_as_long_is_a_delta_of_one() -> None:
    # Medians at the middle of the second bucket (15 ms) and of the third (30 ms).
    found = numbers(
        requests.latency(0.5)(windows(latency(25, 50, 25, 0, 0), latency(0, 25, 50, 25, 0)), ALPHA, PLANNED)
    )
    assert (found.stable, found.candidate, found.delta) == pytest.approx((0.015, 0.03, 1.0))
    assert 0.5 < found.low < 1 < found.high < 1.5


def test_a_candidate_beyond_the_last_bucket_is_slower_without_end() -> None:
    found = numbers(
        requests.latency(0.5)(windows(latency(25, 50, 25, 0, 0), latency(0, 0, 0, 0, 100)), ALPHA, PLANNED)
    )
    assert found.candidate == math.inf
    assert found.least_harm > 4


def test_where_stable_is_beyond_the_last_bucket_nothing_can_be_told() -> None:
    found = requests.latency(0.5)(windows(latency(0, 0, 0, 0, 9), latency(9, 0, 0, 0, 0)), ALPHA, PLANNED)
    assert isinstance(found, Missing)


def scored(*per_bucket: float) -> Counts:
    return Counts(requests=sum(per_bucket), scores=histogram(*per_bucket))


def test_psi_of_two_histograms() -> None:
    found = numbers(
        scores.population_stability(
            windows(scored(40, 0, 30, 0, 30), scored(20, 0, 30, 0, 50), 200), ALPHA, PLANNED
        )
    )
    psi = 0.2 * math.log(2) + 0.2 * math.log(5 / 3)
    assert found.delta == pytest.approx(psi, rel=0.01)
    assert 0 < found.low < psi < found.high


def test_the_largest_gap_of_two_distribution_functions() -> None:
    found = numbers(
        scores.kolmogorov_smirnov(
            windows(scored(40, 0, 30, 0, 30), scored(20, 0, 30, 0, 50), 200), ALPHA, PLANNED
        )
    )
    assert found.delta == pytest.approx(0.2)
    assert 0.15 < found.low < 0.2


def test_scores_can_be_compared_with_those_of_the_evaluation() -> None:
    reference = histogram(400, 0, 300, 0, 300)
    found = numbers(
        scores.kolmogorov_smirnov(windows(Counts(), scored(20, 0, 30, 0, 50), 200), ALPHA, PLANNED, reference)
    )
    assert found.delta == pytest.approx(0.2)


def test_scores_in_other_buckets_are_not_compared() -> None:
    other = Counts(requests=2, scores=histogram(1, 1, edges=(0.5,)))
    with pytest.raises(NotComparableError):
        scores.population_stability(windows(scored(1, 1, 1, 1, 1), other), ALPHA, PLANNED)


def outcome(well: tuple[float, ...], badly: tuple[float, ...], scores_sum: float = 1.0) -> Counts:
    return Counts(positives=histogram(*well, total=scores_sum), negatives=histogram(*badly))


GOOD = outcome((1, 2, 3, 4, 10), (30, 20, 15, 10, 5))


def test_auc_counts_pairs_in_order_and_halves_those_in_one_bucket() -> None:
    positives, negatives = (1, 2, 3, 4, 10), (30, 20, 15, 10, 5)
    pairs = sum(
        p * n * (1.0 if i > j else 0.5 if i == j else 0.0)
        for i, p in enumerate(positives)
        for j, n in enumerate(negatives)
    )
    found = numbers(outcomes.auc(windows(GOOD, GOOD), ALPHA, PLANNED))
    assert found.candidate == pytest.approx(pairs / (20 * 80))
    assert found.delta == 0


def test_a_ranker_that_knows_nothing_is_worse_in_auc_and_entropy() -> None:
    blind = outcome((8, 5, 4, 2, 1), (32, 20, 16, 8, 4))
    auc = numbers(outcomes.auc(windows(GOOD, blind), ALPHA, PLANNED))
    entropy = numbers(outcomes.normalized_entropy(windows(GOOD, blind), ALPHA, PLANNED))
    assert auc.delta < 0 < auc.least_harm
    assert entropy.delta > 0


def test_normalised_entropy_of_the_base_rate_itself_is_one() -> None:
    base = outcome((0, 0, 50, 0, 0), (0, 0, 50, 0, 0))
    assert numbers(
        outcomes.normalized_entropy(windows(base, base), ALPHA, PLANNED)
    ).candidate == pytest.approx(1)


@pytest.mark.parametrize(
    ("stable", "candidate", "harm"),
    [
        pytest.param(20, 24, math.log(1.2), id="too high by a fifth"),
        pytest.param(20, 16, -math.log(0.8), id="too low by a fifth"),
        pytest.param(24, 20, -math.log(1.2), id="better than stable"),
        pytest.param(24, 20 / 1.2, 0, id="too low instead of too high, by as much"),
    ],
)
def test_calibration_is_worse_the_further_from_one(stable: float, candidate: float, harm: float) -> None:
    of = windows(
        outcome((0, 0, 0, 0, 20), (80, 0, 0, 0, 0), stable),
        outcome((0, 0, 0, 0, 20), (80, 0, 0, 0, 0), candidate),
    )
    found = numbers(outcomes.calibration(of, ALPHA, PLANNED))
    assert found.candidate == pytest.approx(candidate / 20)
    assert found.delta == pytest.approx(harm)


def test_fewer_good_outcomes_are_harm() -> None:
    fewer = outcome((1, 1, 2, 2, 4), (30, 20, 15, 15, 10))
    found = numbers(outcomes.outcome_rate(windows(GOOD, fewer, 100), ALPHA, PLANNED))
    assert found.delta == pytest.approx(-0.5)
    assert found.least_harm > 0.3


@pytest.mark.parametrize("measure", [outcomes.auc, outcomes.calibration, outcomes.normalized_entropy])
def test_outcomes_of_one_kind_say_nothing(measure: Measure) -> None:
    only_good = outcome((1, 1, 1, 1, 1), (0, 0, 0, 0, 0))
    assert isinstance(measure(windows(GOOD, only_good), ALPHA, PLANNED), Missing)


def test_independent_requests_have_a_design_effect_near_one() -> None:
    draw = random.Random(3)
    errors = [[sum(draw.random() < 0.1 for _ in range(100)) for _ in range(64)] for _ in range(2)]
    a, b = (rate(e, [100] * 64) for e in errors)
    assert 1 <= design_effect(a, b) < 2


def test_errors_that_come_together_raise_the_design_effect_and_widen_the_bounds() -> None:
    steady, bursts = [10.0] * 64, [100.0 if i % 10 == 0 else 0.0 for i in range(64)]
    stable = rate(steady, [100] * 64)
    calm, wild = (rate(e, [100] * 64) for e in (steady, bursts))
    assert design_effect(wild, stable) > 20
    widths = [
        it.high - it.low for it in (compare_rates(calm, stable, ALPHA), compare_rates(wild, stable, ALPHA))
    ]
    assert widths[1] > 2 * widths[0]


def test_an_incident_that_hits_both_versions_cancels() -> None:
    shared = [50.0 if i == 7 else 1.0 for i in range(64)]
    a = rate(shared, [100] * 64)
    assert design_effect(a, a) == pytest.approx(1.0, abs=0.1)


def slow_for_minutes(seed: int, alike: float, windows: int = 40) -> list[float]:
    """Return how many of 100 requests of each window were slow, of a pod whose slowness lasts."""
    draw, slow, out = random.Random(seed), 0.0, list[float]()
    for _ in range(windows):
        slow = alike * slow + draw.gauss(0, 10 * math.sqrt(1 - alike**2))
        out.append(min(100.0, max(0.0, 50 + slow)))
    return out


def test_slowness_that_lasts_has_a_larger_effect_than_slowness_that_comes_and_goes() -> None:
    steady = rate([50.0] * 40, [100] * 40)
    lasting, short = (
        drift(rate(slow_for_minutes(1, alike), [100] * 40), steady).effect for alike in (0.8, 0.0)
    )
    assert lasting > 2 * short


@pytest.mark.parametrize(
    ("effect", "freedom", "times"),
    [
        pytest.param(1.0, 5.0, 1.0, id="independent requests: the normal bound"),
        pytest.param(4.0, 1e6, 4.0, id="many windows: the effect is known"),
        pytest.param(4.0, 20.0, 5.1, id="few windows: Student's t"),
        pytest.param(4.0, 0.0, math.inf, id="hardly any: no bound"),
    ],
)
def test_a_bound_is_as_wide_as_little_is_known(effect: float, freedom: float, times: float) -> None:
    assert Drift(effect, freedom).widened(16.0) / 16.0 == pytest.approx(times, rel=0.05)


def test_a_latency_is_not_judged_by_a_few_windows() -> None:
    fast, slow = latency(25, 50, 25, 0, 0), latency(0, 0, 25, 50, 25)
    few, more = (
        numbers(requests.latency(0.5)(windows(fast, slow, times), ALPHA, PLANNED)).least_harm
        for times in (11, 20)
    )
    assert few <= 0 < more


def test_psi_of_people_who_score_alike_is_taken_for_noise() -> None:
    """Few users with many scores each: a bare threshold of 0.1 would take the candidate back."""
    draw = random.Random(5)

    def window(users: int) -> Counts:
        per_bucket = [0.0] * 5
        for _ in range(users):
            per_bucket[draw.randrange(5)] += 50
        return Counts(requests=users, scores=histogram(*per_bucket))

    rollouts = [[Window(window(30), window(1)) for _ in range(12)] for _ in range(40)]
    found = [numbers(scores.population_stability(of, ALPHA, 12)) for of in rollouts]
    assert sum(it.delta > 0.1 for it in found) > 20
    assert sum(it.least_harm > 0.1 for it in found) == 0
