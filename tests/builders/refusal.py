"""A bad manifest and the sentence that refuses it."""

from __future__ import annotations

from dataclasses import dataclass

from builders.manifests import Manifest


@dataclass(frozen=True)
class Refusal:
    """A bad manifest; `field` is where both the models and the API server see the fault."""

    because: str
    manifest: Manifest
    field: str
    sentence: str
