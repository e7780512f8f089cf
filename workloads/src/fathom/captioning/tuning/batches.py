"""Batches to learn from: pairs become a model's input with labels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from fathom.captioning.models.prompting import encode, to_device
from fathom.captioning.models.vision import IMAGE_SIZE, EfficientNetLiteModel
from fathom.captioning.tuning.answers import with_answers
from fathom.captioning.tuning.pairs import Pair
from fathom.captioning.tuning.views import Views

Encode = Callable[[Sequence[Pair]], dict[str, torch.Tensor]]
#: Pictures whose vision features are computed at once.
_TOWER_BATCH = 32
_DROPOUT = 0.5


def from_pictures(model: Any, processor: Any, prompt: str, views: Views) -> Encode:
    """Return a function that makes a batch of pairs from their pictures, for any model."""
    seq2seq = bool(model.config.is_encoder_decoder)

    def make(batch: Sequence[Pair]) -> dict[str, torch.Tensor]:
        numbers = views.drawn([pair.medium for pair in batch], training=model.training)
        inputs = encode(processor, prompt, [views[number] for number in numbers])
        labelled = with_answers(inputs, [p.caption for p in batch], processor.tokenizer, seq2seq=seq2seq)
        return to_device(labelled, model)

    return make


def has_frozen_vision(model: Any) -> bool:
    """Return whether `model` is our small LLaVA, whose vision part is not trained."""
    return isinstance(getattr(model.base_model, "vision_tower", None), EfficientNetLiteModel)


def tower_steps(views: Views) -> int:
    """Return how often `remembered_features` will call `tick`."""
    return -(-len(views) // _TOWER_BATCH)


@contextmanager
def remembered_features(
    model: Any, processor: Any, prompt: str, views: Views, tick: Callable[[], None]
) -> Generator[Encode]:
    """Run the frozen vision part once over all views of pictures; yield what makes batches from what it saw.

    Within the block the model's vision part only passes on features [B, tokens, width] given as its pixels.
    """
    tower = model.model.vision_tower
    uncalibrated = bool((tower.deviation == 1).all())
    model.model.vision_tower = _PassOn()
    try:
        with tempfile.TemporaryFile() as file:
            features = _features(tower.eval(), processor, views, file, tick)
            if uncalibrated:
                _calibrate(tower, features)
            blank = encode(processor, prompt, [Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE))])
            question = {k: blank[k] for k in ("input_ids", "attention_mask")}

            def make(batch: Sequence[Pair]) -> dict[str, torch.Tensor]:
                seen = features[views.drawn([pair.medium for pair in batch], training=model.training)]
                inputs = {k: v.expand(len(batch), -1) for k, v in question.items()}
                inputs["pixel_values"] = torch.from_numpy(seen).float()
                labelled = with_answers(
                    inputs, [p.caption for p in batch], processor.tokenizer, seq2seq=False
                )
                return to_device(labelled, model)

            yield make
    finally:
        model.model.vision_tower = tower


class _PassOn(nn.Module):
    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutput:
        # Without it, a decoder learns a few thousand pictures by heart instead of what they have in common.
        tokens = nn.functional.dropout(pixel_values, _DROPOUT, self.training)
        return BaseModelOutput(last_hidden_state=tokens, hidden_states=(tokens,))


@torch.inference_mode()
def _features(
    tower: Any, processor: Any, views: Views, file: Any, tick: Callable[[], None]
) -> np.ndarray[Any, Any]:
    """Return the features of all views [views, tokens, width], half precision, in `file`."""
    shape = (len(views), tower.config.grid**2, tower.config.hidden_size)
    features = np.memmap(file, dtype=np.float16, mode="w+", shape=shape)
    for start in range(0, len(views), _TOWER_BATCH):
        images = [views[n] for n in range(start, min(start + _TOWER_BATCH, len(views)))]
        pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"].to(tower.device)
        features[start : start + len(images)] = tower(pixels).last_hidden_state.half().cpu().numpy()
        tick()
    return features


def _calibrate(tower: Any, features: np.ndarray[Any, Any]) -> None:
    """Standardise `features` in place, and let `tower` do the same from now on."""
    width = features.shape[-1]
    total, squares, count = np.zeros(width), np.zeros(width), 0
    for start in range(0, len(features), _TOWER_BATCH):
        tokens = features[start : start + _TOWER_BATCH].reshape(-1, width).astype(np.float64)
        total, squares, count = total + tokens.sum(0), squares + (tokens**2).sum(0), count + len(tokens)
    mean = total / count
    tower.calibrate(
        torch.from_numpy(mean), torch.from_numpy(np.sqrt(np.maximum(squares / count - mean**2, 0)))
    )
    shift, scale = tower.mean.cpu().numpy(), tower.deviation.cpu().numpy()
    for start in range(0, len(features), _TOWER_BATCH):
        features[start : start + _TOWER_BATCH] = (features[start : start + _TOWER_BATCH] - shift) / scale
