"""Sampling: what else a model might have said, drawn so that an item's words depend on its own seed alone.

Each sample is decoded from one number in [0, 1) as arithmetic coding does it (Vilnis et al. 2023,
https://arxiv.org/abs/2210.15458): a token is where the number falls in the distribution's cumulative sum, and
its place within that token's interval is the number of the next step. A sample is as likely as the model has
it, whatever the others are; but the numbers of an item lie in a stratum each, so that the share of samples
that hold a word is nearer to its probability than that of as many independent ones. They follow from the
item's seed, not from a generator that a batch shares: in any batch, the same item gets the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.cache_utils import DynamicCache

from fathom.captioning.engines.greedy import GREEDY, without_prompt

#: What a number has told, as a probability, after which another, independent one takes its place: a double
#: holds 53 bits, and the last of them are rounding.
_SPENT: Final = 2.0**-30
_BELOW_ONE: Final = 1 - 2.0**-53


class Drawn(LogitsProcessor):
    """Leaves of each row's scores only the token that the row's number falls on.

    The first of each item's rows is left alone: with greedy search it becomes the likeliest answer.
    """

    def __init__(self, seeds: Sequence[int], samples: int, limit: int) -> None:
        """Take the seed of each item [B], and how many samples of how many tokens at most there will be."""
        drawn = [_numbers(np.random.default_rng(seed), samples, limit) for seed in seeds]
        self._fresh = torch.from_numpy(np.stack([fresh for fresh, _ in drawn]))
        self._number = torch.from_numpy(np.stack([first for _, first in drawn]))
        self._told = torch.ones_like(self._number)
        self._step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` [B * (1 + samples), V] with all but the drawn tokens at -inf."""
        items, samples, _ = self._fresh.shape
        rows = scores.view(items, 1 + samples, -1)[:, 1:]
        # In single precision the sum over a large vocabulary would be off by whole tokens.
        total = rows.double().softmax(-1).cumsum(-1)
        # The last sum may fall short of 1 by rounding; no number then lies behind it.
        number = self._number[..., None].to(scores.device) * total[..., -1:]
        drawn = torch.searchsorted(total, number, right=True).clamp(max=scores.shape[-1] - 1)
        self._go_on(total, number, drawn)
        chosen = torch.full_like(rows, -torch.inf).scatter_(-1, drawn, 0.0)
        left = scores.clone().view(items, 1 + samples, -1)
        left[:, 1:] = chosen
        return left.view_as(scores)

    def _go_on(self, total: Tensor, number: Tensor, drawn: Tensor) -> None:
        """Make each number its place [B, samples] in the interval of the token `drawn` [B, samples, 1]."""
        below = total.gather(-1, (drawn - 1).clamp(min=0)).masked_fill(drawn == 0, 0.0)
        width = total.gather(-1, drawn) - below
        place = ((number - below) / width).squeeze(-1).cpu()
        self._told = self._told * width.squeeze(-1).cpu()
        self._step += 1
        if self._step == self._fresh.shape[-1]:
            return
        spent = self._told < _SPENT
        self._number = torch.where(spent, self._fresh[..., self._step], place).clamp(0.0, _BELOW_ONE)
        self._told = self._told.masked_fill(spent, 1.0)


def _numbers(
    generator: np.random.Generator, samples: int, limit: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return numbers [samples, limit], independent ones, and [samples], of which each stratum has one."""
    fresh = generator.random((samples, limit))
    return fresh, (generator.permutation(samples) + fresh[:, 0]) / samples


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
