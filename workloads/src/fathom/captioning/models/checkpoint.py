"""Checkpoints: where a model's files are, which content they have, and opening them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch

from fathom import storage
from fathom.captioning.models import small_llava
from fathom.captioning.models.identity import Checkpoint, of_folder, of_snapshot
from fathom.captioning.tuning import versions
from fathom.errors import InvalidInputError
from fathom_api.captioning import CaptionModel

__all__ = ["Checkpoint"]

#: What is fetched from a hub: no pickles, and code only for those who asked for it.
_FILES: Final = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_DTYPES: Final = {"Float32": torch.float32, "BFloat16": torch.bfloat16, "Float16": torch.float16}
#: What transformers raises where a checkpoint is not what it should be, or needs a package that is not there.
_UNUSABLE: Final = (ValueError, KeyError, AttributeError, ImportError, TypeError)


def find(model: CaptionModel) -> Checkpoint:
    """Return the checkpoint of `model`, fetched if need be.

    Raises:
        InvalidInputError: there is none, or it has no safetensors.
        OSError: the hub cannot be reached now; another try may help.
    """
    if model.place == small_llava.URI:
        raise InvalidInputError(
            "NotFineTuned",
            f"{small_llava.URI} has not learned to speak yet: fine-tune it and name the result",
        )
    scheme, _, name = model.place.partition("://")
    return _from_hub(model, name) if scheme == "hf" else _from_folder(model.place)


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
    if name == "Auto":
        return torch.bfloat16 if where.type == "cuda" else torch.float32
    return _DTYPES[name]


def _trust(model: CaptionModel) -> dict[str, bool]:
    return {"trust_remote_code": model.trust_remote_code, "local_files_only": True}


def _unusable(model: CaptionModel, error: Exception) -> InvalidInputError:
    return InvalidInputError("UnusableModel", f"{model.place}: transformers cannot open it: {error}")


def _pad_on_the_left(tokenizer: Any) -> None:
    """Have prompts end together, so that what is generated begins together."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def _from_folder(uri: str) -> Checkpoint:
    path = versions.latest(storage.existing_local(uri))
    if not path.is_dir():
        raise InvalidInputError(
            "NotACheckpoint", f"{uri}: a file; name the folder with config.json and *.safetensors"
        )
    _check(uri, path)
    return of_folder(path)


def _from_hub(model: CaptionModel, name: str) -> Checkpoint:
    from huggingface_hub import errors, snapshot_download

    patterns = [*_FILES, *(["*.py"] if model.trust_remote_code else [])]
    cache = str(storage.resolve(model.cache)) if model.cache else None
    try:
        path = Path(
            snapshot_download(name, revision=model.revision, allow_patterns=patterns, cache_dir=cache)
        )
    except (
        errors.HFValidationError,
        errors.GatedRepoError,
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
    ) as error:
        raise InvalidInputError(
            "ModelNotFound",
            f"{model.place} at {model.revision}: {error}; check the name, and set HF_TOKEN if it is gated",
        ) from error
    _check(model.place, path)
    return of_snapshot(path)


def _check(uri: str, path: Path) -> None:
    if not (path / "config.json").is_file():
        raise InvalidInputError(
            "NotACheckpoint", f"{uri}: no config.json; name a folder in Hugging Face's format"
        )
    if not any(path.glob("*.safetensors")):
        raise InvalidInputError(
            "NoSafetensors",
            f"{uri}: no *.safetensors; pickled weights are not opened, save the model with save_pretrained",
        )
