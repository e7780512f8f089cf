"""Tables learn as dense Adam would have them learn, at the cost of the rows a batch touches."""

import math

import pytest
import torch
from torch import Tensor, nn

from fathom.ranking.optimiser import LazyAdam, Optimisers, touched


def table(rows: int = 4, **options: float) -> tuple[nn.Embedding, LazyAdam]:
    torch.manual_seed(0)
    embedding = nn.Embedding(rows, 2, sparse=True)
    return embedding, LazyAdam([embedding.weight], **({"lr": 0.1, "weight_decay": 0.0} | options))


def touch(embedding: nn.Embedding, optimiser: LazyAdam, rows: list[int]) -> None:
    optimiser.zero_grad()
    embedding(torch.tensor(rows)).sum().backward()
    optimiser.step()


def test_rows_that_are_not_touched_stay_as_they_are() -> None:
    embedding, optimiser = table(weight_decay=0.1)
    before = embedding.weight.detach().clone()
    touch(embedding, optimiser, [2])
    moved = (embedding.weight != before).any(dim=1)
    assert moved.tolist() == [False, False, True, False]


def test_the_first_step_is_as_long_as_adam_s() -> None:
    embedding, optimiser = table()
    before = embedding.weight.detach().clone()
    touch(embedding, optimiser, [1])
    assert (before - embedding.weight)[1].tolist() == pytest.approx([0.1, 0.1], rel=1e-4)


@pytest.mark.parametrize("size", [5, 5000], ids=["a small table", "a large table"])
def test_a_row_named_twice_moves_once_by_the_sum(size: int) -> None:
    rows, values = touched(
        torch.sparse_coo_tensor(torch.tensor([[3, 1, 3]]), torch.tensor([[1.0], [2.0], [4.0]]), (size, 1))
    )
    assert (rows.tolist(), values.flatten().tolist()) == ([1, 3], [2.0, 5.0])


def test_what_waited_is_drawn_to_zero_for_every_step_it_waited() -> None:
    (kept, plain), (drawn, decaying) = table(), table(weight_decay=0.01)
    for rows in [[0, 1]] + [[0]] * 9 + [[1]]:
        touch(kept, plain, rows)
        touch(drawn, decaying, rows)
    # After 10 steps without row 1 its second moment is 0.999¹⁰ of what it was, and one gradient more.
    moment = 0.001 * 0.999**10 + 0.001
    root = math.sqrt(moment / (1 - 0.999**11))
    first = (kept.weight.detach() - drawn.weight.detach())[1]
    start = _start(1)
    after_first = start * math.exp(-0.1 * 0.01) - 0.1
    expected = (start - 0.1 - 0.1 / root) - (after_first * math.exp(-10 * 0.1 * 0.01 / root) - 0.1 / root)
    assert first.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def _start(row: int) -> Tensor:
    return table()[0].weight.detach()[row].clone()


def test_a_dense_gradient_touches_all_rows() -> None:
    embedding, optimiser = table()
    before = embedding.weight.detach().clone()
    embedding.weight.square().sum().backward()
    optimiser.step()
    assert (embedding.weight != before).all()


def test_tables_and_networks_share_no_parameter_and_leave_none_out() -> None:
    model = nn.ModuleList([nn.Embedding(5, 2), nn.EmbeddingBag(4, 2), nn.Linear(2, 1)])
    found = Optimisers(model, lr=0.1, weight_decay=0.0, tables_decay=0.0)
    assert [len(found.tables), len(found.dense)] == [2, 2]
    assert {id(p) for p in [*found.tables, *found.dense]} == {id(p) for p in model.parameters()}
