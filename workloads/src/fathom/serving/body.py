"""Bodies of requests to Python values, and back."""

from __future__ import annotations

import json
from typing import Any

import orjson
from pydantic import ValidationError

from fathom.serving.errors import BadRequestError


def parsed(body: bytes) -> Any:
    """Return the JSON value in `body`.

    Numbers that are none (NaN) and text that is no Unicode are let through, for the checks to name the field.

    Raises:
        BadRequestError: it is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise BadRequestError("body", "InvalidJson", f"not JSON: {error}") from error


def written(content: Any) -> bytes:
    """Return `content`, which may hold arrays, as JSON."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def refusal(error: ValidationError) -> BadRequestError:
    """Return what is wrong first with a body."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return BadRequestError(path(first["loc"]) or "body", "WrongType", f"{first['msg']}")


def path(location: tuple[int | str, ...]) -> str:
    """Return where in a body something is: ("instances", 0, "k") → `instances[0].k`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".")
