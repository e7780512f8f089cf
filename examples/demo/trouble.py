"""When something is wrong: what a person would look at first — resources, pods, events, logs."""

from __future__ import annotations

from collections.abc import Sequence

from demo.kube import Kube, KubeError, Object

_LOG_LINES, _LOG_LINES_OF_DONE = 40, 5
_EVENTS = 40


def diagnosis(kube: Kube, namespaces: Sequence[str]) -> str:
    """Return conditions, pods, events and the last lines of the logs of what runs in `namespaces`."""
    parts = [part for namespace in namespaces for part in _of(kube, namespace)]
    return "\n".join(parts)


def _of(kube: Kube, namespace: str) -> list[str]:
    try:
        pods = kube.list("pods", namespace)
        return [
            f"━━ namespace {namespace}",
            _get(kube, namespace, "captionjob,recmodel,jobs,inferenceservice"),
            *_conditions(kube, namespace),
            _get(kube, namespace, "pods"),
            _events(kube, namespace),
            *(_log(kube, namespace, pod) for pod in pods),
        ]
    except KubeError as error:
        return [f"━━ namespace {namespace}: {error}"]


def _get(kube: Kube, namespace: str, kinds: str) -> str:
    try:
        return kube.run("get", kinds, "-n", namespace, "-o", "wide", "--ignore-not-found")
    except KubeError as error:
        return str(error)


def _conditions(kube: Kube, namespace: str) -> list[str]:
    lines: list[str] = []
    for found in kube.list("captionjob,recmodel", namespace):
        for condition in found.get("status", {}).get("conditions", []):
            name = f"{found['kind']}/{found['metadata']['name']}"
            told = f"{condition['type']}={condition['status']} {condition['reason']}"
            lines.append(f"{name}: {told}: {condition['message']}")
    return lines


def _events(kube: Kube, namespace: str) -> str:
    text = kube.run("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
    return "\n".join(["events:", *text.splitlines()[-_EVENTS:]])


def _log(kube: Kube, namespace: str, pod: Object) -> str:
    name = pod["metadata"]["name"]
    lines = _LOG_LINES_OF_DONE if pod["status"].get("phase") == "Succeeded" else _LOG_LINES
    try:
        text = kube.run("logs", name, "-n", namespace, "--all-containers", f"--tail={lines}")
    except KubeError as error:
        text = str(error)
    return f"log of {name}:\n{text}"
