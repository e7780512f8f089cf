"""Tensors of the v2 protocol: from JSON, from JSON with bytes behind it, from gRPC messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from fathom.serving.body import parsed, refusal
from fathom.serving.errors import BadRequestError

_BINARY_SIZE: Final = "binary_data_size"
_TYPES: Final = {
    "FP32": "<f4",
    "FP64": "<f8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}
#: Field of gRPC's InferTensorContents by datatype; those of 8 and 16 bits travel as 32.
_CONTENTS: Final = {
    "BYTES": "bytes_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
}


@dataclass(frozen=True)
class Tensor:
    """An input: its values are `data`, flat or nested as `shape` is."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: list[Any]


class Input(BaseModel):
    """A tensor in JSON."""

    model_config = ConfigDict(extra="ignore")

    name: StrictStr
    shape: list[StrictInt]
    datatype: StrictStr
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class Output(BaseModel):
    """An output asked for."""

    model_config = ConfigDict(extra="ignore")

    name: StrictStr
    parameters: dict[str, Any] | None = None


class Request(BaseModel):
    """A v2 request in JSON, or what a binary one begins with."""

    model_config = ConfigDict(extra="ignore")

    id: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[Input]
    outputs: list[Output] | None = None


@dataclass(frozen=True)
class InferRequest:
    """A v2 request; `binary` whether the scores are wanted as bytes."""

    id: str
    tensors: list[Tensor]
    outputs: list[str]
    binary: bool


def read(body: bytes, header_length: str | None) -> InferRequest:
    """Return the request in `body`, of which the first `header_length` bytes are JSON; None all of it.

    Raises:
        BadRequestError: it cannot be read.
    """
    end = _header_end(body, header_length)
    try:
        request = Request.model_validate(parsed(body[:end]))
    except ValidationError as error:
        raise refusal(error) from error
    rest, tensors = memoryview(body)[end:], list[Tensor]()
    for number, one in enumerate(request.inputs):
        size = (one.parameters or {}).get(_BINARY_SIZE)
        if size is None:
            if one.data is None:
                raise BadRequestError(f"inputs[{number}].data", "Missing", "neither data nor bytes are given")
            tensors.append(Tensor(one.name, one.datatype, one.shape, one.data))
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest):
            raise BadRequestError(
                "body", "InvalidBody", f"{_BINARY_SIZE} {size!r} of {one.name}: {len(rest)} bytes are left"
            )
        data = values(rest[:size], one.datatype)
        tensors.append(Tensor(one.name, one.datatype, _agreed(one.name, one.shape, len(data)), data))
        rest = rest[size:]
    outputs = request.outputs or []
    binary = bool((request.parameters or {}).get("binary_data_output"))
    for output in outputs:
        binary = bool((output.parameters or {}).get("binary_data", binary))
    return InferRequest(request.id or "", tensors, [output.name for output in outputs], binary)


def of_message(message: Any) -> InferRequest:
    """Return the request of a gRPC ModelInferRequest.

    Raises:
        BadRequestError: it cannot be read.
    """
    raw: Sequence[bytes] = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise BadRequestError(
            "raw_input_contents", "WrongShape", f"{len(raw)} of them for {len(message.inputs)} inputs"
        )
    tensors: list[Tensor] = []
    for number, one in enumerate(message.inputs):
        data = values(memoryview(raw[number]), one.datatype) if raw else _contents(one)
        tensors.append(Tensor(one.name, one.datatype, list(one.shape), data))
    return InferRequest(message.id, tensors, [output.name for output in message.outputs], True)


def values(raw: memoryview, datatype: str) -> list[Any]:
    """Return the values in the protocol's binary form; strings are told their length by 4 bytes before.

    Raises:
        BadRequestError: the bytes are not values of `datatype`.
    """
    if datatype == "BYTES":
        return _strings(raw)
    if datatype not in _TYPES:
        raise BadRequestError("body", "WrongType", f"datatype {datatype} is not taken")
    kind = np.dtype(_TYPES[datatype])
    if len(raw) % kind.itemsize:
        raise BadRequestError("body", "InvalidBody", f"{len(raw)} bytes are no whole number of {datatype}")
    return np.frombuffer(raw, kind).tolist()


def _strings(raw: memoryview) -> list[str]:
    # Each length says where the next is, so this is the one walk over candidates that Python must make.
    content, at, found = bytes(raw), 0, list[str]()
    end = len(content)
    try:
        while at < end:
            start = at + 4
            at = start + int.from_bytes(content[at:start], "little")
            found.append(str(content[start:at], "utf-8"))
    except UnicodeDecodeError as error:
        raise BadRequestError("body", "InvalidBody", f"a string is not UTF-8: {error}") from error
    if at != end:
        raise BadRequestError("body", "InvalidBody", "a string is shorter than the length before it")
    return found


def _contents(tensor: Any) -> list[Any]:
    if tensor.datatype not in _CONTENTS:
        raise BadRequestError(
            f"inputs.{tensor.name}", "WrongType", f"datatype {tensor.datatype} is not taken"
        )
    found = list(getattr(tensor.contents, _CONTENTS[tensor.datatype]))
    if tensor.datatype != "BYTES":
        return found
    try:
        return [str(value, "utf-8") for value in found]
    except UnicodeDecodeError as error:
        raise BadRequestError(f"inputs.{tensor.name}", "WrongType", f"is not UTF-8: {error}") from error


def _agreed(name: str, shape: list[int], count: int) -> list[int]:
    if any(size < 0 for size in shape) or _product(shape) != count:
        raise BadRequestError("body", "InvalidBody", f"{count} values of {name} do not make shape {shape}")
    return shape


def _product(shape: list[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _header_end(body: bytes, header_length: str | None) -> int:
    if header_length is None:
        return len(body)
    if not header_length.isdecimal() or not header_length.isascii() or len(header_length) > 9:
        raise BadRequestError(
            "inference-header-content-length", "InvalidBody", f"{header_length!r} is no number of bytes"
        )
    if int(header_length) > len(body):
        raise BadRequestError(
            "inference-header-content-length", "InvalidBody", f"{header_length} of {len(body)} bytes"
        )
    return int(header_length)
