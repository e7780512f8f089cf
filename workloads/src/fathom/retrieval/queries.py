"""One query, checked: a picture, a text, or vectors with the models that made them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from fathom.captioning.media.pictures import picture
from fathom.captioning.media.unusable import UnusableMediaError
from fathom.retrieval.encoders import Takes
from fathom.retrieval.parts import Floats, Space
from fathom.serving.errors import BadRequestError

DEFAULT_K: Final = 10
MAX_K: Final = 1_000
#: Of one request.
MAX_QUERIES: Final = 256
MAX_TEXT: Final = 10_000


@dataclass(frozen=True)
class Known:
    """What queries can be about: the spaces, and what the encoder takes (nothing, where there is none)."""

    old: Space
    new: Space
    takes: frozenset[Takes]
    needs_old: bool = False


@dataclass(frozen=True)
class Query:
    """What to look for: one of `image`, `text` and `new`.

    Attributes:
        k: how many items to return.
        new, old: the query by each model, unit or not, float32 [dim]; `old` only if it came with the query.
    """

    k: int
    image: Image.Image | None = None
    text: str | None = None
    new: Floats | None = None
    old: Floats | None = None


@dataclass(frozen=True)
class Asked:
    """A query as it came, its types right, its meaning unchecked; `vectors` by the digest of their model."""

    k: int = DEFAULT_K
    image: str | None = None
    text: str | None = None
    vectors: Mapping[str, Sequence[float]] | None = None


def checked(asked: Asked, known: Known, prefix: str = "") -> Query:
    """Return `asked` as a query; `prefix` (`instances[0].`) is put before the names of its fields.

    Raises:
        BadRequestError: it cannot be answered as it is.
    """
    given = [name for name in ("image", "text", "vectors") if getattr(asked, name) is not None]
    if len(given) != 1:
        raise BadRequestError(
            f"{prefix}{given[1] if given else 'image'}",
            "SeveralQueries" if given else "NoQuery",
            f"give one of image, text and vectors, not {' and '.join(given) or 'none'}",
        )
    if not 1 <= asked.k <= MAX_K:
        raise BadRequestError(f"{prefix}k", "OutOfRange", f"{asked.k} items; ask for 1 to {MAX_K}")
    if asked.image is not None:
        _check_takes("image", known, prefix)
        return Query(asked.k, image=_decoded(asked.image, f"{prefix}image"))
    if asked.text is not None:
        _check_takes("text", known, prefix)
        return Query(asked.k, text=_text(asked.text, f"{prefix}text"))
    return _by_vectors(asked.vectors or {}, known, asked.k, f"{prefix}vectors")


def _check_takes(kind: Takes, known: Known, prefix: str) -> None:
    if kind not in known.takes:
        can = " or ".join(sorted(known.takes)) or "none: it has no encoder"
        raise BadRequestError(f"{prefix}{kind}", "NotTaken", f"this retriever embeds {can}; send vectors")


def _decoded(encoded: str, field: str) -> Image.Image:
    try:
        return picture(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(field, "InvalidBase64", f"not base64: {error}") from error
    except UnusableMediaError as error:
        raise BadRequestError(field, error.reason, str(error)) from error


def _text(text: str, field: str) -> str:
    if not text.strip():
        raise BadRequestError(field, "Empty", "empty; say what to look for")
    if len(text) > MAX_TEXT:
        raise BadRequestError(field, "TooMany", f"{len(text)} letters, at most {MAX_TEXT} are taken")
    return text


def _by_vectors(vectors: Mapping[str, Sequence[float]], known: Known, k: int, field: str) -> Query:
    for model in vectors:
        if model not in (known.old.model, known.new.model):
            raise BadRequestError(
                f"{field}.{model}",
                "UnknownModel",
                f"nothing here is by this model: the gallery's are {known.new.model} (new) and "
                f"{known.old.model} (old), and vectors of other models cannot be compared with theirs",
            )
    for space, needed in ((known.new, True), (known.old, known.needs_old)):
        if needed and space.model not in vectors:
            raise BadRequestError(
                field, "ModelMissing", f"embed the query with model {space.model} and send that vector too"
            )
    found = {model: _vector(values, known, model, f"{field}.{model}") for model, values in vectors.items()}
    return Query(k, new=found[known.new.model], old=found.get(known.old.model))


def _vector(values: Sequence[float], known: Known, model: str, field: str) -> Floats:
    dim = (known.new if model == known.new.model else known.old).dim
    if len(values) != dim:
        raise BadRequestError(field, "WrongShape", f"{len(values)} components; this model's have {dim}")
    try:
        with np.errstate(over="ignore"):
            found = np.asarray(values, np.float64).astype(np.float32)
    except OverflowError:  # JSON's whole numbers have no end.
        found = np.full(1, np.inf, np.float32)
    length = float(np.linalg.norm(found.astype(np.float64)))
    if not np.isfinite(found).all():
        raise BadRequestError(field, "NotFinite", "holds NaN, infinity or a number too large for float32")
    if length == 0:
        raise BadRequestError(field, "NoDirection", "all zeros; it is as near to any item as to any other")
    return found
