"""The part of observing that all kinds share: one gathering pass over a resource and what it owns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from fathom_api import Annotations
from fathom_api.meta import StatusModel
from fathom_operator.claims import claims_in
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import CLAIMS, CONFIG_MAPS, JOB_KINDS, JOBS, PODS, Obj, Resource
from fathom_operator.owner import Owner, owner_of
from fathom_operator.plan import Children, Key, Ref
from fathom_operator.reports import Report, Reports
from fathom_operator.times import Clock
from fathom_operator.views import JobView, PodView, job_view, pod_view

_LONGEST_RETRY: Final = 253
SpecT = TypeVar("SpecT", bound=BaseModel)
StatusT = TypeVar("StatusT", bound=StatusModel)


@dataclass(frozen=True)
class Seen(Generic[SpecT, StatusT]):
    """A resource, what it owns and what its pods have said; each kind adds its own to it."""

    obj: Obj
    #: None if what the API server holds is not a valid spec for us; then `invalid` says why.
    spec: SpecT | None
    invalid: str
    status: StatusT
    now: datetime
    children: Children
    jobs: tuple[JobView, ...]
    pods: tuple[PodView, ...]
    missing_claims: frozenset[str]
    reports: dict[str, Report]

    @property
    def owner(self) -> Owner:
        """Return the resource as the owner of its children."""
        return owner_of(self.obj)

    @property
    def generation(self) -> int:
        """Return the generation of the spec."""
        return int(self.obj["metadata"].get("generation", 0))

    @property
    def retry(self) -> str:
        """Return the value of the annotation fathom.dev/retry, as much of it as a status may hold."""
        return str(self.annotations.get(Annotations.RETRY, ""))[:_LONGEST_RETRY]

    @property
    def annotations(self) -> dict[str, str]:
        """Return the annotations of the resource."""
        return self.obj["metadata"].get("annotations") or {}


def read(kube: Kube, resource: Resource, key: Key) -> Obj | None:
    """Return the resource, None if it is gone or being deleted."""
    obj = kube.get(resource, key.namespace, key.name)
    if obj is None or "deletionTimestamp" in obj["metadata"]:
        return None
    return obj | {"apiVersion": resource.api_version, "kind": resource.kind}


def gather(
    kube: Kube,
    reports: Reports,
    clock: Clock,
    obj: Obj,
    kinds: tuple[type[SpecT], type[StatusT]],
    *,
    owns: Iterable[Resource] = (JOBS, CONFIG_MAPS),
) -> Seen[SpecT, StatusT]:
    """Return what all kinds see of `obj`, by the models of its spec and status and the kinds it owns."""
    owner = owner_of(obj)
    children = owned(kube, owner, owns)
    spec, invalid = parse_spec(kinds[0], obj)
    return Seen(
        obj=obj,
        spec=spec,
        invalid=invalid,
        status=parse_status(kinds[1], obj),
        now=clock(),
        children=children,
        jobs=jobs_in(children),
        pods=pods_of(kube, owner),
        missing_claims=missing_claims(kube, owner.namespace, obj.get("spec", {})),
        reports=dict(reports.of(owner.key)),
    )


def owned(kube: Kube, owner: Owner, resources: Iterable[Resource] = (JOBS, CONFIG_MAPS)) -> dict[Ref, Obj]:
    """Return the children of these kinds, not what KServe or Knative has made for them with their labels."""
    return {
        Ref(resource.kind, child["metadata"]["name"]): child
        for resource in resources
        for child in kube.items(resource, owner.namespace, owner.selector)
        if owner.owns(child)
    }


def pods_of(kube: Kube, owner: Owner) -> tuple[PodView, ...]:
    """Return the pods of `owner`."""
    return tuple(pod_view(pod) for pod in kube.items(PODS, owner.namespace, owner.selector))


def jobs_in(children: Children) -> tuple[JobView, ...]:
    """Return what runs pods among `children`: Jobs, JobSets and TrainJobs."""
    return tuple(job_view(child) for key, child in children.items() if key.kind in JOB_KINDS)


def missing_claims(kube: Kube, namespace: str, spec: Obj) -> frozenset[str]:
    """Return the claims that `spec` names and that do not exist."""
    return frozenset(c for c in claims_in(spec) if kube.get(CLAIMS, namespace, c) is None)


def parse_spec(kind: type[SpecT], obj: Obj) -> tuple[SpecT | None, str]:
    """Return the spec, or None and what is wrong with it."""
    try:
        return kind.model_validate(obj.get("spec", {})), ""
    except ValidationError as error:
        problems = [f"spec.{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        return None, "; ".join(problems)


def parse_status(kind: type[StatusT], obj: Obj) -> StatusT:
    """Return the status; one that an incompatible version wrote counts as none: it is worked out anew."""
    try:
        return kind.model_validate(obj.get("status", {}))
    except ValidationError:
        return kind()
