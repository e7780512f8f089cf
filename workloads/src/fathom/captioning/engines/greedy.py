"""Greedy decoding: the likeliest token each time, so that the same question gets the same answer."""

from __future__ import annotations

from typing import Any, Final

import torch

#: Sampling parameters that a checkpoint brings mean nothing here; unset, they do not warn.
GREEDY: Final = {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}


@torch.inference_mode()
def new_tokens(model: Any, inputs: dict[str, torch.Tensor], limit: int, **speed: Any) -> torch.Tensor:
    """Return what `model` adds to `inputs` [B, L]: [B, ≤ limit]; `speed` are options that change no token."""
    ids = model.generate(**inputs, **GREEDY, **speed, max_new_tokens=limit)
    return without_prompt(ids, inputs["input_ids"])


def without_prompt(ids: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
    """Return what follows `prompt` in `ids`: decoders repeat it, encoder-decoders and others do not."""
    # BLIP takes the end token off the prompt that it repeats.
    for length in (prompt.shape[1], prompt.shape[1] - 1):
        if ids.shape[1] >= length and torch.equal(ids[:, :length], prompt[:, :length]):
            return ids[:, length:]
    return ids
