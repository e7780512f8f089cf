"""Answers in JSON: asked for in the prompt, taken out of what the model said, checked against the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from fathom.captioning.engines import Answer, Question, Result, UnansweredError
from fathom.errors import InvalidInputError

Schema = dict[str, Any]
#: Places in an answer where JSON may begin that are tried; a hostile answer may hold thousands.
_MOST_STARTS: Final = 32
_DEEPEST: Final = 32


def check_schema(aspect: str, schema: Schema | None) -> None:
    """Check that `schema` can be checked against.

    Raises:
        InvalidInputError: it is no JSON schema, or points outside of itself.
    """
    if schema is None:
        return
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InvalidInputError(
            "InvalidSchema", f"jsonSchema of {aspect!r} is no JSON schema: {error.message}"
        ) from error
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise InvalidInputError(
                "InvalidSchema",
                f"jsonSchema of {aspect!r} refers to {reference!r}; put that under $defs",
            )


def with_schema(prompt: str, schema: Schema | None) -> str:
    """Return `prompt` with the schema of its answer, if there is one."""
    if schema is None:
        return prompt
    return f"{prompt}\nAnswer with JSON that fits this JSON schema, and nothing else: {canonical(schema)}"


def canonical(value: Any) -> str:
    """Return `value` as JSON that is the same for the same content."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def checked(question: Question, answer: Answer) -> Result:
    """Return `answer`, as canonical JSON where it must fit a schema, or the error that it does not."""
    schema = question.json_schema
    if schema is None:
        return answer
    try:
        value = _valid(answer.text, schema)
    except (ValueError, RecursionError) as error:
        hint = "; it was cut off, raise maxNewTokens" if answer.finish == "Length" else ""
        return UnansweredError("NotTheSchema", f"no JSON in {answer.text[:200]!r}: {error}{hint}")
    except (ValidationError, Unresolvable) as error:
        said = error.message if isinstance(error, ValidationError) else str(error)
        return UnansweredError("NotTheSchema", f"{said[:300]}, in {answer.text[:200]!r}")
    return replace(answer, text=canonical(value), samples=_valid_samples(answer.samples, schema))


def _valid(text: str, schema: Schema) -> Any:
    value = extract(text)
    Draft202012Validator(schema, registry=Registry()).validate(value)
    return value


def _valid_samples(samples: tuple[str, ...] | None, schema: Schema) -> tuple[str, ...] | None:
    """Return those of `samples` that fit the schema, as canonical JSON; the others say nothing."""
    if samples is None:
        return None
    kept: list[str] = []
    for text in samples:
        with suppress(ValueError, RecursionError, ValidationError, Unresolvable):
            kept.append(canonical(_valid(text, schema)))
    return tuple(kept)


def extract(text: str) -> Any:
    """Return the first whole JSON value in `text`, which may be wrapped in words or a code fence.

    Raises:
        ValueError: there is none.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse)
    stripped = text.strip()
    starts = [0, *(m.start() for m in re.finditer(r"[\[{]", stripped))][:_MOST_STARTS]
    for start in starts:
        try:
            value, end = decoder.raw_decode(stripped, start)
        except (ValueError, RecursionError):
            continue
        if (start > 0 or end == len(stripped)) and _depth(value) <= _DEEPEST:
            return value
    raise ValueError("it holds no whole JSON value")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _depth(value: Any) -> int:
    """Return how deep `value` is nested, one level more than allowed at most."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        containers = [v for v in level if isinstance(v, dict | list)]
        level = [x for v in containers for x in (v.values() if isinstance(v, dict) else v)]
        depth += 1
    return depth


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name in {"$ref", "$dynamicRef"} and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
