"""What is printed when a test fails: the objects it saw and the operators' last words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from integration.kube import Namespace, Object

_KINDS = ("CaptionJob", "RecModel", "Job", "Pod", "InferenceService", "Service", "Lease", "Event")
_LOG_CHARACTERS = 12_000


def evidence(fixtures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield titles and texts for the fixtures of a test."""
    told: list[Any] = []
    for value in fixtures.values():
        if any(value is each for each in told):
            continue
        told.append(value)
        if isinstance(value, Namespace):
            yield f"objects in {value.name}", "\n".join(_objects(value))
        for each in value if isinstance(value, list) else [value]:
            # An operator, or what starts one.
            log = getattr(each, "log", None)
            if isinstance(log, Path) and log.exists():
                yield f"log of {log.stem}", log.read_text()[-_LOG_CHARACTERS:]


def _objects(namespace: Namespace) -> Iterator[str]:
    for kind in _KINDS:
        for each in namespace.find_all(kind):
            yield f"--- {kind}\n{_short(each)}"


def _short(obj: Object) -> str:
    meta = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    spec = {} if obj.get("kind") == "Pod" else {"spec": obj.get("spec")}
    rest = {k: obj[k] for k in ("status", "reason", "message", "type") if k in obj}
    return yaml.safe_dump({"metadata": meta, **spec, **rest}, width=110)
