"""The v1 protocol: `{"instances": [{"image": {"b64": …}, "k": 10}]}` and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from fathom.retrieval.merging import Hit
from fathom.retrieval.queries import DEFAULT_K, MAX_QUERIES, Asked, Known, Query, checked
from fathom.retrieval.retriever import Retriever
from fathom.serving.body import refusal


class Encoded(BaseModel):
    """Bytes in JSON."""

    model_config = ConfigDict(extra="forbid")

    b64: StrictStr = Field(description="The picture's file, base64.")


class Instance(BaseModel):
    """One query: one of image, text and vectors."""

    model_config = ConfigDict(extra="forbid")

    image: Encoded | None = None
    text: StrictStr | None = None
    vectors: dict[StrictStr, list[StrictFloat | StrictInt]] | None = Field(
        default=None, description="By the digest of the model that made them; the new model's is needed."
    )
    k: StrictInt = DEFAULT_K


class Body(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="ignore")

    instances: Annotated[list[Instance], Field(min_length=1, max_length=MAX_QUERIES)]


class Found(BaseModel):
    """The items for one instance, best first."""

    item_ids: list[str]
    scores: list[float]
    models: list[str] = Field(description="Digest of the model that each item was found by.")


class Answer(BaseModel):
    """Answer to a v1 request."""

    model_config = ConfigDict(protected_namespaces=())

    predictions: list[Found]
    model_version: str
    progress: float = Field(description="Share of the items that are searched under the new model.")


def read(body: Any, known: Known) -> list[Query]:
    """Return the queries of a v1 request, parsed as JSON.

    Raises:
        BadRequestError: it is not one.
    """
    try:
        found = Body.model_validate(body)
    except ValidationError as error:
        raise refusal(error) from error
    return [_query(one, known, f"instances[{number}].") for number, one in enumerate(found.instances)]


def answer(found: Sequence[Sequence[Hit]], retriever: Retriever, version: str) -> dict[str, Any]:
    """Return the response body."""
    predictions = [
        {
            "item_ids": [hit.id for hit in hits],
            "scores": [hit.score for hit in hits],
            "models": [retriever.model(hit.space) for hit in hits],
        }
        for hits in found
    ]
    return {"predictions": predictions, "model_version": version, "progress": retriever.progress}


def _query(one: Instance, known: Known, prefix: str) -> Query:
    image = None if one.image is None else one.image.b64
    return checked(Asked(one.k, image, one.text, one.vectors), known, prefix)
