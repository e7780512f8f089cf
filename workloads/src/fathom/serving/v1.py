"""The v1 protocol: `{"instances": [{"user_id": …, "candidates": […], …}]}` and back."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, StringConstraints, ValidationError

from fathom.ranking.schema import Schema
from fathom.serving.errors import BadRequestError
from fathom.serving.query import MAX_CANDIDATES, Asked, Query, checked
from fathom.serving.scoring import Scored

MAX_INSTANCES: Final = 256

ItemId = Annotated[str, StringConstraints(strict=True, max_length=512)]


class Instance(BaseModel):
    """One user and the items to score for them."""

    model_config = ConfigDict(extra="forbid")

    user_id: Annotated[StrictStr, Field(max_length=512)] | None = None
    history: list[ItemId] | None = None
    features: dict[str, Any] | None = None
    candidates: list[ItemId] | None = None
    k: Annotated[StrictInt, Field(ge=1)] | None = None


class Body(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="ignore")

    instances: Annotated[list[Instance], Field(min_length=1, max_length=MAX_INSTANCES)]


def read(body: Any, schema: Schema) -> list[Query]:
    """Return the queries of a v1 request; bytes are taken for JSON.

    Raises:
        BadRequestError: it is not one.
    """
    try:
        parsed = Body.model_validate(_json(body) if isinstance(body, bytes) else body)
    except ValidationError as error:
        raise _refusal(error) from error
    queries = [
        checked(
            Asked(one.user_id, one.history, one.features, one.candidates, one.k),
            schema,
            f"instances[{number}].",
        )
        for number, one in enumerate(parsed.instances)
    ]
    if (total := sum(len(q.request.candidates or ()) for q in queries)) > MAX_CANDIDATES:
        raise BadRequestError(
            "instances",
            "TooMany",
            f"{total} candidates in all, at most {MAX_CANDIDATES} are taken; split the request",
        )
    return queries


def answer(scored: list[Scored], version: str) -> dict[str, Any]:
    """Return the response body."""
    predictions = [{"item_ids": s.item_ids, "scores": s.scores.tolist()} for s in scored]
    return {"predictions": predictions, "model_version": version}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise BadRequestError("body", "InvalidJson", f"not JSON: {error}") from error


def _refusal(error: ValidationError) -> BadRequestError:
    first = error.errors(include_url=False)[0]
    return BadRequestError(path(first["loc"]) or "body", "WrongType", f"{first['msg']}")


def path(location: tuple[int | str, ...]) -> str:
    """Return where in a body something is: ("instances", 0, "k") → `instances[0].k`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".")
