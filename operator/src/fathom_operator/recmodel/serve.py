"""How versions are served: each mode of KServe is a way of its own behind one face; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fathom_operator.recmodel.knative import knative
from fathom_operator.recmodel.situation import Served, Situation, Way, nothing
from fathom_operator.recmodel.standard import standard

__all__ = ["Served", "Situation", "nothing", "serve"]

_WAYS: Final[Mapping[str, Way]] = {"Knative": knative, "Standard": standard}


def serve(it: Situation) -> Served:
    """Return how the stable version is served and the candidate, if any, brought in beside it."""
    return _WAYS[it.serving.mode](it)
