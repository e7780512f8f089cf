"""Embeddings are kept small where a step learns, by how often training meets them."""

import pytest
import torch
from torch import Tensor

from fathom.ranking.batches import Pairs, Tables
from fathom.ranking.layers import ColumnTensors, SparseArch
from fathom.ranking.model import Ranker
from fathom.ranking.occurrences import occurrences, of_both_sides
from fathom.ranking.regularisation import FrequencyPenalty
from fathom.ranking.schema import ID, FeatureField, Schema
from fathom_api.learning import Pooling
from fathom_api.recmodel import RankerModel

SCHEMA = Schema(
    user=[FeatureField(name=ID, type="Categorical", size=4)],
    item=[
        FeatureField(name=ID, type="Categorical", size=4),
        FeatureField(name="captions/c", type="Tokens", size=6, pooling="Sum"),
    ],
)


@pytest.fixture
def ranker() -> Ranker:
    torch.manual_seed(0)
    return Ranker(SCHEMA, RankerModel(embedding_dim=2, hidden_units=[4]))


def tables() -> Tables:
    """Return users 0 to 2 with ids 1 to 3, and as many items, of tokens none, 2 and 3, 3."""
    ids = torch.tensor([[1], [2], [3]], dtype=torch.int32)
    tokens = torch.tensor([[0, 0], [2, 3], [3, 0]], dtype=torch.int32)
    nothing = torch.zeros(3, 0)
    return Tables(
        ColumnTensors(ids, [], nothing), ColumnTensors(ids, [tokens], nothing), torch.zeros(0).long()
    )


def pairs(user: list[int], item: list[int]) -> Pairs:
    nothing = torch.zeros(len(user)).long()
    return Pairs(torch.tensor(user), torch.tensor(item), nothing, nothing, nothing.float())


def test_ids_and_tokens_are_counted_by_interaction(ranker: Ranker) -> None:
    found = occurrences(ranker.item_sparse, tables().items, torch.tensor([1, 1, 2, 1]))
    assert [counts.tolist()[1:] for _, counts, _ in found] == [[0, 3, 1], [0, 3, 4, 0, 0]]
    assert all((share == 1).all() for *_, share in found)


@pytest.mark.parametrize("pooling", ["Mean", "Attention"])
def test_of_a_mean_a_token_is_its_share_on_average(pooling: Pooling) -> None:
    field = SCHEMA.item[1].model_copy(update={"pooling": pooling})
    side = SparseArch([SCHEMA.item[0], field], 2)
    *_, share = occurrences(side, tables().items, torch.tensor([1, 1, 2, 1]))[1]
    # Token 2 is half of each list it is in; token 3 is half of three lists and all of one.
    assert share.tolist()[2:] == [1 / 2, (3 / 2 + 1) / 4, 1, 1]


def embeddings(ranker: Ranker) -> list[Tensor]:
    """Return the tables of users, then those of items."""
    return [table for table, *_ in of_both_sides(ranker, tables(), pairs([1], [1]))]


def pulled(ranker: Ranker, gradients: list[Tensor]) -> list[Tensor]:
    """Return what is added to `gradients` of the tables; λ is 3, item 1 occurs 9 times."""
    used = of_both_sides(ranker, tables(), pairs([1] * 9, [1] * 9))
    for (table, *_), gradient in zip(used, gradients, strict=True):
        table.grad = gradient.clone()
    FrequencyPenalty(used, 3.0).add_gradients()
    return [
        (table.grad - gradient).to_dense()
        for (table, *_), gradient in zip(used, gradients, strict=True)
        if table.grad is not None
    ]


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_the_pull_is_strength_over_the_root_of_the_count_where_there_is_a_gradient(
    ranker: Ranker, sparse: bool
) -> None:
    gradients = [torch.zeros_like(table) for table in embeddings(ranker)]
    gradients[1][2] = 0.5
    given = [g.to_sparse(1) if sparse else g for g in gradients]
    expected = torch.zeros_like(gradients[1])
    expected[2] = ranker.item_sparse.table.weight[2].detach() * 3 / 9**0.5
    users, items, tokens = pulled(ranker, given)
    assert torch.allclose(items, expected, atol=1e-6)
    assert not users.any()
    assert not tokens.any()


def test_what_training_never_meets_is_pulled_as_what_it_meets_once(ranker: Ranker) -> None:
    gradients = [torch.ones_like(table) for table in embeddings(ranker)]
    added = pulled(ranker, gradients)[1]
    assert torch.allclose(added[3], ranker.item_sparse.table.weight[3].detach() * 3, atol=1e-6)
