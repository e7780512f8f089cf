"""A captioner: any image-text-to-text model asked one prompt about pictures, decoded greedily."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any, Final

import torch
from PIL.Image import Image

from fathom.captioning import checkpoint
from fathom.captioning.prompting import encode
from fathom_api.captioning import CaptionModel

#: Part of every caption's key: a change of how text is decoded makes other captions.
_DECODING: Final = "greedy-1"


@dataclass(frozen=True)
class Caption:
    """What the model said, its length in tokens, and the time it took (its share of the batch's)."""

    text: str
    tokens: int
    milliseconds: float


class Captioner:
    """Says what `prompt` asks for of each picture; the same picture gets the same words each time."""

    def __init__(self, model: Any, processor: Any, *, prompt: str, max_new_tokens: int) -> None:
        self._model = model.eval()
        if model.generation_config.pad_token_id is None:
            model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
        self._processor = processor
        self._prompt = prompt
        self._max_new_tokens = max_new_tokens

    def caption(self, images: list[Image]) -> list[Caption]:
        """Return the caption of each of `images`, RGB pictures of any size.

        Raises:
            ValueError: the model's processor refuses a picture (its shape, say).
            torch.OutOfMemoryError: the batch is too large for the GPU.
        """
        start = time.perf_counter()
        inputs = to_device(encode(self._processor, self._prompt, images), self._model)
        new = self._generate(inputs)
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        each = (time.perf_counter() - start) * 1000 / len(images)
        special = set(self._processor.tokenizer.all_special_ids)
        lengths = [sum(token not in special for token in row) for row in new.tolist()]
        return [Caption(" ".join(t.split()), n, each) for t, n in zip(texts, lengths, strict=True)]

    @torch.inference_mode()
    def _generate(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the new tokens [B, ≤ max_new_tokens]."""
        # Sampling parameters that a checkpoint brings mean nothing here; unset, they do not warn.
        greedy = {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}
        ids = self._model.generate(**inputs, **greedy, max_new_tokens=self._max_new_tokens)
        return _without_prompt(ids, inputs["input_ids"])


def _without_prompt(ids: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
    """Return what follows `prompt` in `ids`: decoders repeat it, encoder-decoders and others do not."""
    # BLIP takes the end token off the prompt that it repeats.
    for length in (prompt.shape[1], prompt.shape[1] - 1):
        if ids.shape[1] >= length and torch.equal(ids[:, :length], prompt[:, :length]):
            return ids[:, length:]
    return ids


def to_device(inputs: dict[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """Return `inputs` where `model` is, pictures in its number format."""
    return {
        k: v.to(model.device, model.dtype) if v.is_floating_point() else v.to(model.device)
        for k, v in inputs.items()
    }


def load(model: CaptionModel) -> tuple[Captioner, checkpoint.Checkpoint]:
    """Return the captioner that `model` asks for, and the checkpoint it was made from."""
    found = checkpoint.find(model)
    opened, processor = checkpoint.open_model(found, model, checkpoint.device())
    return Captioner(
        opened, processor, prompt=model.questions()[0].prompt, max_new_tokens=model.max_new_tokens
    ), found


@dataclass(frozen=True)
class Keys:
    """Makes a caption's key: the same picture, prompt, model and decoding give the same key."""

    model_digest: str
    prompt_digest: str
    decoding: str

    @classmethod
    def of(cls, model: CaptionModel, model_digest: str) -> Keys:
        """Return the keys of captions that `model`, whose files have `model_digest`, writes."""
        decoding = json.dumps(
            {"decoding": _DECODING, "maxNewTokens": model.max_new_tokens, "dtype": model.dtype}
        )
        return cls(model_digest, _digest(model.questions()[0].prompt), decoding)

    def key(self, media_sha256: str) -> str:
        """Return the key of the caption of the media with this digest."""
        return _digest("\n".join((media_sha256, self.prompt_digest, self.model_digest, self.decoding)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
