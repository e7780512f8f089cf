"""What every step of the demo needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.data import Dataset
from demo.kube import Kube
from demo.view import View


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Context:
    """A cluster with Fathom on it, a data set, and where to show and leave things."""

    kube: Kube
    view: View
    data: Dataset
    namespace: str
    out: Path
    images: Mapping[str, str]
    ingress: str = "kourier-system/kourier"
