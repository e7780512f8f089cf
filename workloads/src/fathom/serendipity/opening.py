"""Opening planners: a checkpoint in Hugging Face's format, and how it was taught to be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from fathom.captioning.models import checkpoint
from fathom.errors import InvalidInputError
from fathom.serendipity import small_planner
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.planner import LanguagePlanner
from fathom.serendipity.planning import Decoding, Pair
from fathom.serendipity.prompts import Style
from fathom_api.captioning import CaptionModel
from fathom_api.meta import StatusModel

#: Beside a taught planner's weights: how it was taught to be asked, and how the teaching went.
ABOUT: Final = "planner.json"
_UNUSABLE: Final = (ValueError, KeyError, AttributeError, ImportError, TypeError, OSError)
_STYLE: Final = TypeAdapter(Style)


class About(StatusModel):
    """What is known of a taught planner."""

    style: dict[str, Any] = Field(description="How it was taught to be asked.")
    curve: list[dict[str, Any]] = Field(description="Losses by epoch.")


def open_planner(
    model: CaptionModel,
    clusters: Clusters,
    *,
    style: Style | None = None,
    decoding: Decoding | None = None,
    recent: Mapping[Pair, str] | None = None,
) -> LanguagePlanner:
    """Return the planner at `model`, asked as it was taught to be, or in `style` if it was not taught by us.

    Raises:
        InvalidInputError: it cannot be opened as a language model.
    """
    found = checkpoint.find(model)
    about = read_about(found.path)
    taught = _STYLE.validate_python(about.style) if about else None
    opened, tokenizer = open_language_model(model)
    return LanguagePlanner(
        opened,
        tokenizer,
        found.digest,
        clusters,
        style=taught or style,
        decoding=decoding,
        recent=recent,
    )


def open_language_model(model: CaptionModel, *, for_teaching: bool = False) -> tuple[Any, Any]:
    """Return the causal or image-text-to-text model at `model`, and its tokenizer.

    Weights that are all taught are opened in full precision.

    Raises:
        InvalidInputError: transformers cannot open it as either.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    if model.place == small_planner.URI:
        raise InvalidInputError(
            "NotTrained", f"{small_planner.URI} has not learned anything yet: teach it and name the result"
        )
    found, where = checkpoint.find(model), checkpoint.device()
    trust = {"trust_remote_code": model.trust_remote_code, "local_files_only": True}
    try:
        config = AutoConfig.from_pretrained(found.path, **trust)
        seeing = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        kind: Any = AutoModelForImageTextToText if seeing else AutoModelForCausalLM
        dtype = checkpoint.dtype("Float32" if for_teaching else model.dtype, where)
        opened = kind.from_pretrained(
            found.path,
            dtype=dtype,
            device_map="auto" if model.spread else {"": where},
            use_safetensors=True,
            **trust,
        )
        tokenizer: Any = AutoTokenizer.from_pretrained(found.path, **trust)
    except _UNUSABLE as error:
        raise InvalidInputError(
            "UnusableModel", f"{model.place}: transformers cannot open it as a language model: {error}"
        ) from error
    if tokenizer.eos_token_id is None:
        raise InvalidInputError(
            "UnusableModel", f"{model.place}: its tokenizer has no token that ends an answer"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return opened.eval(), tokenizer


def describe(folder: Path, style: Style, curve: list[dict[str, Any]]) -> None:
    """Write how a planner in `folder` was taught."""
    told = About(style=_STYLE.dump_python(style), curve=curve)
    (folder / ABOUT).write_text(told.model_dump_json(by_alias=True, indent=1))


def read_about(folder: Path) -> About | None:
    """Return how the planner in `folder` was taught, None if not by us.

    Raises:
        InvalidInputError: the file that says so cannot be understood.
    """
    path = folder / ABOUT
    if not path.is_file():
        return None
    try:
        return About.model_validate(json.loads(path.read_bytes()))
    except (ValueError, ValidationError) as error:
        raise InvalidInputError("Damaged", f"{path}: {error}; teach the planner again") from error
