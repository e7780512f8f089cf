"""The v2 protocol: tensors `user_id`, `item_id`, `history` and the user's features in; `score` out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from fathom.ranking.schema import ID, Schema
from fathom.serving.errors import BadRequestError
from fathom.serving.query import Asked, Query, checked, is_unicode
from fathom.serving.scoring import Scored
from fathom.serving.tensors import InferRequest, Tensor

USER: Final = "user_id"
ITEMS: Final = "item_id"
HISTORY: Final = "history"
SCORE: Final = "score"
_IDS: Final = frozenset({USER, ITEMS, HISTORY})
_NUMBERS: Final = frozenset(
    {"FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"}
)


def read(tensors: Sequence[Tensor], schema: Schema) -> Query:
    """Return the query of a v2 request.

    Raises:
        BadRequestError: a tensor is missing, is there twice, is unknown, or holds what it must not.
    """
    given: dict[str, list[Any]] = {}
    for tensor in tensors:
        if tensor.name in given:
            raise BadRequestError(f"inputs.{tensor.name}", "Duplicate", "given twice")
        given[tensor.name] = _values(tensor)
    if ITEMS not in given:
        raise BadRequestError(
            f"inputs.{ITEMS}", "Missing", f"give the items to score: {ITEMS}, BYTES, shape [N]"
        )
    user = given.get(USER)
    if user is not None and len(user) != 1:
        raise BadRequestError(
            f"inputs.{USER}", "WrongShape", f"{len(user)} values; one request is for one user"
        )
    several = {f.name for f in schema.user if f.type in {"CategoricalList", "Tokens"}}
    features = {
        name: values if name in several else _single(name, values)
        for name, values in given.items()
        if name not in _IDS
    }
    asked = Asked(user[0] if user else None, given.get(HISTORY), features, given[ITEMS], None)
    try:
        return checked(asked, schema)
    except BadRequestError as error:
        # Here features and candidates are tensors of their own.
        field = error.field.removeprefix("features.").replace("candidates", ITEMS)
        message = str(error).partition(": ")[2]
        raise BadRequestError(f"inputs.{field}", error.reason, message) from error


def check_outputs(names: Sequence[str]) -> None:
    """Check the outputs asked for.

    Raises:
        BadRequestError: there is no such output.
    """
    for name in names:
        if name != SCORE:
            raise BadRequestError(f"outputs.{name}", "UnknownOutput", f"there is one output, {SCORE}")


def answer(
    asked: InferRequest, scored: Scored, model: str, version: str, request_ids: list[str]
) -> dict[str, Any]:
    """Return the response body, or of a binary one the JSON that its bytes come after."""
    output: dict[str, Any] = {"name": SCORE, "datatype": "FP32", "shape": [len(scored.scores)]}
    if asked.binary:
        output["parameters"] = {"binary_data_size": 4 * len(scored.scores)}
    else:
        output["data"] = scored.scores
    return {
        "model_name": model,
        "model_version": version,
        "id": asked.id,
        **({"parameters": {"request_id": request_ids[0]}} if request_ids else {}),
        "outputs": [output],
    }


def inputs(schema: Schema) -> list[dict[str, Any]]:
    """Return the tensors taken, as model metadata."""
    ids = [
        {"name": name, "datatype": "BYTES", "shape": [1 if name == USER else -1]}
        for name in (USER, ITEMS, HISTORY)
    ]
    return ids + [
        {
            "name": f.name,
            "datatype": "FP32" if f.type == "Numeric" else "BYTES",
            "shape": [1 if f.type in {"Numeric", "Categorical"} else -1],
        }
        for f in schema.user
        if f.name != ID
    ]


def outputs() -> list[dict[str, Any]]:
    """Return the tensors given back, as model metadata."""
    return [{"name": SCORE, "datatype": "FP32", "shape": [-1]}]


def _single(name: str, values: list[Any]) -> Any:
    if len(values) != 1:
        raise BadRequestError(f"inputs.{name}", "WrongShape", f"{len(values)} values; this feature has one")
    return values[0]


def _values(tensor: Tensor) -> list[Any]:
    field = f"inputs.{tensor.name}"
    if tensor.datatype != "BYTES" and (tensor.name in _IDS or tensor.datatype not in _NUMBERS):
        raise BadRequestError(
            field, "WrongType", f"datatype {tensor.datatype}; send strings as BYTES, numbers as FP32"
        )
    values = _flat(tensor.data)
    if any(size < 0 for size in tensor.shape) or math.prod(tensor.shape) != len(values):
        raise BadRequestError(
            field, "WrongShape", f"{len(values)} values do not make shape {list(tensor.shape)}"
        )
    wanted = frozenset((str,)) if tensor.datatype == "BYTES" else frozenset((int, float))
    if not wanted >= set(map(type, values)):
        odd = next(value for value in values if type(value) not in wanted)
        raise BadRequestError(field, "WrongType", f"holds {odd!r}, which is no value of {tensor.datatype}")
    if tensor.datatype == "BYTES" and not is_unicode("".join(values)):
        raise BadRequestError(field, "WrongType", "holds text that is not Unicode")
    return values


def _flat(data: Any) -> list[Any]:
    """Return the values of a list, which may be nested as its shape is."""
    values: list[Any] = data
    while list in set(map(type, values)):
        values = [inner for value in values for inner in (value if isinstance(value, list) else [value])]
    return values
