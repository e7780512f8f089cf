"""What is learned helps queries find old items; what cannot be learned from is refused."""

from functools import cache
from typing import get_args

import numpy as np
import pytest
from builders import spaces

from fathom.backfill import METHODS, Compatibility, fit
from fathom.backfill.fitting import parted
from fathom.backfill.uncertainty import uncertainty
from fathom.errors import InvalidInputError
from fathom_api.backfill import TWO_PASSES, Method

MADE = spaces.make(each=12)
FRESH = spaces.make(seed=1)
TRANSFORMED = [name for name, method in METHODS.items() if method.old_query == "Transformed"]


@cache
def fitted(method: str) -> Compatibility:
    return fit(method, MADE.old, MADE.new, MADE.labels, from_digest=spaces.FROM, to_digest=spaces.TO)


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_ends_with_a_search_at_least_as_good_as_the_new_model(self, method: str) -> None:
        held = fitted(method).info.held_out
        assert held["1.map"] >= held["new.map"] - 0.02 > held["old.map"]

    def test_says_what_it_costs(self, method: str) -> None:
        cost = METHODS[method].cost
        assert cost.query_passes == (2 if fitted(method).needs_old_query and method != "CutOver" else 1)
        assert cost.transforms_gallery == (fitted(method).old_gallery is not None)
        assert cost.transforms_new == (fitted(method).gallery is not None)


def test_the_api_knows_which_of_its_methods_embed_queries_twice() -> None:
    assert {name for name in get_args(Method) if METHODS[name].cost.query_passes == 2} == TWO_PASSES


@pytest.mark.parametrize("method", TRANSFORMED)
def test_a_query_transform_finds_old_items_better_than_mixing_the_spaces(method: str) -> None:
    naive = fitted("NaiveMerge").info.held_out
    held = fitted(method).info.held_out
    assert held["0.map"] > naive["0.map"] + 0.05
    assert held["0.5.map"] > naive["0.5.map"]


def test_the_contrastive_loss_gains_more_than_the_transform_alone() -> None:
    gains = {name: fitted(name).info.held_out["relative_gain"] for name in TRANSFORMED}
    assert gains["MetricCompatible"] > gains["QueryTransform"]


def test_the_same_seed_learns_the_same() -> None:
    made = [
        fit("MetricCompatible", MADE.old, MADE.new, MADE.labels, from_digest=spaces.FROM, to_digest=spaces.TO)
        for _ in range(2)
    ]
    assert (made[0].old_query(MADE.new) == made[1].old_query(MADE.new)).all()


def test_progress_is_told_epoch_by_epoch() -> None:
    told: list[tuple[int, int]] = []
    fit(
        "ResidualMlp", MADE.old, MADE.new, from_digest=spaces.FROM, to_digest=spaces.TO,
        progress=lambda done, total, _: told.append((done, total)),
    )  # fmt: skip
    assert [done for done, _ in told] == list(range(1, told[0][1] + 1))


def kinds(made: spaces.Spaces, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of items of two kinds, and in both spaces which; the old of the second is noise."""
    chance = np.random.default_rng(seed)
    flag = np.full((len(made.old), 1), 4.0)
    noise = made.old.std() * chance.normal(size=made.old.shape)
    # So plain a copy that a transform leaves almost nothing of the first kind.
    plain = np.hstack([flag, made.new[:, : made.old.shape[1]]])
    old = np.concatenate([plain, np.hstack([-flag, noise])])
    new = np.concatenate([np.hstack([flag, made.new]), np.hstack([-flag, made.new])])
    return old.astype(np.float32), new.astype(np.float32)


def test_the_uncertainty_is_larger_where_the_old_model_saw_nothing() -> None:
    old, new = kinds(MADE, 0)
    made = fit("LowRankAffine", old, new, from_digest=spaces.FROM, to_digest=spaces.TO)
    fresh, _ = kinds(FRESH, 1)
    values = uncertainty(made, old, new, fresh)
    clear, noise = np.split(values, 2)
    assert np.median(noise) > np.quantile(clear, 0.9)


def test_uncertainty_needs_a_transform() -> None:
    with pytest.raises(InvalidInputError, match="needs a query transform, and RankMerge has none"):
        uncertainty(fitted("RankMerge"), MADE.old, MADE.new, MADE.old)


def test_what_is_held_out_is_not_learned_from() -> None:
    training, held = parted(100, 0.2, seed=3)
    assert (len(training), len(held)) == (80, 20)
    assert sorted(np.concatenate([training, held])) == list(range(100))
    assert (parted(100, 0.2, seed=3)[1] == held).all()


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        pytest.param(MADE.labels, "Classes", id="numbers"),
        pytest.param(np.array([f"class {n}" for n in MADE.labels], object), "Classes", id="texts"),
        pytest.param(np.stack([np.arange(220), np.arange(20, 240)], axis=1), "Pairs", id="co-engagement"),
        pytest.param(None, "Clusters", id="nothing known"),
    ],
)
def test_what_belongs_together_may_be_said_in_several_ways(labels: np.ndarray | None, kind: str) -> None:
    made = fit("Isotonic", MADE.old, MADE.new, labels, from_digest=spaces.FROM, to_digest=spaces.TO)
    assert made.info.labels == kind


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        pytest.param({"method": "Magic"}, "Magic: no such method; there are MetricCompatible", id="method"),
        pytest.param({"old": MADE.old[:9]}, "9 old vectors and 240 new ones", id="not the same items"),
        pytest.param({"old": MADE.old[:9], "new": MADE.new[:9]}, "raise compatibility.pairs", id="few"),
        pytest.param({"labels": np.arange(240)}, "no two items have the same label", id="all different"),
        pytest.param({"labels": np.arange(9)}, "give one each, or pairs of rows", id="labels of others"),
        pytest.param({"labels": np.array([[0, 240]])}, "pairs must name rows 0 … 239", id="pairs of others"),
        pytest.param({"validation": 1.0}, "validation 1.0: must be at least 0 and below 1", id="none left"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_words(changed: dict[str, object], says: str) -> None:
    given: dict[str, object] = {"method": "Procrustes", "old": MADE.old, "new": MADE.new}
    with pytest.raises(InvalidInputError, match=says):
        fit(**given | changed, from_digest=spaces.FROM, to_digest=spaces.TO)  # type: ignore[arg-type]
