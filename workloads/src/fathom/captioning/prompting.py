"""From prompt and picture to a model's input, for any image-text-to-text processor."""

from __future__ import annotations

from typing import Any

import torch
from PIL.Image import Image


def encode(processor: Any, prompt: str, images: list[Image]) -> dict[str, torch.Tensor]:
    """Return the model's input for `prompt` asked about each of `images`; `input_ids` [B, L], left-padded.

    A processor with a chat template gets a conversation, another one the model's image token and the prompt.
    """
    if getattr(processor, "chat_template", None):
        text = processor.apply_chat_template(_conversation(prompt), add_generation_prompt=True)
        # The template writes the first token itself where the model wants one.
        first = processor.tokenizer.bos_token
        return _process(
            processor, text, [[i] for i in images], add_special_tokens=not (first and text.startswith(first))
        )
    if _writes_image_tokens(processor, prompt, images[0]):
        return _process(processor, prompt, images)
    return _process(processor, f"{processor.image_token}\n{prompt}", [[i] for i in images])


def _process(processor: Any, text: str, images: list[Any], **options: bool) -> dict[str, torch.Tensor]:
    return dict(
        processor(text=[text] * len(images), images=images, return_tensors="pt", padding=True, **options)
    )


def _writes_image_tokens(processor: Any, prompt: str, image: Image) -> bool:
    """Return whether `processor` needs no image token in the text: it adds them, or its model has none."""
    token = getattr(processor, "image_token", None)
    if token is None:
        return True
    try:
        ids = processor(text=[prompt], images=[image], return_tensors="pt")["input_ids"]
    except ValueError:
        # It counts image tokens and pictures, and finds that they differ.
        return False
    return bool((ids == processor.tokenizer.convert_tokens_to_ids(str(token))).any())


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
