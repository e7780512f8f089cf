"""What of a Job that exists may follow what is wanted: a merge patch of few fields."""

from __future__ import annotations

from typing import Any, Final

from fathom_api import Annotations, Labels
from fathom_operator.kube.resources import Obj
from fathom_operator.times import parse

#: A checkpoint newer by less is not worth a write.
_CHECKPOINT_SECONDS: Final = 30.0


def job_patch(wanted: Obj, existing: Obj) -> Obj:
    """Return the changes that bring `existing` to `wanted`, empty if there are none."""
    spec: dict[str, Any] = {}
    annotations: dict[str, str | None] = {}
    parallelism = wanted["spec"]["parallelism"]
    if existing["spec"].get("parallelism") != parallelism:
        spec["parallelism"] = parallelism
    halt = _halt(wanted, existing)
    if halt is not None:
        spec["suspend"] = halt
        annotations[Annotations.SUSPENDED] = "true" if halt else None
    checkpoint = _annotation(wanted, Annotations.CHECKPOINT)
    if _is_news(checkpoint, _annotation(existing, Annotations.CHECKPOINT)):
        annotations[Annotations.CHECKPOINT] = checkpoint
    patch: Obj = {"spec": spec} if spec else {}
    return patch | ({"metadata": {"annotations": annotations}} if annotations else {})


def _halt(wanted: Obj, existing: Obj) -> bool | None:
    """Return what `suspend` must become, None if it stays.

    A queue owns the field of the Jobs it admits, and may own that of Jobs without a queue's name too: only
    what we suspended ourselves do we resume.
    """
    if Labels.QUEUE in existing["metadata"].get("labels", {}):
        return None
    wants, suspended = bool(wanted["spec"].get("suspend")), bool(existing["spec"].get("suspend"))
    if wants and not suspended:
        return True
    return False if not wants and _annotation(existing, Annotations.SUSPENDED) else None


def _is_news(checkpoint: str | None, before: str | None) -> bool:
    if checkpoint is None or checkpoint == before:
        return False
    return before is None or (parse(checkpoint) - parse(before)).total_seconds() >= _CHECKPOINT_SECONDS


def _annotation(obj: Obj, name: str) -> str | None:
    return obj["metadata"].get("annotations", {}).get(name)
