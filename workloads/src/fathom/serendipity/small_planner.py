"""The small planner: a language model of ours for machines that reach no model hub, taught in minutes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fathom.captioning.models.small_llava import train_tokenizer
from fathom.serendipity import prompts
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.prompts import MARK, Style
from fathom_api.interests import SMALL_PLANNER

#: How it is asked for.
URI: Final = SMALL_PLANNER


def build(clusters: Clusters, style: Style, seed: int) -> tuple[LlamaForCausalLM, Any]:
    """Return the model, untrained, and a tokenizer of what will be said about `clusters`."""
    tokenizer = train_tokenizer(_texts(clusters, style))
    torch.manual_seed(seed)
    special: Any = tokenizer
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=344,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            attention_dropout=0.1,
            pad_token_id=special.pad_token_id,
            bos_token_id=special.bos_token_id,
            eos_token_id=special.eos_token_id,
        )
    )
    generation: Any = model.generation_config
    generation.pad_token_id, generation.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    return model, tokenizer


def _texts(clusters: Clusters, style: Style) -> Iterable[str]:
    finest = clusters.finest
    for place, cluster in enumerate(finest):
        other = finest[(place + 1) % len(finest)]
        yield prompts.question(style, cluster, other)
        yield f"{prompts.reasoning(style, cluster, other)}{MARK} {cluster.name}"
