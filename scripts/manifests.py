"""Checks every manifest against the schema of its kind: chart output, crds/, examples/.

Fathom's kinds are checked against our own CRDs, Kubernetes' kinds against its published OpenAPI, both
strictly: a field that the schema does not know is an error, as it would be with `kubectl apply
--validate=strict`.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from cluster.tools import helm

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "fathom"
KUBERNETES = "1.35"
#: Kinds of others' CRDs, whose schemas no package brings.
ELSEWHERE = {
    "kustomize.config.k8s.io/v1beta1",
    "kustomize.toolkit.fluxcd.io/v1",
    "monitoring.coreos.com/v1",
    "serving.kserve.io/v1beta1",
    "source.toolkit.fluxcd.io/v1",
}


def problems() -> Iterator[str]:
    """Yield a sentence for everything that is wrong."""
    schemas = custom_schemas()
    for values in sorted((CHART / "ci").glob("*.yaml")):
        yield from _of_chart(values, schemas)
    for folder in ("crds", "examples"):
        for path in sorted((ROOT / folder).rglob("*.yaml")):
            yield from _of_documents(str(path.relative_to(ROOT)), path.read_text(), schemas)


def custom_schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """Return (apiVersion, kind) → schema, from our CRDs, closed to fields they do not name."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted((ROOT / "crds").glob("*s.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            spec = document["spec"]
            for version in spec["versions"]:
                schema = _closed(version["schema"]["openAPIV3Schema"])
                schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
                found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def check(document: dict[str, Any], schemas: dict[tuple[str, str], dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with one object."""
    api_version, kind = document.get("apiVersion", ""), document.get("kind", "")
    if not (api_version or kind):
        patches = [list(_errors(document, _partial(schema))) for schema in schemas.values()]
        yield from min(patches, key=len)
    elif (api_version, kind) in schemas:
        yield from _errors(document, schemas[api_version, kind])
    elif api_version not in ELSEWHERE:
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{'.'.join(str(part) for part in error.path)}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"Kubernetes {KUBERNETES} has no {kind} in {api_version}"


def _of_chart(values: Path, schemas: dict[tuple[str, str], dict[str, Any]]) -> Iterator[str]:
    name = f"charts/fathom with ci/{values.name}"
    for command in (["lint", "--strict"], ["template", "fathom", "--namespace", "fathom-system"]):
        done = subprocess.run(
            [helm(), *command, CHART, "--values", values], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            yield f"{name}: helm {command[0]}: {(done.stderr or done.stdout).strip()}"
        elif command[0] == "template":
            yield from _of_documents(name, done.stdout, schemas)


def _of_documents(name: str, text: str, schemas: dict[tuple[str, str], dict[str, Any]]) -> Iterator[str]:
    for document in yaml.safe_load_all(text):
        if document is not None:
            title = f"{document.get('kind', 'patch')} {document.get('metadata', {}).get('name', '')}".strip()
            yield from (f"{name}: {title}: {problem}" for problem in check(document, schemas))


def _errors(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
        yield f"{error.json_path.removeprefix('$.')}: {error.message}"


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with every object closed that does not say it is open."""
    closed = _mapped(schema, _closed)
    if "properties" in closed and not closed.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    if closed.pop("x-kubernetes-int-or-string", False):
        closed["type"] = ["integer", "string"]
    return closed


def _partial(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with nothing required: that of a merge patch."""
    partial = _mapped(schema, _partial)
    partial.pop("required", None)
    return partial


def _mapped(schema: dict[str, Any], change: Any) -> dict[str, Any]:
    mapped = copy.copy(schema)
    if "properties" in schema:
        mapped["properties"] = {name: change(below) for name, below in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            mapped[key] = change(schema[key])
    return mapped


def main() -> int:
    """Print what is wrong; return the exit status."""
    found = list(problems())
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
