"""Reconciling one resource: observe → decide → apply, in one thread from start to end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fathom_operator.apply import RefusedError, apply_children, apply_status
from fathom_operator.events import post
from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import KubeError
from fathom_operator.kube.resources import Obj, Resource
from fathom_operator.leader import NotLeaderError
from fathom_operator.pace import Pace
from fathom_operator.plan import Children, Key, Note, Plan
from fathom_operator.times import soonest

_log = logging.getLogger(__name__)
#: A pod's spec that the API server refused is tried again after this, in case the refusal came from a policy.
_REFUSED_SECONDS = 60.0
#: No answer, gone, somebody was faster, too many requests, trouble within: these pass.
_PASSING = frozenset({0, 404, 409, 429, 500, 502, 503, 504})


class Observation(Protocol):
    """What every observation has."""

    @property
    def obj(self) -> Obj:
        """The resource itself."""
        ...

    @property
    def children(self) -> Children:
        """What it owns."""
        ...


SeenT = TypeVar("SeenT", bound=Observation)


class Controller(Protocol[SeenT]):
    """What is particular to a kind."""

    resource: Resource

    def observe(self, kube: Kube, key: Key) -> SeenT | None:
        """Return all that a decision needs, None if the resource is gone or going."""
        ...

    def decide(self, seen: SeenT) -> Plan:
        """Return what shall be; pure."""
        ...

    def refuse(self, seen: SeenT, message: str) -> Plan:
        """Return what shall be when the API server refuses a child with `message`; pure."""
        ...


@dataclass(frozen=True)
class Result:
    """What a reconcile leaves: the stage for the metrics, when to look again, whom to wait for and wake."""

    stage: str
    look_again: float | None
    waits_for: frozenset[Key]
    wakes: frozenset[Key] = frozenset()


class Reconciler(Generic[SeenT]):
    """Reconciles the resources of one kind."""

    def __init__(self, kube: Kube, controller: Controller[SeenT]) -> None:
        """Take the client that writes and what is particular to the kind."""
        self._kube = kube
        self._controller = controller
        self._pace = Pace()

    def reconcile(self, key: Key) -> Result | None:
        """Bring the world nearer to what the resource says; None if there is no such resource.

        Raises:
            KubeError: the API server did not answer or somebody else was faster; try again.
        """
        seen = self._controller.observe(self._kube, key)
        if seen is None:
            self._pace.forget(key)
            return None
        try:
            plan = self._carry_out(seen, key)
            if plan.expired:
                self._remove(seen.obj)
                return None
            wait = self._write_status(seen.obj, plan.status, key)
        except Exception as error:
            self._tell(seen.obj, error)
            raise
        self._post(seen.obj, plan.events)
        look_again = soonest(plan.look_again, wait)
        return Result(str(plan.status.get("stage", "")), look_again, plan.waits_for, plan.wakes)

    def _write_status(self, obj: Obj, status: Obj, key: Key) -> float | None:
        """Write the status, or return for how many seconds it must wait."""
        before = obj.get("status", {})
        if before == status:
            return None
        wait = self._pace.wait(key, before, status)
        if wait is None:
            apply_status(self._kube, self._controller.resource, obj, status)
        return wait

    def _remove(self, obj: Obj) -> None:
        """Delete the resource, unless somebody has touched it since it was read."""
        meta = obj["metadata"]
        only_if = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        self._kube.delete(self._controller.resource, meta["namespace"], meta["name"], only_if)

    def _carry_out(self, seen: SeenT, key: Key) -> Plan:
        plan = self._controller.decide(seen)
        try:
            apply_children(self._kube, key.namespace, plan, seen.children)
        except RefusedError as error:
            refused = self._controller.refuse(seen, str(error))
            return Plan(refused.status, events=refused.events, look_again=_REFUSED_SECONDS)
        return plan

    def _tell(self, obj: Obj, error: Exception) -> None:
        """Post an Event about an error that will not go away by itself: nobody reads an operator's log."""
        passing = isinstance(error, NotLeaderError) or (
            isinstance(error, KubeError) and error.status in _PASSING
        )
        if not passing:
            said = str(error) if isinstance(error, KubeError) else f"{type(error).__name__}: {error}"
            self._post(obj, (Note("Warning", "ReconcileError", said),))

    def _post(self, obj: Obj, notes: tuple[Note, ...]) -> None:
        for note in notes:
            try:
                post(self._kube, obj, note)
            except KubeError as error:
                # The status says it too; an Event is not worth another reconcile.
                _log.warning("event %s about %s not posted: %s", note.reason, obj["metadata"]["name"], error)
