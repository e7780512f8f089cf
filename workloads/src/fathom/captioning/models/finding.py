"""Where a model's files are, and which content they have; needs neither torch nor transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fathom import storage
from fathom.captioning.models.identity import Checkpoint, of_folder, of_snapshot
from fathom.captioning.tuning import versions
from fathom.errors import InvalidInputError
from fathom_api.captioning import CaptionModel

#: The small LLaVA before anybody has taught it.
SMALL_LLAVA: Final = "fathom://small-llava"
#: What is fetched from a hub: no pickles, and code only for those who asked for it.
_FILES: Final = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")


def find(model: CaptionModel) -> Checkpoint:
    """Return the checkpoint of `model`, fetched if need be.

    Raises:
        InvalidInputError: there is none, or it has no safetensors.
        OSError: the hub cannot be reached now; another try may help.
    """
    if model.place == SMALL_LLAVA:
        raise InvalidInputError(
            "NotFineTuned",
            f"{SMALL_LLAVA} has not learned to speak yet: fine-tune it and name the result",
        )
    scheme, _, name = model.place.partition("://")
    return _from_hub(model, name) if scheme == "hf" else _from_folder(model.place)


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
