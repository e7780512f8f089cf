import numpy as np
import pytest

from fathom.errors import InvalidInputError
from fathom.serendipity import off_policy
from fathom.serendipity.off_policy import Logged

ACTIONS = 4


def world(n: int, seed: int = 0) -> tuple[Logged, np.ndarray, np.ndarray]:
    """Return n decisions of a policy that explores, another policy, and the true expected rewards."""
    chance = np.random.default_rng(seed)
    expected = chance.uniform(0, 1, (n, ACTIONS))
    served = chance.dirichlet(np.ones(ACTIONS) * 2, n) * 0.8 + 0.2 / ACTIONS
    action = np.array([chance.choice(ACTIONS, p=row) for row in served])
    reward = (chance.random(n) < expected[np.arange(n), action]).astype(float)
    policy = np.eye(ACTIONS)[expected.argmax(axis=1)]
    return Logged(action, reward, served[np.arange(n), action]), policy, expected


def test_all_estimators_find_what_the_other_policy_earns():
    logged, policy, expected = world(6000)
    truth = (policy * expected).sum(axis=1).mean()
    for terms in (
        off_policy.ipw(logged, policy),
        off_policy.snipw(logged, policy),
        off_policy.doubly_robust(logged, policy, expected),
    ):
        assert off_policy.value(terms).value == pytest.approx(truth, abs=0.06)
    assert off_policy.direct(policy, expected).mean() == pytest.approx(truth)
    assert logged.reward.mean() < truth - 0.1


def test_doubly_robust_is_right_where_expected_rewards_are_wrong_and_the_direct_method_is_not():
    logged, policy, expected = world(6000)
    truth = (policy * expected).sum(axis=1).mean()
    wrong = np.full_like(expected, 0.2)
    assert off_policy.doubly_robust(logged, policy, wrong).mean() == pytest.approx(truth, abs=0.06)
    assert abs(off_policy.direct(policy, wrong).mean() - truth) > 0.4


def test_good_expected_rewards_narrow_the_interval():
    logged, policy, expected = world(2000)
    plain = off_policy.value(off_policy.ipw(logged, policy))
    robust = off_policy.value(off_policy.doubly_robust(logged, policy, expected))
    assert robust.high - robust.low < plain.high - plain.low


def test_the_logging_policy_itself_is_worth_what_was_earned():
    logged = Logged(np.array([0, 1]), np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    policy = np.full((2, 2), 0.5)
    assert off_policy.ipw(logged, policy).mean() == 0.5
    assert off_policy.effective_sample(logged, policy) == 2


def test_weights_by_hand():
    logged = Logged(np.array([0, 1]), np.array([1.0, 1.0]), np.array([0.5, 0.25]))
    policy = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert off_policy.ipw(logged, policy).tolist() == [2, 4]
    assert off_policy.snipw(logged, policy).mean() == 1
    assert off_policy.effective_sample(logged, policy) == pytest.approx(36 / 20)


@pytest.mark.parametrize("propensity", [[0.0, 0.5], [0.5, 1.5], [0.5]])
def test_a_log_that_tells_nothing_is_refused(propensity: list[float]):
    with pytest.raises(InvalidInputError, match="propensit"):
        Logged(np.array([0, 1]), np.array([1.0, 0.0]), np.array(propensity))
