"""The architectures are their papers' equations, here computed by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.ranking.architectures import Architecture, Layout, make
from fathom.ranking.architectures.deepfm import pairwise
from fathom.ranking.architectures.din import DIN, LocalActivation
from fathom.ranking.architectures.finalmlp import BilinearFusion, FeatureGate
from fathom.ranking.architectures.two_tower import TwoTower
from fathom.ranking.layers import CrossLayer, ExpertMixture
from fathom_api.recmodel import RankerModel

LAYOUT = Layout(user=2, item=3, user_numbers=1, item_numbers=2, dim=4)


def architecture(name: str, **config: Any) -> Architecture:
    torch.manual_seed(0)
    return make(LAYOUT, RankerModel.model_validate({"architecture": name, "hiddenUnits": [8, 6], **config}))


def inputs(rows: int = 5, liked: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return the vectors of users (their history of `liked` items behind), of items, and numbers."""
    torch.manual_seed(1)
    user = torch.randn(rows, LAYOUT.user + liked * LAYOUT.item, LAYOUT.dim)
    return user, torch.randn(rows, LAYOUT.item, LAYOUT.dim), torch.randn(rows, LAYOUT.numbers)


class TestCrossLayers:
    def test_one_of_low_rank_is_u_v_transposed(self) -> None:
        layer, first, x = CrossLayer(6, rank=2), torch.randn(3, 6), torch.randn(3, 6)
        v, u = (layer.transform.get_parameter(f"{n}.weight") for n in (0, 1))
        bias = layer.transform.get_parameter("1.bias")
        assert torch.allclose(layer(first, x), first * (x @ v.T @ u.T + bias) + x, atol=1e-6)

    def test_a_mixture_is_the_sum_of_its_experts_by_the_gate(self) -> None:
        torch.manual_seed(0)
        layer, first, x = CrossLayer(6, rank=2, experts=3), torch.randn(4, 6), torch.randn(4, 6)
        mixture = layer.transform
        assert isinstance(mixture, ExpertMixture)
        expected = x.clone()
        gate = torch.softmax(x @ mixture.gate.weight.T + mixture.gate.bias, dim=1)
        for i in range(3):
            inner = torch.tanh(torch.tanh(x @ mixture.down[i].T) @ mixture.core[i].T)
            expert = first * (inner @ mixture.up[i].T + mixture.bias)
            expected = expected + gate[:, i : i + 1] * expert
        assert torch.allclose(layer(first, x), expected, atol=1e-5)


class TestDeepFM:
    def test_the_second_order_is_the_sum_of_all_pairs_dots(self) -> None:
        vectors = torch.tensor([[[1.0, 0], [2, 1], [3, 1]]])
        assert pairwise(vectors).tolist() == [[2 + 3 + 7]]

    def test_a_number_is_its_value_times_its_own_embedding(self) -> None:
        model, (user, item, numbers) = architecture("DeepFM"), inputs()
        of_numbers = numbers[:, :, None] * model.get_parameter("number")
        expected = pairwise(torch.cat([user, item, of_numbers], dim=1))
        assert torch.allclose(model.represent(user, item, numbers)[:, :1], expected, atol=1e-5)

    def test_the_logit_is_second_order_plus_first_order_plus_deep(self) -> None:
        model, given = architecture("DeepFM"), inputs()
        shared = model.represent(*given)
        weight, bias = model.get_parameter("over.weight"), model.get_parameter("over.bias")
        expected = shared[:, 0] + (shared[:, 1:] @ weight.T + bias).squeeze(1)
        assert torch.allclose(model(*given), expected, atol=1e-6)


class TestFinalMLP:
    @pytest.mark.parametrize("heads", [1, 2, 3])
    def test_fusion_is_bilinear_in_each_piece(self, heads: int) -> None:
        torch.manual_seed(0)
        fusion, first, second = BilinearFusion(6, heads), torch.randn(4, 6), torch.randn(4, 6)
        piece = 6 // heads
        w = fusion.linear.weight[0]
        expected = first @ w[:6] + second @ w[6:] + fusion.bias
        for j in range(heads):
            at = slice(j * piece, (j + 1) * piece)
            expected = expected + ((first[:, at] @ fusion.weight[j]) * second[:, at]).sum(dim=1)
        assert torch.allclose(fusion(torch.cat([first, second], dim=1)).squeeze(1), expected, atol=1e-5)

    def test_a_gate_lets_through_between_nothing_and_twice(self) -> None:
        gates = FeatureGate(3, 5)(torch.randn(100, 3) * 100)
        assert 0 <= gates.min() < 1 < gates.max() <= 2

    def test_each_stream_is_gated_by_its_own_side(self) -> None:
        model, (user, item, numbers) = architecture("FinalMLP"), inputs()
        with torch.no_grad():
            # Shut, a gate shuts its stream off from everything, so the streams' other side cannot matter.
            model.get_parameter("user_gate.layers.2.bias").fill_(-1e4)
        first, second = model.represent(user, item, numbers).chunk(2, dim=1)
        other_first, other_second = model.represent(user, item + 1, numbers).chunk(2, dim=1)
        assert torch.equal(first, other_first)
        assert not torch.allclose(second, other_second)


class TestDIN:
    def test_interest_is_the_history_weighted_by_an_mlp_of_item_and_candidate(self) -> None:
        torch.manual_seed(0)
        unit, candidate, history = LocalActivation(3), torch.randn(2, 3), torch.randn(2, 4, 3)
        expected = torch.zeros(2, 3)
        for n in range(2):
            for h in range(4):
                liked, c = history[n, h], candidate[n]
                expected[n] += unit.layers(torch.cat([liked, c, liked - c, liked * c])) * liked
        assert torch.allclose(unit(candidate, history), expected, atol=1e-5)

    def test_places_without_an_item_add_nothing(self) -> None:
        model, (user, item, numbers) = architecture("DIN"), inputs(liked=2)
        longer = torch.cat([user, torch.zeros(5, 3 * LAYOUT.item, LAYOUT.dim)], dim=1)
        assert torch.allclose(model(user, item, numbers), model(longer, item, numbers), atol=1e-6)

    def test_no_history_is_no_interest(self) -> None:
        model = architecture("DIN")
        assert isinstance(model, DIN)
        assert model(*inputs()).isfinite().all()
        assert not model.attention(torch.randn(2, 12), torch.zeros(2, 0, 12)).any()


class TestTwoTower:
    def test_the_logit_is_the_dot_of_the_vectors_and_a_constant(self) -> None:
        model = architecture("TwoTower")
        assert isinstance(model, TwoTower)
        user, item, numbers = inputs()
        of_users = model.user_vector(user, numbers[:, :1])
        of_items = model.item_vector(item, numbers[:, 1:])
        assert of_items.shape == (5, 6)
        expected = (of_users * of_items).sum(dim=1) + model.over.get_parameter("bias")
        assert torch.allclose(model(user, item, numbers), expected, atol=1e-6)
