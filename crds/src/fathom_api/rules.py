"""Rules that span fields: CEL for the API server, Python for everybody else, one sentence for both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """A rule of a model; `message` says the fix, `path` (`.serving.rollout`) where it is to be made.

    `cel` sees the defaults already filled in: the API server does that before it validates.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    path: str | None = None


def validation(cel: str, message: str, path: str | None = None) -> dict[str, Any]:
    """Return an entry of `x-kubernetes-validations`."""
    return {"rule": cel, "message": message} | ({"fieldPath": path} if path else {})


def add_validations(schema: dict[str, Any], model: type[Any]) -> None:
    """Add the rules of `model` to its JSON schema."""
    rules: tuple[Rule, ...] = model.RULES
    if rules:
        schema["x-kubernetes-validations"] = [validation(r.cel, r.message, r.path) for r in rules]
