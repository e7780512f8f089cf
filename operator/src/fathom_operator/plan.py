"""What a decision is made of: pure data, carried out by apply.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fathom_operator.kube.resources import Obj


class Key(NamedTuple):
    """Which object: one of our own kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `CaptionJob shop/catalog`."""
        return f"{self.kind} {self.namespace}/{self.name}"


class Ref(NamedTuple):
    """A child, in its parent's namespace."""

    kind: str
    name: str


@dataclass(frozen=True)
class Note:
    """An Event to post about the resource."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What shall be: children, status, events, and when to look again at the latest (seconds)."""

    status: Obj
    desired: tuple[Obj, ...] = ()
    delete: tuple[Ref, ...] = ()
    events: tuple[Note, ...] = ()
    look_again: float | None = None
    #: The resource itself has lived its time: delete it, if it is still what was seen.
    expired: bool = False
    #: Resources whose change wakes this one.
    waits_for: frozenset[Key] = field(default_factory=frozenset[Key])
    #: Resources that this one's news concerns, though they may not have heard of it yet.
    wakes: frozenset[Key] = field(default_factory=frozenset[Key])


Children = Mapping[Ref, Obj]


def ref(obj: Obj) -> Ref:
    """Return which child `obj` is."""
    return Ref(obj["kind"], obj["metadata"]["name"])
