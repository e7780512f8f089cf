"""Embedding models in Hugging Face's format."""

from __future__ import annotations

from typing import Any, Final

import torch
from PIL import Image
from torch.nn import functional

from fathom.captioning.models.finding import find
from fathom.errors import InvalidInputError
from fathom.retrieval.encoders import Takes, does_not_take
from fathom.retrieval.parts import Floats
from fathom_api.captioning import CaptionModel

_LOCAL: Final = {"trust_remote_code": False, "local_files_only": True}
#: What transformers raises where a checkpoint is not what it should be, or lacks a file.
_UNUSABLE: Final = (OSError, ValueError, KeyError, AttributeError, ImportError, TypeError)
_MOST_TOKENS: Final = 512
_TOKENIZERS: Final = ("tokenizer.json", "vocab.*", "*.model", "merges.txt")


def opened(uri: str) -> PretrainedEncoder:
    """Return the model at `uri`, fetched from a hub if need be.

    Raises:
        InvalidInputError: there is none, it has no safetensors, or it embeds neither pictures nor texts.
        OSError: the hub cannot be reached now; another try may help.
    """
    return PretrainedEncoder(uri)


class PretrainedEncoder:
    """A model whose towers embed pictures, texts, or both into one space."""

    def __init__(self, uri: str) -> None:
        from transformers import AutoModel
        from transformers.utils import logging

        found = find(CaptionModel(uri=uri) if "://" in uri else CaptionModel.model_construct(uri=uri))
        self.digest, self._uri, self._path = found.digest, uri, found.path
        # A bar that is redrawn is a thousand lines in a pod's log.
        logging.disable_progress_bar()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model: Any = AutoModel.from_pretrained(found.path, use_safetensors=True, **_LOCAL)
        except _UNUSABLE as error:
            raise self._unusable(f"transformers cannot open it: {str(error).splitlines()[0]}") from error
        self._model = model.to(self._device).eval()
        self._images, self._words = self._processors()
        takes: set[Takes] = set()
        if self._images is not None:
            takes.add("image")
        if self._words is not None:
            takes.add("text")
        self.takes: frozenset[Takes] = frozenset(takes)
        if not self.takes:
            raise self._unusable("it has neither a processor of pictures nor a tokenizer beside it")
        self.dim = self._width()

    def pictures(self, pictures: list[Image.Image]) -> Floats:
        """Return a vector for each picture.

        Raises:
            InvalidInputError: it embeds no pictures.
        """
        if self._images is None:
            raise does_not_take(self._uri, "image")
        inputs = self._images(images=[p.convert("RGB") for p in pictures], return_tensors="pt")
        with torch.inference_mode():
            pixels = inputs["pixel_values"].to(self._device)
            if hasattr(self._model, "get_image_features"):
                return _unit(_pooled(self._model.get_image_features(pixel_values=pixels), None))
            return _unit(_pooled(self._model(pixel_values=pixels), None))

    def texts(self, texts: list[str]) -> Floats:
        """Return a vector for each text, of which the model reads as much as it can.

        Raises:
            InvalidInputError: it embeds no texts.
        """
        if self._words is None:
            raise does_not_take(self._uri, "text")
        inputs = self._words(
            texts, padding=True, truncation=True, max_length=self._most_tokens(), return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            if hasattr(self._model, "get_text_features"):
                mask = inputs.get("attention_mask")
                found = self._model.get_text_features(input_ids=inputs["input_ids"], attention_mask=mask)
                return _unit(_pooled(found, None))
            return _unit(_pooled(self._model(**inputs), inputs["attention_mask"]))

    def _processors(self) -> tuple[Any, Any]:
        """Return what prepares pictures and what prepares texts, None where the model takes none."""
        from transformers import AutoImageProcessor, AutoTokenizer

        both = hasattr(self._model, "get_image_features") and hasattr(self._model, "get_text_features")
        sees = both or self._model.main_input_name == "pixel_values"
        try:
            images = AutoImageProcessor.from_pretrained(self._path, backend="pil", **_LOCAL) if sees else None
            reads = both or not sees
            words: Any = AutoTokenizer.from_pretrained(self._path, **_LOCAL) if reads else None
        except _UNUSABLE as error:
            raise self._unusable(
                f"a file is missing beside the weights: {str(error).splitlines()[0]}"
            ) from error
        if words is not None:
            # Without its files transformers makes up an empty one, which reads every text as nothing.
            if not any(len(list(self._path.glob(name))) for name in _TOKENIZERS):
                raise self._unusable("its tokenizer is missing beside the weights")
            # Captioners pad on the left; here positions must not depend on how long the others are.
            words.padding_side = "right"
        return images, words

    def _width(self) -> int:
        if self._images is not None:
            return self.pictures([Image.new("RGB", (64, 64))]).shape[1]
        return self.texts(["a"]).shape[1]

    def _most_tokens(self) -> int:
        config = getattr(self._model.config, "text_config", self._model.config)
        limit = getattr(config, "max_position_embeddings", _MOST_TOKENS)
        return min(self._words.model_max_length, limit, _MOST_TOKENS)

    def _unusable(self, why: str) -> InvalidInputError:
        return InvalidInputError("UnusableEncoder", f"{self._uri}: {why}; name an embedding model")


def _pooled(found: Any, mask: Any) -> torch.Tensor:
    """Return one vector for each input: the model's own, or the mean of its last hidden states.

    Texts are averaged over their tokens, as sentence encoders are trained to be.
    """
    if isinstance(found, torch.Tensor):
        return found
    if mask is not None:
        weights = mask.unsqueeze(-1)
        return (found.last_hidden_state * weights).sum(1) / weights.sum(1).clamp(min=1)
    pooled = getattr(found, "pooler_output", None)
    return found.last_hidden_state.mean(1) if pooled is None else pooled


def _unit(vectors: torch.Tensor) -> Floats:
    return functional.normalize(vectors.float().flatten(1), dim=1).cpu().numpy()
