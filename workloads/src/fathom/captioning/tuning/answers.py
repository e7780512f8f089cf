"""From a prompt's input to what a model learns from: the answer behind it, and labels."""

from __future__ import annotations

from typing import Any

import torch


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
