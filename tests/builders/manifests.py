"""Manifests as people write them, and edits of them by path."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from fathom_api import API_VERSION

Manifest = dict[str, Any]

#: As the value of an edit: take the field away.
ABSENT: Final = object()


def edited(manifest: Manifest, **changes: Any) -> Manifest:
    """Return a copy with fields changed; paths have `__` for dots: `spec__model__uri="…"`."""
    out = deepcopy(manifest)
    for path, value in changes.items():
        *parents, last = path.split("__")
        node: Any = out
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is ABSENT:
            del node[last]
        else:
            node[last] = deepcopy(value)
    return out


def caption_job(name: str = "catalog", **changes: Any) -> Manifest:
    """Return a CaptionJob that says only what it must."""
    return edited(
        {
            "apiVersion": API_VERSION,
            "kind": "CaptionJob",
            "metadata": {"name": name},
            "spec": {
                "source": {"uri": "pvc://media/items.parquet"},
                "model": {"uri": "pvc://models/captioner"},
                "output": {"uri": "pvc://features/catalog"},
            },
        },
        **changes,
    )


def rec_model(name: str = "movies", **changes: Any) -> Manifest:
    """Return a RecModel that says only what it must; it is not served."""
    return edited(
        {
            "apiVersion": API_VERSION,
            "kind": "RecModel",
            "metadata": {"name": name},
            "spec": {
                "data": {"interactions": {"uri": "pvc://data/interactions.parquet"}},
                "output": {"uri": "pvc://data/models"},
            },
        },
        **changes,
    )


def backfill(name: str = "gallery", **changes: Any) -> Manifest:
    """Return a Backfill that says only what it must; it is not served."""
    return edited(
        {
            "apiVersion": API_VERSION,
            "kind": "Backfill",
            "metadata": {"name": name},
            "spec": {
                "gallery": {"uri": "pvc://media/items.parquet"},
                "from": {"model": "pvc://models/old"},
                "to": {"model": "pvc://models/new"},
                "output": {"uri": "pvc://data/gallery"},
            },
        },
        **changes,
    )


def interest_map(name: str = "discover", **changes: Any) -> Manifest:
    """Return an InterestMap that says only what it must."""
    return edited(
        {
            "apiVersion": API_VERSION,
            "kind": "InterestMap",
            "metadata": {"name": name},
            "spec": {
                "captions": {"captionJob": "catalog"},
                "interactions": {"uri": "pvc://data/interactions.parquet"},
                "output": {"uri": "pvc://data/discover"},
            },
        },
        **changes,
    )


def steps(*weights: int, pause: str = "1s") -> list[dict[str, Any]]:
    """Return rollout steps."""
    return [{"weight": weight, "pause": pause} for weight in weights]
