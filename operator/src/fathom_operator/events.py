"""Events: posted when something changes, counted up when the same is said again."""

from __future__ import annotations

from fathom_operator.digests import short
from fathom_operator.kube.client import FIELD_MANAGER, Kube
from fathom_operator.kube.errors import ConflictError
from fathom_operator.kube.resources import EVENTS, Obj
from fathom_operator.plan import Note
from fathom_operator.times import Clock, text, utc_now

_MAX_MESSAGE = 1024


def post(kube: Kube, about: Obj, note: Note, clock: Clock = utc_now) -> None:
    """Post `note` about an object; a note posted before gets a higher count instead of a twin."""
    event = event_of(about, note, text(clock()))
    namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
    try:
        kube.create(EVENTS, namespace, event)
    except ConflictError:
        before = kube.get(EVENTS, namespace, name) or {}
        again = {"count": before.get("count", 1) + 1, "lastTimestamp": event["lastTimestamp"]}
        kube.patch(EVENTS, namespace, name, again)


def event_of(about: Obj, note: Note, now: str) -> Obj:
    """Return the Event; equal notes about the same object have equal names."""
    meta = about["metadata"]
    said = short([meta["uid"], note.type, note.reason, note.message])
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{said}", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "resourceVersion": meta.get("resourceVersion", ""),
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:_MAX_MESSAGE],
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": FIELD_MANAGER,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
