"""Which InterestMap guides a RecModel, and where its ranker looks; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fathom_api import InterestMapSpec, InterestMapStatus
from fathom_operator.claims import join
from fathom_operator.kube.resources import Obj
from fathom_operator.observation import parse_spec, parse_status

#: Folder below an InterestMap's output that says which table is served.
CURRENT: Final = "current"


@dataclass(frozen=True)
class Guide:
    """An InterestMap that guides a RecModel."""

    name: str
    #: Where its ranker looks for the table; None until one is published.
    uri: str | None = None


def guide_of(maps: Iterable[Obj], rec_model: str) -> Guide | None:
    """Return which of `maps`, all of a namespace, guides `rec_model`: of several the one made first."""
    found: list[tuple[str, str, Guide]] = []
    for obj in maps:
        spec, _ = parse_spec(InterestMapSpec, obj)
        if spec is None or spec.serving is None or spec.serving.rec_model != rec_model:
            continue
        meta = obj["metadata"]
        published = parse_status(InterestMapStatus, obj).table is not None
        uri = current(spec) if published else None
        found.append((meta.get("creationTimestamp", ""), meta["name"], Guide(meta["name"], uri)))
    return min(found)[2] if found else None


def current(spec: InterestMapSpec) -> str:
    """Return the folder that says which table is served."""
    return join(spec.output.uri, CURRENT)
