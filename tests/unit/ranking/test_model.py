"""The rankers compute what their papers say."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fathom.ranking.architectures import ARCHITECTURES
from fathom.ranking.batches import Pairs, Tables, batch
from fathom.ranking.layers import (
    FULL_RANK_WIDTH,
    Bag,
    ColumnTensors,
    CrossLayer,
    PairwiseDots,
    SparseArch,
    profile,
)
from fathom.ranking.model import Ranker
from fathom.ranking.schema import ID, FeatureField, Schema
from fathom_api.recmodel import RankerModel

TOKENS = FeatureField(name="captions/c", type="Tokens", size=9, history=2)
SCHEMA = Schema(
    user=[FeatureField(name=ID, type="Categorical", size=5), FeatureField(name="age", type="Numeric")],
    item=[FeatureField(name=ID, type="Categorical", size=6), TOKENS],
)


def ranker(**config: Any) -> Ranker:
    torch.manual_seed(0)
    model = RankerModel.model_validate({"embeddingDim": 4, "hiddenUnits": [8], **config})
    attended = 2 if ARCHITECTURES[model.architecture].attends else 0
    return Ranker(SCHEMA.model_copy(update={"attended": attended}), model).eval()


def tables() -> tuple[Tables, Pairs]:
    """Return 3 users, 4 items (row 0 unknown) and the pairs (1, 1), (2, 3), (1, 2), (0, 0)."""
    users = ColumnTensors(
        torch.tensor([[1], [2], [3]], dtype=torch.int32), [], torch.tensor([[0.0], [1.0], [-1.0]])
    )
    tokens = torch.tensor([[0, 0], [2, 3], [4, 0], [5, 6]], dtype=torch.int32)
    items = ColumnTensors(torch.tensor([[1], [2], [3], [4]], dtype=torch.int32), [tokens], torch.zeros(4, 0))
    window = (torch.tensor([0, 3, 0, 0]), torch.tensor([3, 3, 1, 0]))
    pairs = Pairs(
        torch.tensor([1, 2, 1, 0]), torch.tensor([1, 3, 2, 0]), *window, torch.tensor([1.0, 0, 1, 0])
    )
    return Tables(users, items, torch.tensor([1, 2, 3])), pairs


def test_a_cross_layer_is_the_papers_equation() -> None:
    layer, first, x = CrossLayer(3), torch.randn(2, 3), torch.randn(2, 3)
    weight, bias = layer.transform.get_parameter("weight"), layer.transform.get_parameter("bias")
    expected = first * (x @ weight.T + bias) + x
    assert torch.allclose(layer(first, x), expected, atol=1e-6)


def test_a_wide_cross_layer_is_of_low_rank() -> None:
    width = FULL_RANK_WIDTH + 4
    assert sum(p.numel() for p in CrossLayer(width).parameters()) < width * width


def test_pairwise_dots_are_those_of_each_two_vectors_once() -> None:
    vectors = torch.tensor([[[1.0, 0], [2, 0], [3, 1]]])
    assert PairwiseDots(3)(vectors).tolist() == [[2.0, 3.0, 6.0]]


def pooled(pooling: Any, weights: list[float] | None = None, query: list[float] | None = None) -> Tensor:
    """Return a list of e = [1, 2] and [3, 4], padded, made one, and a list of nothing."""
    fields = [
        FeatureField(name=ID, type="Categorical", size=2),
        TOKENS.model_copy(update={"pooling": pooling}),
    ]
    sparse = SparseArch(fields, 2)
    with torch.no_grad():
        sparse.bags[0].get_parameter("weight")[2:4] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        if query is not None:
            sparse.bags[0].get_parameter("query")[:] = torch.tensor(query)
    given = None if weights is None else torch.tensor([[*weights, 0, 0], [0] * 4], dtype=torch.float32)
    return sparse.pool([torch.tensor([[2, 3, 0, 0], [0, 0, 0, 0]])], 2, [given])[:, 0]


@pytest.mark.parametrize(
    ("pooling", "weights", "expected"),
    [
        pytest.param("Mean", None, [2, 3], id="Mean: Σ e / n"),
        pytest.param("Sum", None, [4, 6], id="Sum: Σ e"),
        pytest.param("Mean", [1, 0.5], [2, 3], id="Mean takes no notice of weights"),
        pytest.param("Weighted", [1, 0.5], [2.5, 4], id="Weighted: Σ w e"),
        pytest.param("Weighted", None, [4, 6], id="Weighted without weights: Σ e"),
        pytest.param("Attention", None, [2, 3], id="Attention begins as the mean"),
        pytest.param("Attention", [1, 0.25], [1.4, 2.4], id="Attention begins as the mean by weight"),
    ],
)
def test_pooling_leaves_padding_out(pooling: Any, weights: Any, expected: list[float]) -> None:
    found = pooled(pooling, weights)
    assert torch.allclose(found, torch.tensor([expected, [0.0, 0.0]]), atol=1e-6)


def test_attention_prefers_what_its_query_is_like() -> None:
    # q·e = 0.5 · 1 + 0 and 0.5 · 3, over √2.
    share = 1 / (1 + math.exp(-1 / math.sqrt(2)))
    assert torch.allclose(
        pooled("Attention", query=[0.5, 0.0])[0], torch.tensor([1.0, 2.0]) + 2 * share, atol=1e-6
    )


def test_attention_to_nothing_has_a_finite_gradient() -> None:
    bag = Bag(4, 2, "Attention")
    bag(torch.tensor([[0, 0], [2, 0]]), torch.tensor([[0.0, 0.0], [0.5, 0.0]])).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in bag.parameters())


def test_a_profile_with_a_half_life_prefers_the_latest() -> None:
    pooled = torch.tensor([[9.0], [2.0], [4.0], [8.0]])
    # Two items on, half as much: weights 1, ½^½, ½.
    expected = (2 + 4 * 0.5**0.5 + 8 * 0.5) / (1 + 0.5**0.5 + 0.5)
    found = profile(torch.tensor([[1, 2, 3], [3, 0, 0], [0, 0, 0]]), pooled, half_life=2)
    assert found.flatten().tolist() == pytest.approx([expected, 8.0, 0.0])


def test_a_profile_is_the_mean_of_what_was_liked_and_nothing_without() -> None:
    pooled = torch.tensor([[9.0], [2.0], [4.0]])
    assert profile(torch.tensor([[1, 2, 0], [2, 0, 0], [0, 0, 0]]), pooled).tolist() == [[3.0], [4.0], [0.0]]


def test_features_with_several_tables_do_not_share_embeddings() -> None:
    fields = [FeatureField(name=n, type="Categorical", size=3) for n in "ab"]
    embedded = SparseArch(fields, 2).embed(torch.tensor([[2, 2]]))
    assert not torch.equal(embedded[0, 0], embedded[0, 1])


def test_the_unknown_begins_in_the_middle_of_the_known() -> None:
    fields = [FeatureField(name=n, type="Categorical", size=3) for n in "ab"]
    embedded = SparseArch(fields, 2).embed(torch.tensor([[1, 2], [2, 1]]))
    assert embedded[0, 0].abs().sum() == embedded[1, 1].abs().sum() == 0
    assert (embedded[[0, 1], [1, 0]] != 0).all()


class TestBatches:
    def test_histories_are_the_latest_of_the_window_first(self) -> None:
        known, pairs = tables()
        made = batch(known, pairs, torch.arange(4), history=2)
        distinct = torch.tensor([0, 1, 2, 3])
        assert distinct[made.history.long()].tolist() == [[3, 2], [0, 0], [1, 0], [0, 0]]
        assert distinct[made.item_at.long()].tolist() == [1, 3, 2, 0]

    def test_hiding_makes_an_item_s_id_unknown_and_leaves_the_rest(self) -> None:
        known, pairs = tables()
        made = batch(known, pairs, torch.arange(2), 0, hidden=torch.tensor([False, True]))
        assert made.item.ids.tolist() == [[2], [1]]
        assert made.item.lists[0].tolist() == [[0, 0], [2, 3], [5, 6]]
        assert made.user.ids.tolist() == [[2], [3]]


class Interact(nn.Module):
    def __init__(self, model: Ranker) -> None:
        super().__init__()
        self.model = model

    def forward(self, user: Tensor, item: Tensor, numbers: Tensor) -> Tensor:
        return self.model.interact(user, item, numbers)


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
class TestRankers:
    def test_a_score_does_not_depend_on_what_else_is_in_the_batch(self, architecture: str) -> None:
        model, (known, pairs) = ranker(architecture=architecture), tables()
        together = model(batch(known, pairs, torch.arange(4), 2))
        alone = torch.cat([model(batch(known, pairs, torch.tensor([i]), 2)) for i in range(4)])
        assert torch.allclose(together, alone, atol=1e-6)

    def test_every_parameter_learns(self, architecture: str) -> None:
        model, (known, pairs) = ranker(architecture=architecture), tables()
        model(batch(known, pairs, torch.arange(4), 2)).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())

    def test_the_history_matters(self, architecture: str) -> None:
        model, (known, pairs) = ranker(architecture=architecture), tables()
        other = pairs._replace(end=torch.zeros(4, dtype=torch.int64))
        with_history, without = (model(batch(known, p, torch.arange(4), 2)) for p in (pairs, other))
        assert not torch.isclose(with_history[0], without[0], atol=1e-7)
        assert torch.equal(with_history[3], without[3])

    def test_an_untrained_ranker_is_near_the_base_rate(self, architecture: str) -> None:
        model, (known, pairs) = ranker(architecture=architecture), tables()
        model.start_at(0.2)
        with torch.no_grad():
            scores = model(batch(known, pairs, torch.arange(4), 2)).sigmoid().numpy()
        assert scores == pytest.approx(np.full(4, 0.2), abs=0.1)

    def test_a_server_that_does_each_side_once_computes_the_same(self, architecture: str) -> None:
        model, (known, pairs) = ranker(architecture=architecture), tables()
        expected = model(batch(known, pairs, torch.arange(4), 2))
        pooled = model.item_sparse.pool(known.items.lists, len(known.items.ids))
        items = model.item_side(known.items.ids, pooled)
        history = torch.tensor([[3, 2], [0, 0], [1, 0], [0, 0]])
        users = ColumnTensors(known.users.ids[pairs.user], [], known.users.numeric[pairs.user])
        user = model.user_side(users, history, items)
        found = model.interact(user, items[pairs.item], users.numeric)
        assert torch.allclose(found, expected, atol=1e-6)

    def test_it_can_be_exported_for_any_number_of_candidates(self, architecture: str) -> None:
        model, (known, _) = ranker(architecture=architecture), tables()
        pooled = model.item_sparse.pool(known.items.lists, len(known.items.ids))
        items = model.item_side(known.items.ids, pooled)
        users = ColumnTensors(known.users.ids, [], known.users.numeric)
        user = model.user_side(users, torch.tensor([[3, 2], [0, 0], [1, 0]]), items)
        rows = torch.tensor([0, 1, 2, 1, 0])
        example = (user[rows], items[rows], users.numeric[rows])
        n = torch.export.Dim("n", min=2)
        program = torch.export.export(Interact(model), example, dynamic_shapes=({0: n},) * 3)
        given = tuple(side[:3] for side in example)
        assert torch.allclose(program.module()(*given), model.interact(*given), atol=1e-6)

    def test_it_works_without_numbers_and_lists(self, architecture: str) -> None:
        ids = [FeatureField(name=ID, type="Categorical", size=4)]
        config = RankerModel.model_validate({"architecture": architecture})
        model = Ranker(Schema(user=ids, item=ids), config)
        side = ColumnTensors(torch.tensor([[1], [2]], dtype=torch.int32), [], torch.zeros(2, 0))
        at = torch.tensor([1])
        known = Tables(side, side, torch.zeros(0, dtype=torch.int64))
        pairs = Pairs(at, at, torch.zeros(1).long(), torch.zeros(1).long(), torch.ones(1))
        assert model(batch(known, pairs, torch.arange(1), 0)).shape == (1,)
