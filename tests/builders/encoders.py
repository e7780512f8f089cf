"""Tiny embedding models with random weights, in Hugging Face's format."""

from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from fathom.captioning.models.small_llava import train_tokenizer

_TEXTS = ["a red car", "a dog on the grass", "the blue sky"]
_WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


def save_clip(folder: Path, seed: int = 0) -> Path:
    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config={
            **_WIDTH,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 24,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={**_WIDTH, "image_size": 32, "patch_size": 8},
        projection_dim=20,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def save_vit(folder: Path) -> Path:
    torch.manual_seed(0)
    ViTModel(ViTConfig(**_WIDTH, image_size=32, patch_size=8)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_bert(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    BertModel(BertConfig(**_WIDTH, vocab_size=len(tokenizer), max_position_embeddings=64)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(_TEXTS)
