"""Networks fold into plain layers, batches hold what belongs together, the loss is the one written down."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from fathom.backfill.belonging import Belonging, belonging
from fathom.backfill.losses import metric_compatible, reverse_query
from fathom.backfill.networks import Network, batches


@pytest.mark.parametrize("skip", [None, np.eye(5, 7, dtype=np.float32)], ids=["mlp alone", "with a skip"])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_a_folded_network_does_what_the_network_did(skip: np.ndarray | None, blocks: int) -> None:
    torch.manual_seed(0)
    network = Network(7, 5, hidden=11, blocks=blocks, skip=skip)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    given = normalize(torch.randn(64, 7), dim=1)
    for _ in range(3):
        network.train()(given)  # moves the running statistics
    expected = network.eval()(given).detach().numpy()
    assert network.folded()(given.numpy()) == pytest.approx(expected, abs=1e-4)


def test_with_a_skip_it_starts_as_the_skip() -> None:
    skip = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    network = Network(7, 5, hidden=11, blocks=2, skip=skip).eval()
    given = torch.randn(9, 7)
    assert torch.allclose(network(given), normalize(given @ torch.from_numpy(skip).T, dim=1), atol=1e-6)


@pytest.mark.parametrize(("count", "size"), [(100, 10), (105, 10), (8, 10), (10, 10)])
def test_no_row_is_twice_in_an_epoch(count: int, size: int) -> None:
    labels = np.arange(count) % 7
    groups = Belonging("Classes", count, classes=labels).groups()
    made = list(batches(count, size, groups, np.random.default_rng(0)))
    rows = np.concatenate(made)
    assert len(set(rows)) == len(rows) == (count // size * size or count)


def test_batches_hold_items_that_belong_together_however_many_classes_there_are() -> None:
    known = Belonging("Classes", 1000, classes=np.arange(1000) % 250)
    made = list(batches(1000, 50, known.groups(), np.random.default_rng(0)))
    alone = [(known.between(rows, rows).sum(axis=1) == 1).mean() for rows in made]
    assert np.mean(alone) < 0.1


class TestBelonging:
    def test_items_of_a_class_belong_together_and_unknown_ones_to_themselves(self) -> None:
        known = belonging(np.array(["a", "", "a", None, "b"], object), np.eye(5, dtype=np.float32), seed=0)
        rows = np.arange(5)
        together = known.between(rows, rows)
        assert together.sum() == 5 + 2
        assert together[0, 2]

    def test_pairs_hold_in_both_directions_and_survive_a_choice_of_rows(self) -> None:
        known = belonging(np.array([[0, 3], [3, 1]]), np.eye(5, dtype=np.float32), seed=0)
        rows = np.arange(5)
        expected = np.eye(5, dtype=np.bool_)
        expected[[0, 3, 3, 1], [3, 0, 1, 3]] = True
        assert (known.between(rows, rows) == expected).all()
        chosen = np.array([1, 3, 4])
        numbered = np.arange(3)
        found = known.only(chosen).between(numbered, numbered)
        assert (found == expected[np.ix_(chosen, chosen)]).all()
        assert sorted(map(sorted, known.groups())) == [[0, 1, 3], [0, 3], [1, 3]]

    def test_clusters_stand_in_where_nothing_is_known(self) -> None:
        new = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
        known = belonging(None, new, seed=0)
        rows = np.arange(20)
        assert (known.between(rows, rows) == (rows[:, None] // 5 == rows[None, :] // 5)).all()


def by_hand(backward: np.ndarray, new: np.ndarray, together: np.ndarray, tau: float) -> float:
    """Return L_MCL as its docstring writes it, item by item."""
    count, total = len(together), 0.0
    for i in range(count):
        negatives = sum(
            math.exp(system[i, j] / tau)
            for system in (backward, new)
            for j in range(count)
            if not together[i, j]
        )
        for system, positives in (
            (backward, [j for j in range(count) if together[i, j]]),
            (new, [j for j in range(count) if together[i, j] and j != i]),
        ):
            shares = [math.exp(system[i, p] / tau) for p in positives]
            if shares:
                valued = sum(-math.log(s / (s + negatives)) for s in shares) / len(shares)
                known = sum(any(together[q, j] for j in range(count) if j != q) for q in range(count))
                total += valued / (count if system is backward else known)
    return total


@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_the_contrastive_loss_is_the_one_that_is_written_down(tau: float) -> None:
    chance = np.random.default_rng(0)
    backward, new = (chance.uniform(-1, 1, (7, 7)) for _ in range(2))
    labels = np.array([0, 0, 0, 1, 1, 2, 3])
    together = labels[:, None] == labels[None, :]
    found = metric_compatible(
        torch.from_numpy(backward), torch.from_numpy(new), torch.from_numpy(together), tau
    )
    assert float(found) == pytest.approx(by_hand(backward, new, together, tau), rel=1e-6)


def test_the_loss_falls_when_an_old_item_that_belongs_comes_before_a_new_one_that_does_not() -> None:
    together = torch.eye(2, dtype=torch.bool)
    near, far = torch.tensor([[0.9, 0.0], [0.0, 0.9]]), torch.tensor([[0.1, 0.0], [0.0, 0.1]])
    new = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    assert metric_compatible(near, new, together, 0.1) < metric_compatible(far, new, together, 0.1)


def test_the_reverse_query_loss_is_the_mean_cosine_distance() -> None:
    one, two = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(reverse_query(one, two)) == pytest.approx(0.5)
