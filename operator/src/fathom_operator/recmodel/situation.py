"""What there is to serve and what shall be served: what the ways of serving have in common; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fathom_api.recmodel import RolloutStatus, Serving, Version
from fathom_api.serving import GatewayStatus
from fathom_operator.analysis.decide import Command, Sight
from fathom_operator.kube.resources import DISRUPTION_BUDGETS, HTTP_ROUTES, INFERENCE_SERVICES, SERVICES, Obj
from fathom_operator.plan import Ref
from fathom_operator.platform import Platform
from fathom_operator.recmodel.evidence import Shown
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.rollout import Move, advance, at_once, begin


@dataclass(frozen=True)
class Situation:
    """What there is to serve: the stable version, the one before, a candidate with its rollout so far."""

    seen: RecModelSeen
    serving: Serving
    platform: Platform
    stable: Version | None = None
    before: Version | None = None
    candidate: Version | None = None
    rollout: RolloutStatus | None = None
    #: What people have told the rollout and it has not obeyed yet.
    command: Command | None = None

    @property
    def shown(self) -> Shown | None:
        """Return what this candidate has shown in this step; None before its rollout."""
        shown = self.seen.shown
        ours = self.rollout and self.candidate and shown.candidate == self.candidate.name
        return shown if ours else None

    def move(self, sight: Sight, *, kept: int = 0, shared: bool = True) -> Move:
        """Return the candidate's next move.

        Args:
            sight: What is seen of it.
            kept: Share of the requests that stable keeps while the candidate bakes, in percent.
            shared: Whether requests can be shared; else, and where there is no stable, it is all at once.
        """
        spec = self.serving.rollout
        rollout = spec if shared and self.stable is not None else at_once(spec)
        status = self.rollout or begin(rollout, self.seen.now)
        return advance(
            status, rollout, sight, self.seen.now, shown=self.shown, command=self.command, kept=kept
        )


@dataclass(frozen=True)
class Served:
    """What shall be deployed, whether the stable version answers, where, and the candidate's `move`."""

    desired: tuple[Obj, ...] = ()
    delete: tuple[Ref, ...] = ()
    ready: bool = False
    url: str | None = None
    message: str = ""
    move: Move | None = None
    look_again: float | None = None
    gateway: GatewayStatus | None = None


class Way(Protocol):
    """A way of serving versions and of sharing requests between two of them."""

    def __call__(self, it: Situation) -> Served:
        """Return how the stable version is served and the candidate, if any, brought in beside it."""
        ...


def nothing(seen: RecModelSeen) -> Served:
    """Return a plan that serves nothing and removes what was served."""
    kinds = {INFERENCE_SERVICES.kind, HTTP_ROUTES.kind, DISRUPTION_BUDGETS.kind}
    service = Ref(SERVICES.kind, seen.owner.name)
    return Served(delete=tuple(c for c in seen.children if c.kind in kinds or c == service))
