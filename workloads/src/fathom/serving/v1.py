"""The v1 protocol: `{"instances": [{"user_id": …, "candidates": […], …}]}` and back."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationError,
)

from fathom.ranking.schema import Schema
from fathom.serving.body import refusal
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
    items: dict[ItemId, dict[str, Any]] | None = None
    k: Annotated[StrictInt, Field(ge=1)] | None = None
    explore: StrictBool = Field(
        default=True, description="Whether some of the k may lead to new interests, where a table says which."
    )
    explored: Annotated[StrictInt, Field(ge=0)] = Field(
        default=0, description="Such items that the user was shown before; they count against maxPerUser."
    )


class Body(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="ignore")

    instances: Annotated[list[Instance], Field(min_length=1, max_length=MAX_INSTANCES)]


def read(body: Any, schema: Schema) -> list[Query]:
    """Return the queries of a v1 request, parsed as JSON.

    Raises:
        BadRequestError: it is not one.
    """
    try:
        parsed = Body.model_validate(body)
    except ValidationError as error:
        raise refusal(error) from error
    queries = [
        checked(
            Asked(
                one.user_id,
                one.history,
                one.features,
                one.candidates,
                one.k,
                one.items,
                one.explore,
                one.explored,
            ),
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


def answer(scored: list[Scored], version: str, request_ids: list[str]) -> dict[str, Any]:
    """Return the response body; `request_ids` are for feedback, none if there is none."""
    predictions: list[dict[str, Any]] = [
        {"item_ids": s.item_ids, "scores": s.scores} | ({"why": s.why} if s.why is not None else {})
        for s in scored
    ]
    for prediction, request_id in zip(predictions, request_ids, strict=False):
        prediction["request_id"] = request_id
    return {"predictions": predictions, "model_version": version}
