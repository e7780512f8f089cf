"""First embeddings are as large as training has evidence for."""

import torch

from fathom.ranking.batches import Pairs, Tables
from fathom.ranking.initialisation import shrink_rare
from fathom.ranking.layers import ColumnTensors
from fathom.ranking.model import Ranker
from fathom.ranking.occurrences import of_both_sides
from fathom.ranking.schema import FIRST, FeatureField, Schema
from fathom_api.recmodel import RankerModel


def test_the_rare_begin_nearer_to_zero_than_the_frequent_and_what_is_never_met_at_zero() -> None:
    ids = torch.arange(FIRST, FIRST + 3).unsqueeze(1)
    side = [FeatureField(name="@id", type="Categorical", size=FIRST + 3)]
    ranker = Ranker(Schema(user=side, item=side), RankerModel())
    tables = Tables(*(ColumnTensors(ids, [], torch.zeros(3, 0)) for _ in range(2)), torch.zeros(0).long())
    user = torch.tensor([0] * 5000 + [1])
    pairs = Pairs(user, user, *(torch.zeros_like(user) for _ in range(2)), torch.zeros(len(user)))
    before = ranker.item_sparse.table.weight.detach().clone()
    shrink_rare(of_both_sides(ranker, tables, pairs))
    share = ranker.item_sparse.table.weight[FIRST:] / before[FIRST:]
    assert torch.allclose(share.mean(dim=1), torch.tensor([5000 / 5050, 1 / 51, 0.0]))
