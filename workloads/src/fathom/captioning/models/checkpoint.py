"""Opening checkpoints."""

from __future__ import annotations

from typing import Any, Final

import torch

from fathom.captioning.engines.recipe import dtype_name
from fathom.captioning.models import vision
from fathom.captioning.models.finding import find
from fathom.captioning.models.identity import Checkpoint
from fathom.errors import InvalidInputError
from fathom_api.captioning import CaptionModel

# `vision` tells transformers of the small LLaVA's vision tower.
__all__ = ["Checkpoint", "find", "vision"]

#: What transformers raises where a checkpoint is not what it should be, or needs a package that is not there.
_UNUSABLE: Final = (ValueError, KeyError, AttributeError, ImportError, TypeError)


def open_model(checkpoint: Checkpoint, model: CaptionModel, device: torch.device) -> tuple[Any, Any]:
    """Return the model, in the number format asked for, and the processor of `checkpoint`.

    Raises:
        InvalidInputError: transformers cannot open it as an image-text-to-text model.
    """
    processor = open_processor(checkpoint, model)
    return open_weights(checkpoint, model, device), processor


def open_processor(checkpoint: Checkpoint, model: CaptionModel) -> Any:
    """Return the processor of `checkpoint`, which pads prompts on the left.

    Raises:
        InvalidInputError: transformers cannot open it.
    """
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(checkpoint.path, **_trust(model))
    except _UNUSABLE as error:
        raise _unusable(model, error) from error
    if not hasattr(processor, "tokenizer"):
        raise InvalidInputError(
            "UnusableModel",
            f"{model.place}: its processor has no tokenizer; it is no image-text-to-text model",
        )
    _pad_on_the_left(processor.tokenizer)
    return processor


def open_weights(checkpoint: Checkpoint, model: CaptionModel, where: torch.device) -> Any:
    """Return the model of `checkpoint` on `where`, or on all GPUs if it is to be spread.

    A quantised checkpoint opens as its own config says.

    Raises:
        InvalidInputError: transformers cannot open it as an image-text-to-text model.
    """
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    # A bar that is redrawn is a thousand lines in a pod's log.
    logging.disable_progress_bar()
    try:
        return AutoModelForImageTextToText.from_pretrained(
            checkpoint.path,
            dtype=dtype(model.dtype, where),
            device_map="auto" if model.spread else {"": where},
            use_safetensors=True,
            **_trust(model),
        )
    except _UNUSABLE as error:
        raise _unusable(model, error) from error


def config(checkpoint: Checkpoint, model: CaptionModel) -> Any:
    """Return the configuration of `checkpoint`.

    Raises:
        InvalidInputError: transformers does not know such a model.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(checkpoint.path, **_trust(model))
    except _UNUSABLE as error:
        raise _unusable(model, error) from error


def device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype(name: str, where: torch.device) -> torch.dtype:
    """Return the number format `name` stands for on `where`."""
    return getattr(torch, dtype_name(name, gpu=where.type == "cuda"))


def _trust(model: CaptionModel) -> dict[str, bool]:
    return {"trust_remote_code": model.trust_remote_code, "local_files_only": True}


def _unusable(model: CaptionModel, error: Exception) -> InvalidInputError:
    return InvalidInputError("UnusableModel", f"{model.place}: transformers cannot open it: {error}")


def _pad_on_the_left(tokenizer: Any) -> None:
    """Have prompts end together, so that what is generated begins together."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
