"""All that a decision about a RecModel needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from fathom_api import CaptionJobStatus, RecModelSpec, RecModelStatus
from fathom_api.captionjob import FeatureArtifact
from fathom_api.recmodel import Rollout
from fathom_operator.conditions import told
from fathom_operator.interestmap.guiding import Guide, guide_of
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import (
    CAPTION_JOBS,
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    GATEWAYS,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    INTEREST_MAPS,
    JOB_KINDS,
    JOB_SETS,
    NETWORK_POLICIES,
    REC_MODELS,
    REVISIONS,
    SERVICES,
    TRAIN_JOBS,
    TRAINING_RUNTIMES,
    Obj,
)
from fathom_operator.observation import Seen, gather, parse_status, read
from fathom_operator.owner import Owner, owner_of
from fathom_operator.plan import Key, Ref
from fathom_operator.recmodel import checks, record
from fathom_operator.recmodel.checks import Checks
from fathom_operator.recmodel.evidence import Evidences, Shown, side
from fathom_operator.recmodel.gateways import GatewayView, gateway_view, ready_endpoints
from fathom_operator.recmodel.secrets import tokens
from fathom_operator.recmodel.services import RevisionView, ServiceView, revision_view, services_in
from fathom_operator.reports import Reports
from fathom_operator.times import Clock
from fathom_operator.views import JobView, PodView

_OWNED: Final = (
    *JOB_KINDS.values(),
    TRAINING_RUNTIMES,
    CONFIG_MAPS,
    SERVICES,
    NETWORK_POLICIES,
    INFERENCE_SERVICES,
    HTTP_ROUTES,
    DISRUPTION_BUDGETS,
)


@dataclass(frozen=True)
class CaptionsSeen:
    """A CaptionJob that a RecModel names; `features` once there are any, while newer ones are made too."""

    name: str
    stage: str = "Pending"
    features: FeatureArtifact | None = None
    #: What its condition Ready says, and whether it waits for somebody.
    message: str = ""
    stalled: bool = False


@dataclass(frozen=True)
class RecModelSeen(Seen[RecModelSpec, RecModelStatus]):
    """A RecModel, what it owns, what it is made from and how it is served."""

    captions: dict[str, CaptionsSeen | None] = field(default_factory=dict[str, CaptionsSeen | None])
    services: dict[str, ServiceView] = field(default_factory=dict[str, ServiceView])
    revisions: dict[str, RevisionView] = field(default_factory=dict[str, RevisionView])
    #: Gateways that may be meant, and ready endpoints by the name of their Service; Standard mode only.
    gateways: tuple[GatewayView, ...] = ()
    endpoints: dict[str, int] = field(default_factory=dict[str, int])
    #: API groups that serving needs and the cluster does not have, and the modes that it could serve in.
    not_installed: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    #: Kinds beside Job that the cluster has for several nodes; not looked for where one is asked for.
    launchers: frozenset[str] = frozenset()
    #: What the candidate has shown in this step of its rollout.
    shown: Shown = field(default_factory=Shown)
    #: Where the ranker looks for the table of the InterestMap that guides it, once one is published.
    guide: str | None = None
    #: The InterestMap that guides it, or will.
    guided_by: str | None = None
    #: Jobs that check a candidate; `jobs` has all others.
    checks: tuple[JobView, ...] = ()


def observe(
    kube: Kube, reports: Reports, evidences: Evidences, clock: Clock, key: Key
) -> RecModelSeen | None:
    """Return the RecModel and what it owns, None if it is gone."""
    obj = read(kube, REC_MODELS, key)
    if obj is None:
        evidences.forget(key)
        return None
    found = gather(kube, reports, clock, obj, (RecModelSpec, RecModelStatus), owns=_OWNED)
    owner, children, spec, status = owner_of(obj), found.children, found.spec, found.status
    revisions = kube.items(REVISIONS, key.namespace, owner.selector) if _knative(spec) else []
    rollout = spec.serving.rollout if spec and spec.serving else Rollout()
    kept = children.get(Ref(CONFIG_MAPS.kind, record.record_name(owner.name)))
    lacking = _not_installed(kube, spec)
    reads = tokens(kube, key.namespace)
    shown = evidences.look(key, rollout, status, found.pods, found.now, record=kept, tokens=reads)
    checking = tuple(job for job in found.jobs if job.stage == checks.STAGE)
    found = replace(found, jobs=tuple(job for job in found.jobs if job.stage != checks.STAGE))
    if (step := checks_of(owner, rollout, status, found.pods)) is not None:
        shown = replace(shown, said={**shown.said, **step.said(checking, found.pods)})
    guide = _guide(kube, key, spec)
    return RecModelSeen(
        **vars(found),
        captions={name: _captions(kube, key.namespace, name) for name in _names(spec)},
        services=services_in(children),
        revisions={revision["metadata"]["name"]: revision_view(revision) for revision in revisions},
        gateways=_gateways(kube, key.namespace, spec),
        endpoints=_endpoints(kube, owner, spec, children),
        not_installed=lacking,
        modes=_modes(kube) if lacking else (),
        launchers=_launchers(kube, spec),
        shown=shown,
        checks=checking,
        guide=guide.uri if guide else None,
        guided_by=guide.name if guide else None,
    )


def checks_of(
    owner: Owner, rollout: Rollout, status: RecModelStatus, pods: Iterable[PodView]
) -> Checks | None:
    """Return the checks of the step that `status` is in; None where nothing is rolled out."""
    if status.rollout is None or status.stable is None or status.candidate is None:
        return None
    pods = list(pods)
    stable, candidate = side(status.stable.name, pods), side(status.candidate.name, pods)
    return Checks(owner, rollout, status, stable, candidate)


def captions_seen(obj: Obj) -> CaptionsSeen:
    """Return what a RecModel wants to know of a CaptionJob."""
    status = parse_status(CaptionJobStatus, obj)
    message, stalled = told(status.conditions)
    return CaptionsSeen(
        name=obj["metadata"]["name"],
        stage=status.stage,
        features=status.features,
        message=message,
        stalled=stalled,
    )


def _captions(kube: Kube, namespace: str, name: str) -> CaptionsSeen | None:
    obj = kube.get(CAPTION_JOBS, namespace, name)
    return captions_seen(obj) if obj else None


def _guide(kube: Kube, key: Key, spec: RecModelSpec | None) -> Guide | None:
    if spec is None or spec.serving is None:
        return None
    return guide_of(kube.items(INTEREST_MAPS, key.namespace), key.name)


def _names(spec: RecModelSpec | None) -> list[str]:
    return [feature.caption_job for feature in spec.features.captions] if spec else []


def _knative(spec: RecModelSpec | None) -> bool:
    return spec is not None and spec.serving is not None and spec.serving.mode == "Knative"


def _routed(spec: RecModelSpec | None) -> bool:
    return spec is not None and spec.serving is not None and spec.serving.routed


def _not_installed(kube: Kube, spec: RecModelSpec | None) -> tuple[str, ...]:
    if spec is None or spec.serving is None:
        return ()
    needed = [INFERENCE_SERVICES]
    if _knative(spec):
        needed.append(REVISIONS)
    if spec.serving.routed:
        needed.append(HTTP_ROUTES)
    return tuple(resource.group for resource in needed if not kube.served(resource))


def _modes(kube: Kube) -> tuple[str, ...]:
    """Return the modes that a rollout by steps could use, for those whose mode is not there."""
    if not kube.served(INFERENCE_SERVICES):
        return ()
    needs = {"Knative": REVISIONS, "Standard": HTTP_ROUTES}
    return tuple(mode for mode, resource in needs.items() if kube.served(resource))


def _gateways(kube: Kube, namespace: str, spec: RecModelSpec | None) -> tuple[GatewayView, ...]:
    """Return the Gateway that the spec names, or all there are."""
    if spec is None or spec.serving is None or not spec.serving.routed:
        return ()
    named = spec.serving.gateway
    if named is None:
        return tuple(gateway_view(each) for each in kube.items(GATEWAYS, None))
    found = kube.get(GATEWAYS, named.namespace or namespace, named.name)
    return (gateway_view(found),) if found else ()


def _endpoints(
    kube: Kube, owner: Owner, spec: RecModelSpec | None, children: Iterable[Ref]
) -> dict[str, int]:
    """Return the ready endpoints behind the InferenceServices: what a Gateway sends requests to."""
    services = [f"{child.name}-predictor" for child in children if child.kind == INFERENCE_SERVICES.kind]
    if not _routed(spec) or not services:
        return {}
    selector = f"kubernetes.io/service-name in ({','.join(sorted(services))})"
    return ready_endpoints(kube.items(ENDPOINT_SLICES, owner.namespace, selector))


def _launchers(kube: Kube, spec: RecModelSpec | None) -> frozenset[str]:
    if spec is None or spec.training.nodes == 1:
        return frozenset()
    return frozenset(resource.kind for resource in (JOB_SETS, TRAIN_JOBS) if kube.served(resource))
