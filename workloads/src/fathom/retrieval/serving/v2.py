"""The v2 protocol: `image`, `text`, or `vector` with `model`, and `k` in; `item_id`, `score`, `model` out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.retrieval.merging import Hit
from fathom.retrieval.queries import DEFAULT_K, MAX_QUERIES, Asked, Known, Query, checked
from fathom.retrieval.retriever import Retriever
from fathom.serving.errors import BadRequestError
from fathom.serving.query import is_unicode
from fathom.serving.tensors import InferRequest, Tensor

IMAGE, TEXT, VECTOR, MODEL, K = "image", "text", "vector", "model", "k"
OLD_VECTOR, OLD_MODEL = "old_vector", "old_model"
ITEM, SCORE = "item_id", "score"
OUTPUTS: Final = (ITEM, SCORE, MODEL)
_STRINGS: Final = frozenset({IMAGE, TEXT, MODEL, OLD_MODEL})
_NUMBERS: Final = {VECTOR: ("FP32", "FP64"), OLD_VECTOR: ("FP32", "FP64"), K: ("INT32", "INT64")}
#: Where fewer items are found than another query of the request has: no similarity is so low.
PADDING_ID, PADDING_SCORE = "", -2.0


def read(asked: InferRequest, known: Known) -> list[Query]:
    """Return the queries of a v2 request.

    Raises:
        BadRequestError: a tensor is missing, is there twice, is unknown, or holds what it must not.
    """
    if not is_unicode(asked.id):
        raise BadRequestError("id", "WrongType", "holds text that is not Unicode")
    for name in asked.outputs:
        if name not in OUTPUTS:
            raise BadRequestError(f"outputs.{name}", "UnknownOutput", f"there are {', '.join(OUTPUTS)}")
    given: dict[str, list[Any]] = {}
    for tensor in asked.tensors:
        if tensor.name in given:
            raise BadRequestError(f"inputs.{tensor.name}", "Duplicate", "given twice")
        given[tensor.name] = _rows(tensor)
    k = _one(given, K, DEFAULT_K)
    given = given | _by_model(given, VECTOR, MODEL) | _by_model(given, OLD_VECTOR, OLD_MODEL)
    lengths = {name: len(given[name]) for name in (IMAGE, TEXT, VECTOR, OLD_VECTOR) if name in given}
    count = max(lengths.values(), default=1)
    for name, length in lengths.items():
        if length != count or not length:
            raise BadRequestError(f"inputs.{name}", "WrongShape", f"{length} queries, others have {count}")
    if count > MAX_QUERIES:
        raise BadRequestError(
            "inputs", "TooMany", f"{count} queries, at most {MAX_QUERIES}; split the request"
        )
    return [_query(given, row, k, known) for row in range(count)]


def answer(
    asked: InferRequest, found: Sequence[Sequence[Hit]], retriever: Retriever, name: str, version: str
) -> tuple[dict[str, Any], bytes]:
    """Return the response body, or of a binary one the JSON and the bytes that come after it."""
    width = max(map(len, found))
    ids = [[hit.id for hit in hits] + [PADDING_ID] * (width - len(hits)) for hits in found]
    models = [[retriever.model(h.space) for h in hits] + [PADDING_ID] * (width - len(hits)) for hits in found]
    scores = np.full((len(found), width), PADDING_SCORE, np.float32)
    for row, hits in enumerate(found):
        scores[row, : len(hits)] = [hit.score for hit in hits]
    columns: dict[str, tuple[str, Any]] = {
        ITEM: ("BYTES", [one for row in ids for one in row]),
        SCORE: ("FP32", scores.ravel()),
        MODEL: ("BYTES", [one for row in models for one in row]),
    }
    outputs: list[dict[str, Any]] = []
    rest = b""
    for output in asked.outputs or OUTPUTS:
        kind, values = columns[output]
        about: dict[str, Any] = {"name": output, "datatype": kind, "shape": [len(found), width]}
        if asked.binary:
            packed = _packed(values)
            about["parameters"] = {"binary_data_size": len(packed)}
            rest += packed
        else:
            about["data"] = values
        outputs.append(about)
    parameters = {"progress": retriever.progress}
    head = {"model_name": name, "model_version": version, "id": asked.id, "parameters": parameters}
    return {**head, "outputs": outputs}, rest


def inputs() -> list[dict[str, Any]]:
    """Return the tensors taken, as model metadata."""
    kinds = {IMAGE: "BYTES", TEXT: "BYTES", VECTOR: "FP32", MODEL: "BYTES", OLD_VECTOR: "FP32"}
    shapes = {VECTOR: [-1, -1], OLD_VECTOR: [-1, -1], MODEL: [1], OLD_MODEL: [1], K: [1]}
    kinds |= {OLD_MODEL: "BYTES", K: "INT64"}
    return [{"name": n, "datatype": kind, "shape": shapes.get(n, [-1])} for n, kind in kinds.items()]


def outputs() -> list[dict[str, Any]]:
    """Return the tensors given back, as model metadata."""
    return [{"name": n, "datatype": "FP32" if n == SCORE else "BYTES", "shape": [-1, -1]} for n in OUTPUTS]


def _query(given: dict[str, list[Any]], row: int, k: int, known: Known) -> Query:
    pairs = ((VECTOR, MODEL), (OLD_VECTOR, OLD_MODEL))
    vectors = {given[model][0]: given[vector][row] for vector, model in pairs if vector in given}
    image = given[IMAGE][row] if IMAGE in given else None
    text = given[TEXT][row] if TEXT in given else None
    try:
        return checked(Asked(k, image, text, vectors or None), known)
    except BadRequestError as error:
        names = {given[model][0]: vector for vector, model in pairs if vector in given}
        place, _, digest = error.field.partition(".")
        field = names.get(digest, VECTOR) if place == "vectors" else place
        if error.reason == "UnknownModel":
            field = MODEL if field == VECTOR else OLD_MODEL
        raise BadRequestError(f"inputs.{field}", error.reason, str(error).partition(": ")[2]) from error


def _by_model(given: dict[str, list[Any]], vector: str, model: str) -> dict[str, list[Any]]:
    """Check that vectors come with their model's digest."""
    if vector not in given:
        return {}
    return {model: [_one(given, model, None, f"the digest of the model that made {vector}")]}


