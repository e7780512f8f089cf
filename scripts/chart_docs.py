"""Writes charts/fathom/README.md from values.yaml and its comments; with `--check` fails when it is stale.

Also fails when values.yaml and values.schema.json do not name the same values: Helm then refuses what
the README offers.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[1] / "charts" / "fathom"
_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z]+):")
_INTRODUCTION = """\
<!-- Generated from values.yaml by `make docs`; do not edit. -->
# The Fathom chart

Installs the operator and, on a switch, the CRDs. To serve, KServe must be on the cluster.

```sh
helm install fathom charts/fathom --namespace fathom-system --create-namespace
helm upgrade fathom charts/fathom --namespace fathom-system --reuse-values --set operator.replicas=3
helm uninstall fathom --namespace fathom-system
```

Uninstalling keeps the CRDs and everybody's resources unless `crds.keep=false`; it never touches data. A
release of another name takes kept CRDs over with `helm install --take-ownership`.

| value | default | meaning |
| --- | --- | --- |
"""


@dataclass(frozen=True)
class Value:
    """One value: its dotted path, its default as JSON, what its comment says."""

    path: str
    default: str
    meaning: str


def values(text: str) -> list[Value]:
    """Return the commented values in `text`, in its order.

    A comment belongs to the key below it; a key without one is a section.
    """
    defaults = yaml.safe_load(text)
    found: list[Value] = []
    stack: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip().lstrip("# "))
            continue
        if key := _KEY.match(line):
            stack = [*stack[: len(key["indent"]) // 2], key["key"]]
            if comment:
                default = json.dumps(_at(defaults, stack), ensure_ascii=False)
                found.append(Value(".".join(stack), default, " ".join(comment)))
        comment = []
    return found


def readme(text: str) -> str:
    """Return the chart's README for the values in `text`."""
    rows = [f"| `{v.path}` | `{v.default}` | {v.meaning.replace('|', '&#124;')} |" for v in values(text)]
    return _INTRODUCTION + "\n".join(rows) + "\n"


def differences(text: str, schema: dict[str, Any]) -> list[str]:
    """Return, in words, where `text` and the schema name different values."""
    written = {value.path for value in values(text)}
    allowed = set(_leaves(schema, "")) - {"global"}
    return [
        f"{path} is in values.schema.json but not, with a comment, in values.yaml"
        for path in sorted(allowed - written)
    ] + [f"{path} is in values.yaml but not in values.schema.json" for path in sorted(written - allowed)]


def _leaves(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, below in schema["properties"].items():
        here = f"{path}.{name}".lstrip(".")
        section = below.get("properties") and name not in {"resources", "metricsFrom"}
        yield from _leaves(below, here) if section else [here]


def _at(tree: Any, path: list[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def main(arguments: list[str]) -> int:
    """Write or check; return the exit status."""
    text = (CHART / "values.yaml").read_text()
    wrong = differences(text, json.loads((CHART / "values.schema.json").read_text()))
    target = CHART / "README.md"
    if "--check" not in arguments:
        target.write_text(readme(text))
    elif not target.is_file() or target.read_text() != readme(text):
        wrong.append("charts/fathom/README.md is stale: run `make docs` and commit the result")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
