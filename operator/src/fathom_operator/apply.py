"""Carrying out a plan: the children that differ, then the status, then the events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fathom_api import Annotations
from fathom_operator.jobs import job_patch
from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import InvalidError
from fathom_operator.kube.resources import CHILD_KINDS, Obj, Resource
from fathom_operator.plan import Children, Plan, ref
from fathom_operator.traffic import share

#: Kinds whose objects, like a Job's template, cannot change once they are there.
_FIXED: Final = frozenset({"JobSet", "TrainJob", "TrainingRuntime"})


class RefusedError(Exception):
    """The API server does not take a child: what the user's spec says about it is not valid."""


@dataclass(frozen=True)
class Change:
    """A child to apply, or with `patch` to change in these fields only."""

    child: Obj
    patch: Obj | None = None


def changes(plan: Plan, children: Children) -> Iterator[Change]:
    """Yield the changes that bring `children` to what `plan` wants.

    The template of a Job cannot change, and a newer operator must not disturb work in progress: of a Job
    that exists only these follow: parallelism, suspension and the checkpoint annotation.
    """
    for wanted in plan.desired:
        existing, kind = children.get(ref(wanted)), wanted["kind"]
        if existing is None:
            yield Change(wanted)
        elif kind == "Job":
            if patch := job_patch(wanted, existing):
                yield Change(wanted, patch)
        elif kind in _FIXED:
            continue
        elif (_spec_hash(existing), share(kind, existing)) != (_spec_hash(wanted), share(kind, wanted)):
            yield Change(wanted)


def apply_children(kube: Kube, namespace: str, plan: Plan, children: Children) -> None:
    """Make `children` what `plan` wants.

    Raises:
        RefusedError: the API server refuses a child as invalid; the message is the server's.
    """
    for change in changes(plan, children):
        _apply(kube, namespace, change)
    for child in plan.delete:
        kube.delete(CHILD_KINDS[child.kind], namespace, child.name)


def apply_status(kube: Kube, resource: Resource, obj: Obj, status: Obj) -> None:
    """Write the whole status of `obj`, unless that is what it has."""
    if obj.get("status", {}) == status:
        return
    meta = obj["metadata"]
    # With the uid, a resource deleted and made anew in the meantime does not get the old one's status.
    identity = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
    document = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": identity,
        "status": status,
    }
    kube.apply(resource, document, "status")


def _apply(kube: Kube, namespace: str, change: Change) -> None:
    child = change.child
    resource = CHILD_KINDS[child["kind"]]
    try:
        if change.patch is None:
            kube.apply(resource, child)
        else:
            kube.patch(resource, namespace, child["metadata"]["name"], change.patch)
    except InvalidError as error:
        raise RefusedError(error.message) from error


def _spec_hash(obj: Obj) -> str | None:
    return obj["metadata"].get("annotations", {}).get(Annotations.SPEC_HASH)
