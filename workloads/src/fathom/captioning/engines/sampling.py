"""Sampling: what else a model might have said, drawn so that an item's words depend on its own seed alone.

Each sample takes one uniform number a token and looks it up in the distribution's cumulative sum (inversion,
Devroye 1986, chapter III.2). The numbers follow from the item's seed, not from a generator that a batch
shares: in any batch, the same item gets the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.cache_utils import DynamicCache

from fathom.captioning.engines.greedy import GREEDY, without_prompt


class Drawn(LogitsProcessor):
    """Leaves of each row's scores only the token that the row's number of this step falls on.

    The first of each item's rows is left alone: with greedy search it becomes the likeliest answer.
    """

    def __init__(self, seeds: Sequence[int], samples: int, limit: int) -> None:
        """Take the seed of each item [B], and how many samples of how many tokens at most there will be."""
        uniform = [np.random.default_rng(seed).random((samples, limit)) for seed in seeds]
        self._numbers = torch.from_numpy(np.stack(uniform))
        self._step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` [B * (1 + samples), V] with all but the drawn tokens at -inf."""
        items, samples, _ = self._numbers.shape
        rows = scores.view(items, 1 + samples, -1)[:, 1:]
        # In single precision the sum over a large vocabulary would be off by whole tokens.
        total = rows.double().softmax(-1).cumsum(-1)
        # The last sum may fall short of 1 by rounding; no number then lies behind it.
        number = self._numbers[:, :, self._step, None].to(scores.device) * total[..., -1:]
        drawn = torch.searchsorted(total, number, right=True).clamp(max=scores.shape[-1] - 1)
        chosen = torch.full_like(rows, -torch.inf).scatter_(-1, drawn, 0.0)
        self._step += 1
        left = scores.clone().view(items, 1 + samples, -1)
        left[:, 1:] = chosen
        return left.view_as(scores)


@torch.inference_mode()
def new_tokens(
    model: Any, inputs: dict[str, Tensor], limit: int, samples: int, seeds: Sequence[int], **speed: Any
) -> Tensor:
    """Return what `model` adds to `inputs` [B, L] as [B, 1 + samples, ≤ limit]: greedily first, then drawn.

    Args:
        model: any of transformers' that generates.
        inputs: of a batch of one group.
        limit: most tokens.
        samples: draws for each item.
        seeds: of each item, [B].
        speed: options that change no token.
    """
    copies = 1 + samples
    asked = _read_once(model, inputs, copies)
    if asked is None:
        asked = {name: _repeated(tensor, len(seeds), copies) for name, tensor in inputs.items()}
    else:
        speed = {name: value for name, value in speed.items() if name != "cache_implementation"}
    drawn = LogitsProcessorList([Drawn(seeds, samples, limit)])
    ids = model.generate(**asked, **GREEDY, **speed, max_new_tokens=limit, logits_processor=drawn)
    new = without_prompt(ids, asked["input_ids"])
    return new.view(len(seeds), copies, new.shape[1])


def _read_once(model: Any, inputs: dict[str, Tensor], copies: int) -> dict[str, Any] | None:
    """Return `inputs` for `copies` of each row, all but the last token of the prompt read already.

    So the pictures, most of a prompt's cost, are looked at once. None where a model keeps what it has read
    in another way than a plain cache of keys and values, or counts positions by what is in the pictures.
    """
    config = model.config.get_text_config()
    inner = getattr(model, "model", None)
    plain = inner is not None and not model.config.is_encoder_decoder and not hasattr(inner, "rope_deltas")
    if not plain or getattr(config, "layer_types", None) or getattr(config, "sliding_window", None):
        return None
    mask = inputs["attention_mask"]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache()
    model(**inputs, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
    cache.crop(-1)
    cache.batch_repeat_interleave(copies)
    ids = inputs["input_ids"].repeat_interleave(copies, 0)
    return {
        "input_ids": ids,
        "attention_mask": mask.repeat_interleave(copies, 0),
        "past_key_values": cache,
    }


def _repeated(tensor: Tensor, rows: int, copies: int) -> Tensor:
    """Return `tensor`, of `rows` rows or several pictures for each, with each row's part `copies` times."""
    parts = tensor.view(rows, -1, *tensor.shape[1:])
    return parts.repeat_interleave(copies, 0).flatten(0, 1)
