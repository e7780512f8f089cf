"""Writes what is generated from the models: `crds/*.yaml` and `docs/reference/api.md` (`make crds`).

`python -m fathom_api.generate ROOT [--check]`; with `--check` it writes nothing, and fails on a stale file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fathom_api.conditions import MEANING
from fathom_api.crd import KINDS, crd
from fathom_api.meta import GROUP

_HEADER = "Generated from crds/src/fathom_api by `make crds`; do not edit."
#: Words that YAML 1.1 takes for something else.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def yaml_text(value: Any, indent: int = 0) -> str:
    """Return `value` as YAML; a writer of our own keeps this package free of a YAML library."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{_key(k)}:{_below(v, indent)}" for k, v in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{_item(v, indent)}" for v in value)
    return f"{pad}{_scalar(value)}\n"


def _scalar(value: Any) -> str:
    """Return `value` as JSON, which YAML reads as well, but for `1e-06`: YAML 1.1 wants a point in it."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"^(-?[0-9]+)e", r"\1.0e", text) if isinstance(value, float) else text


def _key(key: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9./-]*", key) and key.lower() not in _WORDS
    return key if plain else json.dumps(key)


def _below(value: Any, indent: int) -> str:
    if isinstance(value, dict | list) and value:
        return "\n" + yaml_text(value, indent + 1)
    return f" {_scalar(value)}\n"


def _item(value: Any, indent: int) -> str:
    if isinstance(value, dict) and value:
        return " " + yaml_text(value, indent + 1).lstrip()
    return f" {_scalar(value)}\n"


def reference() -> str:
    """Return the API reference, Markdown: every field of every kind."""
    lines = [
        f"<!-- {_HEADER} -->",
        "# API reference",
        "",
        f"Group `{GROUP}`. See `kubectl explain` for the same text.",
        "",
    ]
    for kind in KINDS:
        version = crd(kind)["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        lines += [f"## {kind.kind}", "", kind.description, "", f"Short name `{kind.short}`.", ""]
        for part in ("spec", "status"):
            lines += [
                f"### {kind.kind} {part}",
                "",
                "| field | type | default | meaning |",
                "| --- | --- | --- | --- |",
            ]
            lines += [_row(*row) for row in _fields(schema["properties"][part], part)]
            lines.append("")
        lines += ["### Rules", "", *(f"- {message}." for message in _rules(schema)), ""]
    lines += ["## Reasons of conditions", "", "| reason | meaning |", "| --- | --- |"]
    lines += [f"| `{reason}` | {meaning} |" for reason, meaning in MEANING.items()] + [""]
    return "\n".join(lines)


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field, name in required
        yield from _fields(field, f"{path}.{name}")
        if field.get("type") == "array":
            yield from _fields(field["items"], f"{path}.{name}[]")


def _rules(schema: dict[str, Any]) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
    for below in [*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])]:
        yield from _rules(below)


def _default(field: dict[str, Any]) -> str:
    """Return the default; of an object nothing: the defaults of its fields say it."""
    if field.get("type") == "object" or "default" not in field:
        return ""
    return f"`{json.dumps(field['default'])}`"


def _row(path: str, field: dict[str, Any], required: bool) -> str:
    kind = (
        " \\| ".join(f"`{v}`" for v in field["enum"])
        if "enum" in field
        else field.get("type", "integer or string")
    )
    default = "*required*" if required else _default(field)
    bounds = ", ".join(
        f"{word} {field[key]}" for key, word in (("minimum", "≥"), ("maximum", "≤")) if key in field
    )
    meaning = field.get("description", "") + (f" ({bounds})" if bounds else "")
    return f"| `{path.removeprefix('spec.')}` | {kind} | {default} | {meaning.replace('|', chr(92) + '|')} |"


def outputs() -> dict[str, str]:
    """Return every generated file: path from the repository's root → text."""
    files = {f"crds/{kind.plural}.yaml": f"# {_HEADER}\n---\n" + yaml_text(crd(kind)) for kind in KINDS}
    resources = "".join(f"  - {kind.plural}.yaml\n" for kind in KINDS)
    files["crds/kustomization.yaml"] = (
        f"# {_HEADER}\n---\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources:\n{resources}"
    )
    for kind in KINDS:
        files[f"charts/fathom/files/crds/{kind.plural}.yaml"] = files[f"crds/{kind.plural}.yaml"]
    files["docs/reference/api.md"] = reference()
    return files


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them; return the exit status."""
    root = Path(arguments[0] if arguments and not arguments[0].startswith("-") else ".")
    check = "--check" in arguments
    stale = [p for p, text in outputs().items() if not (root / p).is_file() or (root / p).read_text() != text]
    if check:
        for path in stale:
            print(f"{path} is stale: run `make crds` and commit the result", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(outputs()[path])
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