def _one(given: dict[str, list[Any]], name: str, default: Any, what: str = "one value") -> Any:
    values = given.get(name)
    if values is None and default is not None:
        return default
    if values is None or len(values) != 1:
        count = "missing" if values is None else f"{len(values)} values"
        raise BadRequestError(
            f"inputs.{name}", "WrongShape" if values else "Missing", f"{count}; give {what}"
        )
    return values[0]


def _rows(tensor: Tensor) -> list[Any]:
    """Return the values of a tensor; of vectors, its rows."""
    field = f"inputs.{tensor.name}"
    wanted = ("BYTES",) if tensor.name in _STRINGS else _NUMBERS.get(tensor.name)
    if wanted is None:
        known = ", ".join(one["name"] for one in inputs())
        raise BadRequestError(field, "UnknownInput", f"there is no such input; there are {known}")
    if tensor.datatype not in wanted:
        raise BadRequestError(field, "WrongType", f"datatype {tensor.datatype}; send {wanted[0]}")
    values = _flat(tensor.data)
    if any(size < 0 for size in tensor.shape) or math.prod(tensor.shape) != len(values):
        raise BadRequestError(field, "WrongShape", f"{len(values)} values do not make {list(tensor.shape)}")
    types = {str} if wanted == ("BYTES",) else {int} if tensor.name == K else {int, float}
    if not types >= set(map(type, values)):
        raise BadRequestError(field, "WrongType", f"holds what is no value of {tensor.datatype}")
    if wanted == ("BYTES",) and not is_unicode("".join(values)):
        raise BadRequestError(field, "WrongType", "holds text that is not Unicode")
    if tensor.name not in (VECTOR, OLD_VECTOR):
        return values
    width = tensor.shape[-1] if tensor.shape else 0
    if not width:
        raise BadRequestError(field, "WrongShape", "give [queries, components] or [components]")
    return [values[start : start + width] for start in range(0, len(values), width)]


def _flat(data: Any) -> list[Any]:
    values: list[Any] = data
    while list in set(map(type, values)):
        values = [inner for value in values for inner in (value if isinstance(value, list) else [value])]
    return values


def _packed(values: list[str] | NDArray[np.float32]) -> bytes:
    """Return values in the protocol's binary form; strings are told their length by 4 bytes before."""
    if isinstance(values, np.ndarray):
        return values.astype("<f4").tobytes()
    encoded = [text.encode() for text in values]
    return b"".join(len(text).to_bytes(4, "little") + text for text in encoded)
