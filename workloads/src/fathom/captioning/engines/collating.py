"""From inputs of one question each to one of a batch.

Inputs of equal shape are put together as they are. Where prompts hold texts of different lengths, each is
padded to a length that follows from its own, never from its neighbours': the same question is computed in
the same way in any batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch.nn import functional

Inputs = dict[str, torch.Tensor]


def padded_length(length: int) -> int:
    """Return the length to pad `length` tokens to: eight steps an octave, so 7% on average."""
    step = max(1, 1 << max(0, length.bit_length() - 4))
    return -(-length // step) * step


def group_of(inputs: Inputs, *, pad: bool) -> tuple[int, Hashable]:
    """Return what `inputs`, of one question, have in common with all others of their batch.

    That is the length of the prompt, padded if it may be, and the shapes of everything else.
    """
    length = inputs["input_ids"].shape[1]
    shapes = tuple(
        (name, str(tensor.dtype), tuple(tensor.shape[2:] if _per_token(tensor, length) else tensor.shape[1:]))
        for name, tensor in sorted(inputs.items())
    )
    return padded_length(length) if pad else length, shapes


class Buffers:
    """Memory for one batch's inputs, used again for the next: fresh pages cost more than what is copied."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def cat(self, name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return `tensors` in a row; what was returned for `name` before is overwritten."""
        like = tensors[0]
        size = sum(tensor.numel() for tensor in tensors)
        kept = self._kept.get((name, like.dtype))
        if kept is None or kept.numel() < size:
            kept = self._kept[name, like.dtype] = torch.empty(size, dtype=like.dtype)
        shape = (sum(tensor.shape[0] for tensor in tensors), *like.shape[1:])
        return torch.cat(list(tensors), out=kept[:size].view(shape))


def collate(parts: Sequence[Inputs], pad_token: int, length: int, buffers: Buffers) -> Inputs:
    """Return the inputs of a batch, in `buffers`: tokens [B, `length`], padded on the left."""
    padded = [_pad(part, length, pad_token) for part in parts]
    return {name: buffers.cat(name, [part[name] for part in padded]) for name in padded[0]}


def may_pad(config: Any) -> bool:
    """Return whether models of `config` count positions from where the prompt begins, not the padding.

    Encoder-decoders and models without positions of their own, BLIP for one, would see another prompt.
    """
    from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING as MODELS

    if config.is_encoder_decoder or type(config) not in MODELS:
        return False
    architecture: Any = MODELS[type(config)]
    return "position_ids" in inspect.signature(architecture.forward).parameters


def _pad(part: Inputs, length: int, pad_token: int) -> Inputs:
    own = part["input_ids"].shape[1]
    if own == length:
        return part
    return {
        name: _pad_left(tensor, length - own, pad_token if name == "input_ids" else 0)
        if _per_token(tensor, own)
        else tensor
        for name, tensor in part.items()
    }


def _per_token(tensor: torch.Tensor, length: int) -> bool:
    return tensor.ndim >= 2 and tensor.shape[:2] == (1, length) and not tensor.is_floating_point()


def _pad_left(tensor: torch.Tensor, by: int, value: int) -> torch.Tensor:
    return functional.pad(tensor, (0, 0) * (tensor.ndim - 2) + (by, 0), value=value)
