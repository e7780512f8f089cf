from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fathom.captioning.models.vision import CHANNELS, STYLED, EfficientNetLiteConfig, EfficientNetLiteModel


def pictures(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def styled() -> EfficientNetLiteModel:
    torch.manual_seed(0)
    return EfficientNetLiteModel(EfficientNetLiteConfig(style=True, hidden_size=STYLED)).eval()


@torch.inference_mode()
def test_a_token_is_what_is_seen_at_its_place_and_the_style_of_the_whole(
    styled: EfficientNetLiteModel,
) -> None:
    maps: list[Tensor] = []
    ends = [styled.net._blocks[number] for number in (0, 2, 4, 7, 10, 14)]
    hooks = [block.register_forward_hook(lambda _, __, out: maps.append(out)) for block in ends]
    tokens = styled(pictures()).last_hidden_state
    for hook in hooks:
        hook.remove()
    seen = functional.adaptive_avg_pool2d(styled.net.extract_features(pictures()), 2)
    style = [part for m in maps for part in (m.mean(dim=(2, 3)), m.std(dim=(2, 3), correction=0))]
    assert tokens.shape == (2, 4, STYLED)
    # From the top left, row by row.
    for place, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        torch.testing.assert_close(tokens[:, place, :CHANNELS], seen[:, :, row, column])
        torch.testing.assert_close(tokens[:, place, CHANNELS:], torch.cat(style, dim=1))


@torch.inference_mode()
def test_checkpoints_from_before_style_see_as_they_did(styled: EfficientNetLiteModel) -> None:
    plain = EfficientNetLiteModel(EfficientNetLiteConfig()).eval()
    plain.net.load_state_dict(styled.net.state_dict())
    tokens = plain(pictures()).last_hidden_state
    assert tokens.shape == (2, 4, CHANNELS)
    torch.testing.assert_close(tokens, styled(pictures()).last_hidden_state[..., :CHANNELS])


@torch.inference_mode()
def test_calibrated_tokens_are_standardised_channel_by_channel(styled: EfficientNetLiteModel) -> None:
    model = EfficientNetLiteModel(styled.config).eval()
    model.load_state_dict(styled.state_dict())
    before = model(pictures(3)).last_hidden_state.flatten(0, 1)
    model.calibrate(before.mean(dim=0), before.std(dim=0))
    after = model(pictures(3)).last_hidden_state.flatten(0, 1)
    torch.testing.assert_close(after.mean(dim=0), torch.zeros(STYLED), atol=1e-4, rtol=0)
    assert after.std(dim=0).max() <= 1 + 1e-4


@torch.inference_mode()
def test_style_outlives_saving(styled: EfficientNetLiteModel, tmp_path: Path) -> None:
    styled.save_pretrained(tmp_path)
    opened = EfficientNetLiteModel.from_pretrained(tmp_path).eval()
    assert opened.config.style
    torch.testing.assert_close(opened(pictures()).last_hidden_state, styled(pictures()).last_hidden_state)
