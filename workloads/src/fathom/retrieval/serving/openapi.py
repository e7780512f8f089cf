"""The retriever's OpenAPI document, made from the models that read requests."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from fathom.retrieval.serving import v1, v2
from fathom.serving import tensors

_REF: Final = "#/components/schemas/{model}"


def document(name: str, version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of one retriever."""
    _, definitions = models_json_schema(
        [(m, "validation") for m in (v1.Body, v1.Answer, tensors.Request)], ref_template=_REF
    )
    taken = ", ".join(f"{one['name']} {one['datatype']} {one['shape']}" for one in v2.inputs())
    found = f"Inputs: {taken}. Outputs: {', '.join(v2.OUTPUTS)}."
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Fathom retriever {name}", "version": version},
        "paths": {
            f"/v1/models/{name}:predict": {"post": _post("Find items (v1 protocol).", "Body", "Answer")},
            f"/v2/models/{name}/infer": {
                "post": _post(f"Find items (v2 protocol). {found}", "Request", None)
            },
        },
        "components": {"schemas": definitions["$defs"]},
    }


def _post(summary: str, body: str, answer: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {"description": "The items, best first."}
    if answer is not None:
        given["content"] = _json(answer)
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _json(body)},
        "responses": {
            "200": given,
            "400": {"description": "The request is wrong: `error`, `field` and `reason` say what and where."},
            "413": {"description": "The body is too long."},
            "503": {"description": "The retriever does not answer, or too much is being read."},
        },
    }


def _json(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model)}}}
