"""Structural OpenAPI v3 schemas (what a CRD holds) from pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

_DROPPED = ("title", "additionalProperties", "const", "discriminator", "$defs")

#: How a schema reads: what it is before what it holds.
_ORDER = ("description", "type", "format", "enum", "default", "required", "properties", "items")


class _WithFactoryDefaults(GenerateJsonSchema):
    """JSON schema whose defaults include those that a factory makes: the API server must fill them in."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        factory = schema.get("default_factory")
        if factory is None or schema.get("default_factory_takes_data"):
            return super().get_default_value(schema)
        return factory()  # type: ignore[call-arg]


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of `model`: references inlined, `null` gone, only what a CRD may hold."""
    schema = model.model_json_schema(by_alias=True, schema_generator=_WithFactoryDefaults)
    return _clean(schema, schema.get("$defs", {}))


def _clean(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    node = _resolve(node, defs)
    out = {k: v for k, v in node.items() if k not in _DROPPED}
    if "const" in node:
        out["enum"] = [node["const"]]
    if "exclusiveMinimum" in out:
        # OpenAPI 3.0 has a number and a flag where JSON Schema 2020 has one number.
        out |= {"minimum": out["exclusiveMinimum"], "exclusiveMinimum": True}
    if out.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
        return out
    if out.get("default", ...) is None:
        del out["default"]
    if "properties" in out:
        out["properties"] = {name: _clean(p, defs) for name, p in out["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _clean(node["additionalProperties"], defs)
    if "items" in out:
        out["items"] = _clean(out["items"], defs)
    if isinstance(out.get("default"), dict) and "x-kubernetes-validations" not in out:
        # An empty object is enough, the API server fills in what lies below from the defaults there; not so
        # where there are rules: it tries them on the default as it stands.
        out["default"] = {}
    elif isinstance(out.get("default"), dict):
        out["default"] = _set(out["default"])
    return {key: out[key] for key in sorted(out, key=_position)}


def _set(value: Any) -> Any:
    """Return a default without what is unset in it: the API server has no null."""
    if isinstance(value, dict):
        return {key: _set(each) for key, each in value.items() if each is not None}
    return value


def _position(key: str) -> tuple[int, str]:
    return (_ORDER.index(key) if key in _ORDER else len(_ORDER), key)


def _resolve(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref`, and take the one real choice of `X | None`; the node's own keys win."""
    node = dict(node)
    choices = [c for c in node.get("anyOf", []) if c.get("type") != "null"]
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string") and len(choices) == 1:
        del node["anyOf"]
        node = {**_resolve(choices[0], defs), **node}
    if "$ref" in node:
        target = _resolve(defs[node.pop("$ref").rsplit("/", 1)[1]], defs)
        node = {**target, **node}
    return node
