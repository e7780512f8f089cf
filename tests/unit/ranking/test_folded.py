"""Folded rankers give the scores of the rankers they were made of."""

import itertools

import pytest
import torch

from fathom.ranking.architectures import Layout
from fathom.ranking.architectures.base import Architecture
from fathom.ranking.architectures.dcnv2 import DCNv2
from fathom.ranking.architectures.dlrm import DLRM
from fathom.ranking.folded import Sides, Unfolded, Users, fold
from fathom_api.recmodel import RankerModel

TWO_USERS = [7, 3]


def scores(
    interaction: torch.nn.Module, sides: Sides, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    users, items = torch.randn(2, sides.user_width), torch.randn(sum(TWO_USERS), sides.item_width)
    folded = fold(interaction, sides, dtype)
    plain = Unfolded(interaction, sides).logits(Users(users), TWO_USERS, items, items)
    found = folded.logits(folded.users(users), TWO_USERS, items, folded.items(items))
    return found.sigmoid(), plain.sigmoid()


def model(kind: type[DCNv2 | DLRM], sides: Sides, layers: int, hidden: list[int]) -> Architecture:
    torch.manual_seed(0)
    config = RankerModel(embedding_dim=sides.dim, cross_layers=layers, hidden_units=hidden)
    layout = Layout(sides.user_fields, sides.item_fields, sides.user_numbers, sides.item_numbers, sides.dim)
    made = kind(layout, config).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.5 / weight.shape[-1] ** 0.5)
    return made.requires_grad_(False)


SIDES = [
    pytest.param(Sides(3, 2, 4, 1, 2), id="numbers on both sides"),
    pytest.param(Sides(3, 2, 4, 0, 0), id="no numbers"),
    pytest.param(Sides(3, 1, 4, 2, 0), id="an item of its id alone"),
]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize(
    ("kind", "layers", "hidden"),
    [
        *((DCNv2, layers, hidden) for layers, hidden in itertools.product((1, 2, 3, 4), ([8], [8, 4]))),
        (DLRM, 1, [8]),
        (DLRM, 1, [8, 4]),
    ],
)
def test_scores_are_the_same(kind: type[DCNv2 | DLRM], layers: int, hidden: list[int], sides: Sides) -> None:
    torch.testing.assert_close(*scores(model(kind, sides, layers, hidden), sides, torch.float32))


def test_cross_layers_of_low_rank_are_multiplied_out() -> None:
    sides = Sides(40, 30, 16, 1, 2)
    torch.testing.assert_close(*scores(model(DCNv2, sides, 3, [8]), sides, torch.float32), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [DCNv2, DLRM])
def test_half_precision_moves_scores_by_less_than_a_thousandth(kind: type[DCNv2 | DLRM]) -> None:
    sides = Sides(4, 3, 16, 1, 0)
    found, plain = scores(model(kind, sides, 3, [64, 32]), sides, torch.bfloat16)
    assert float((found - plain).abs().max()) < 1e-3 * 2
