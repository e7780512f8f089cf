"""Checkpoints: where a model's files are, which content they have, and opening them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from fathom import manifest, storage
from fathom.captioning import small_llava, versions
from fathom.errors import InvalidInputError
from fathom_api.captioning import CaptionModel

#: What is fetched from a hub: no pickles, and code only for those who asked for it.
_FILES: Final = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_DTYPES: Final = {"Float32": torch.float32, "BFloat16": torch.bfloat16, "Float16": torch.float16}


@dataclass(frozen=True)
class Checkpoint:
    """A folder in Hugging Face's format, and the digest of its files (and of its commit, from a hub)."""

    path: Path
    digest: str


def find(model: CaptionModel) -> Checkpoint:
    """Return the checkpoint of `model`, fetched if need be.

    Raises:
        InvalidInputError: there is none, or it has no safetensors.
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
    from transformers import AutoModelForImageTextToText, AutoProcessor

    trust = {"trust_remote_code": model.trust_remote_code, "local_files_only": True}
    try:
        processor = AutoProcessor.from_pretrained(checkpoint.path, **trust)
        opened: Any = AutoModelForImageTextToText.from_pretrained(
            checkpoint.path, dtype=_dtype(model.dtype, device), use_safetensors=True, **trust
        )
    except (ValueError, KeyError, AttributeError, ImportError) as error:
        raise InvalidInputError(
            "UnusableModel", f"{model.place}: transformers cannot open it: {error}"
        ) from error
    _pad_on_the_left(processor.tokenizer)
    return opened.to(device), processor


def _pad_on_the_left(tokenizer: Any) -> None:
    """Have prompts end together, so that what is generated begins together."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _dtype(name: str, where: torch.device) -> torch.dtype:
    if name == "Auto":
        return torch.bfloat16 if where.type == "cuda" else torch.float32
    return _DTYPES[name]


def _from_folder(uri: str) -> Checkpoint:
    path = versions.latest(storage.existing_local(uri))
    if not path.is_dir():
        raise InvalidInputError(
            "NotACheckpoint", f"{uri}: a file; name the folder with config.json and *.safetensors"
        )
    _check(uri, path)
    if manifest.read(path) is not None:
        return Checkpoint(path, manifest.verify(path).digest)
    return Checkpoint(path, storage.digest_files(path, _files(path)))


def _from_hub(model: CaptionModel, name: str) -> Checkpoint:
    from huggingface_hub import errors, snapshot_download

    patterns = [*_FILES, *(["*.py"] if model.trust_remote_code else [])]
    try:
        path = Path(snapshot_download(name, revision=model.revision, allow_patterns=patterns))
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
    # A snapshot's folder is named after the commit it was resolved to.
    text = f"{path.name}\n{storage.digest_files(path, _files(path))}"
    return Checkpoint(path, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def _files(path: Path) -> list[Path]:
    return [
        p
        for p in path.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(path).parts)
    ]


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
