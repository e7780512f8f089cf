"""KServe's data plane and model repository, made strict."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from fathom.serving.errors import BadRequestError
from fathom.serving.kserve import (
    DataPlane,
    InferenceError,
    InferenceRequest,
    InvalidInput,
    ModelRepositoryExtension,
    RequestInput,
)
from fathom.serving.v1 import path

_HEADER_LENGTH: Final = "inference-header-content-length"


class _BinaryInput(RequestInput):
    """A tensor whose data may come after the JSON."""

    data: list[Any] | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class _BinaryHeader(InferenceRequest):
    """The JSON that a binary request begins with."""

    inputs: list[_BinaryInput]  # pyright: ignore[reportIncompatibleVariableOverride]


class StrictDataPlane(DataPlane):
    """KServe's data plane, whose errors about the request say so, and which is ready when its models are."""

    def decode(self, body: Any, headers: Any, *args: Any, **kwargs: Any) -> Any:
        """Decode a request.

        Raises:
            BadRequestError: it cannot be decoded.
        """
        try:
            return super().decode(body, headers, *args, **kwargs)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise BadRequestError(path(first["loc"]) or "body", "WrongType", first["msg"]) from error
        except (InvalidInput, InferenceError, ValueError, TypeError, LookupError, struct.error) as error:
            raise BadRequestError("body", "InvalidBody", f"cannot be decoded: {error}") from error

    def decode_inference_request(self, body: Any, headers: Mapping[str, str], model_name: str) -> Any:
        """Decode a v2 request; KServe checks nothing of the JSON of a binary one."""
        if isinstance(body, bytes) and _HEADER_LENGTH in headers:
            _BinaryHeader.model_validate_json(body[: int(headers[_HEADER_LENGTH])])
        return super().decode_inference_request(body, dict(headers), model_name)

    async def ready(self) -> bool:
        """Return whether every model answers; KServe says yes whatever they do."""
        return all(
            [await self.model_registry.is_model_ready(name) for name in self.model_registry.get_models()]
        )


class FixedRepository(ModelRepositoryExtension):
    """Models that no client can load or unload: a server has one bundle for life."""

    async def load(self, model_name: str) -> None:
        """Refuse."""
        raise BadRequestError("model_name", "Fixed", "this server has one model; roll out a RecModel instead")

    async def unload(self, model_name: str) -> None:
        """Refuse."""
        await self.load(model_name)
