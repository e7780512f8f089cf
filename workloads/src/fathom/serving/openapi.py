"""The server's OpenAPI document, made from the models that read requests."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from fathom.ranking.schema import Schema
from fathom.serving import feedback, tensors, v1, v2
from fathom.serving.edge import VERSION_HEADER

_REF: Final = "#/components/schemas/{model}"


class Reason(BaseModel):
    """Why an item leads the user to a new interest."""

    reason: str = Field(description="In words: because you liked A and B → C.")
    interest: str = Field(description="The interest that the user is led to.")
    because: list[str] = Field(description="The user's own interests that lead there.")


class Prediction(BaseModel):
    """Items ranked for one instance."""

    item_ids: list[str]
    scores: list[float]
    why: list[Reason | None] | None = Field(
        default=None,
        description="Of each item why it is there, null of what the ranker put there itself; not there where "
        "nothing leads this user on.",
    )
    request_id: str = Field(default="", description="For /v1/feedback, where outcomes are taken.")


class Predictions(BaseModel):
    """Answer to a v1 request."""

    predictions: list[Prediction]
    model_version: str


class ScoreTensor(BaseModel):
    """P(label = 1) of each item, in the order asked."""

    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class InferResponse(BaseModel):
    """Answer to a v2 request."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, str] = Field(default_factory=dict)
    outputs: list[ScoreTensor]


class Refusal(BaseModel):
    """What was wrong with a request."""

    error: str
    field: str
    reason: str


class Problem(BaseModel):
    """Why there is no answer."""

    error: str | None


def document(name: str, version: str, schema: Schema, takes_feedback: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the server of one model."""
    models = [v1.Body, tensors.Request, feedback.Body, Predictions, InferResponse, feedback.Counts]
    refusals = [Refusal, Problem]
    _, definitions = models_json_schema([(m, "validation") for m in [*models, *refusals]], ref_template=_REF)
    infer = _post("Rank items for one user (v2 protocol).", "Request", "InferResponse")
    infer["responses"]["200"]["content"]["application/octet-stream"] = {"schema": {"type": "string"}}
    infer["description"] = f"Inputs: {_inputs(schema)}. Output: {v2.SCORE} FP32 [N]."
    paths: dict[str, Any] = {
        f"/v1/models/{name}:predict": {
            "post": _post("Rank items for users (v1 protocol).", _name(v1.Body), "Predictions")
        },
        f"/v2/models/{name}/infer": {"post": infer},
        f"/v2/models/{name}/versions/{version}/infer": {"post": infer},
        **{path: {"get": _get(about)} for path, about in _gets(name).items()},
    }
    if takes_feedback:
        taking = _post("Tell what became of items that were ranked.", _name(feedback.Body), "Counts")
        paths[feedback.PATH] = {"post": taking}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Fathom ranker {name}", "version": version},
        "paths": paths,
        "components": {"schemas": definitions["$defs"]},
    }


def _name(model: type[BaseModel]) -> str:
    """Return the name pydantic gives a model among several of the same class name."""
    return f"{model.__module__}.{model.__name__}".replace(".", "__")


def _gets(name: str) -> dict[str, str]:
    return {
        f"/v1/models/{name}": "Whether the model answers (v1).",
        f"/v2/models/{name}": "Names and types of the tensors.",
        f"/v2/models/{name}/ready": "Whether the model answers.",
        "/v2": "The server's name and version.",
        "/v2/health/live": "Whether the process is alive.",
        "/v2/health/ready": "Whether every model answers.",
    }


def _inputs(schema: Schema) -> str:
    return ", ".join(f"{i['name']} {i['datatype']} {i['shape']}" for i in v2.inputs(schema))


def _post(summary: str, body: str, answer: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _json(body)},
        "responses": {
            "200": _response("The answer.", answer),
            "400": _response("The request is wrong; `field` says where.", "Refusal"),
            "413": _response("The body is too long.", "Problem"),
            "503": _response("The model does not answer, or too much is being read.", "Problem"),
        },
    }


def _get(summary: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    headers = _headers()
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "Yes, or what was asked.", "headers": headers, "content": content},
            "503": _response("The model does not answer.", "Problem"),
        },
    }


def _response(description: str, model: str) -> dict[str, Any]:
    return {"description": description, "headers": _headers(), "content": _json(model)}


def _headers() -> dict[str, Any]:
    return {VERSION_HEADER: {"schema": {"type": "string"}, "description": "Version of the model."}}


def _json(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model)}}}
