"""From prompt and picture to a model's input, for any image-text-to-text processor."""

from __future__ import annotations

from typing import Any

import torch
from PIL.Image import Image


def encode(processor: Any, prompt: str, images: list[Image]) -> dict[str, torch.Tensor]:
    """Return the model's input for `prompt` asked about each of `images`; `input_ids` [B, L], left-padded.

    A processor with a chat template gets a conversation, another one the model's image token and the prompt.
    """
    tokenizer = processor.tokenizer
    nested = [[image] for image in images]
    if getattr(processor, "chat_template", None):
        texts = [processor.apply_chat_template(_conversation(prompt), add_generation_prompt=True)] * len(
            images
        )
        # The template writes the first token itself where the model wants one.
        special = not (tokenizer.bos_token and texts[0].startswith(tokenizer.bos_token))
        encoded = processor(
            text=texts, images=nested, return_tensors="pt", padding=True, add_special_tokens=special
        )
    else:
        token = getattr(processor, "image_token", None)
        text = f"{token}\n{prompt}" if token else prompt
        encoded = processor(
            text=[text] * len(images), images=nested if token else images, return_tensors="pt", padding=True
        )
    return dict(encoded)


def with_answers(
    encoded: dict[str, torch.Tensor], answers: list[str], tokenizer: Any, *, seq2seq: bool
) -> dict[str, torch.Tensor]:
    """Return `encoded` with each answer and the end token as labels, and -100 for all else.

    The answer follows the prompt token for token, as it does when the model generates; in an
    encoder-decoder it stands alone.
    """
    ids = [
        [*tokenizer(f" {a.strip()}", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        for a in answers
    ]
    longest = max(map(len, ids))
    labels = torch.tensor([i + [-100] * (longest - len(i)) for i in ids])
    if seq2seq:
        return {**encoded, "labels": labels}
    pad = tokenizer.pad_token_id
    prompt = encoded["input_ids"]
    extended = {k: _extend(v, longest) if v.shape == prompt.shape else v for k, v in encoded.items()}
    extended["input_ids"] = torch.cat([prompt, labels.masked_fill(labels == -100, pad)], dim=1)
    extended["attention_mask"] = torch.cat([encoded["attention_mask"], (labels != -100).long()], dim=1)
    extended["labels"] = torch.cat([torch.full_like(prompt, -100), labels], dim=1)
    return extended


def _extend(per_token: torch.Tensor, length: int) -> torch.Tensor:
    """Append zeros, which for token types means text."""
    return torch.cat([per_token, per_token.new_zeros(len(per_token), length)], dim=1)


def _conversation(prompt: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
