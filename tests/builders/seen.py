"""What the operator sees, built part by part: resources, Jobs and pods in any state, no API server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from builders.manifests import backfill, caption_job, rec_model
from fathom_api import (
    API_VERSION,
    BackfillSpec,
    BackfillStatus,
    CaptionJobSpec,
    CaptionJobStatus,
    RecModelSpec,
    RecModelStatus,
)
from fathom_api.captionjob import FeatureArtifact
from fathom_api.progress import Outcome, Progress
from fathom_operator.backfill.observe import BackfillSeen
from fathom_operator.captionjob.observe import CaptionJobSeen, TeacherSeen
from fathom_operator.catalogues import CatalogueSeen
from fathom_operator.interestmap.observe import InterestMapSeen
from fathom_operator.kube.resources import Obj
from fathom_operator.observation import Seen, SpecT, StatusT, jobs_in, parse_spec, parse_status
from fathom_operator.plan import Plan, ref
from fathom_operator.platform import Platform
from fathom_operator.recmodel.observe import CaptionsSeen, RecModelSeen
from fathom_operator.reports import Report
from fathom_operator.views import PodView, Problem

SeenT = TypeVar("SeenT", CaptionJobSeen, RecModelSeen, BackfillSeen, InterestMapSeen)
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
PLATFORM = Platform("captioner:1", "trainer:1", "ranker:1", "retriever:1")
DIGEST = f"sha256:{'a' * 64}"


def later(**span: float) -> datetime:
    """Return the moment that long after NOW."""
    return NOW + timedelta(**span)


def resource(manifest: Obj, status: Obj | None = None, *, retry: str = "", generation: int = 1) -> Obj:
    """Return a manifest as the API server would hold it."""
    annotations = {"fathom.dev/retry": retry} if retry else {}
    meta = manifest["metadata"] | {
        "namespace": "shop",
        "uid": "0000-uid",
        "generation": generation,
        "resourceVersion": "7",
        "annotations": annotations,
    }
    return manifest | {"apiVersion": API_VERSION, "metadata": meta, "status": status or {}}


def untouched(obj: Obj, kinds: tuple[type[SpecT], type[StatusT]], now: datetime) -> Seen[SpecT, StatusT]:
    """Return what is seen of a resource that nothing has been done for yet."""
    spec, invalid = parse_spec(kinds[0], obj)
    return Seen(
        obj=obj,
        spec=spec,
        invalid=invalid,
        status=parse_status(kinds[1], obj),
        now=now,
        children={},
        jobs=(),
        pods=(),
        missing_claims=frozenset(),
        reports={},
    )


def captioning(
    status: Obj | None = None,
    *,
    retry: str = "",
    now: datetime = NOW,
    generation: int = 1,
    teacher: TeacherSeen | None = None,
    **changes: Any,
) -> CaptionJobSeen:
    """Return a CaptionJob that nothing has been done for yet."""
    obj = resource(caption_job(**changes), status, retry=retry, generation=generation)
    return CaptionJobSeen(
        **vars(untouched(obj, (CaptionJobSpec, CaptionJobStatus), now)),
        teacher=teacher,
    )


def ranking(
    status: Obj | None = None,
    *,
    retry: str = "",
    now: datetime = NOW,
    captions: Mapping[str, CaptionsSeen | None] | None = None,
    **changes: Any,
) -> RecModelSeen:
    """Return a RecModel that nothing has been done for yet."""
    obj = resource(rec_model(**changes), status, retry=retry)
    return RecModelSeen(
        **vars(untouched(obj, (RecModelSpec, RecModelStatus), now)),
        captions=dict(captions or {}),
    )


def backfilling(
    status: Obj | None = None,
    *,
    retry: str = "",
    now: datetime = NOW,
    catalogue: CatalogueSeen | None = None,
    **changes: Any,
) -> BackfillSeen:
    """Return a Backfill that nothing has been done for yet."""
    obj = resource(backfill(**changes), status, retry=retry)
    return BackfillSeen(**vars(untouched(obj, (BackfillSpec, BackfillStatus), now)), catalogue=catalogue)


def captions_complete(name: str = "catalog", digest: str = DIGEST) -> CaptionsSeen:
    """Return a CaptionJob with features, as a RecModel sees it."""
    return CaptionsSeen(
        name, "Complete", FeatureArtifact(uri="pvc://features/catalog/features", digest=digest)
    )


def job(plan: Plan) -> Obj:
    """Return the one Job that a plan wants."""
    [wanted] = [child for child in plan.desired if child["kind"] == "Job"]
    return wanted


def stage_of(plan: Plan) -> tuple[str, str]:
    """Return the stage and the reason of `Ready`."""
    ready = condition(plan, "Ready")
    return plan.status["stage"], ready["reason"]


def condition(plan: Plan, kind: str) -> Obj:
    """Return a condition of the status that a plan writes."""
    return next(c for c in plan.status["conditions"] if c["type"] == kind)


def carried_out(seen: SeenT, plan: Plan, **changes: Any) -> SeenT:
    """Return what is seen once a plan has been carried out."""
    changed = {ref(child): child for child in plan.desired}
    # The template of a Job cannot change: one that exists stays as it is.
    jobs_before = {key: child for key, child in seen.children.items() if key.kind == "Job"}
    children = dict(seen.children) | changed | jobs_before
    for gone in plan.delete:
        children.pop(gone, None)
    jobs = jobs_in(children)
    status = type(seen.status).model_validate(plan.status)
    obj = seen.obj | {"status": plan.status}
    return replace(seen, obj=obj, status=status, children=children, jobs=jobs, **changes)


def ended(seen: SeenT, name: str, how: str, pods: Iterable[PodView] = (), **status: Any) -> SeenT:
    """Return what is seen when the Job `name` is Complete or Failed."""
    return with_job_status(
        seen,
        name,
        pods,
        conditions=[{"type": how, "status": "True", "reason": how, "message": "said so"}],
        **status,
    )


def with_job_status(seen: SeenT, name: str, pods: Iterable[PodView] = (), **status: Any) -> SeenT:
    """Return what is seen when a Job has this status and these pods."""
    children = {
        key: child | {"status": status} if key == ("Job", name) else child
        for key, child in seen.children.items()
    }
    return replace(seen, children=children, jobs=jobs_in(children), pods=(*seen.pods, *pods))


def suspended(seen: SeenT, name: str) -> SeenT:
    """Return what is seen when somebody has suspended the Job `name`."""
    return _with_job(seen, name, spec={"suspend": True})


def halted(seen: SeenT, name: str) -> SeenT:
    """Return what is seen when the operator has suspended the Job `name`."""
    return _with_job(seen, name, {"annotations": {"fathom.dev/suspended": "true"}}, {"suspend": True})


def _with_job(seen: SeenT, name: str, metadata: Obj | None = None, spec: Obj | None = None) -> SeenT:
    def changed(child: Obj) -> Obj:
        return child | {
            "metadata": child["metadata"] | (metadata or {}),
            "spec": child["spec"] | (spec or {}),
        }

    children = {k: changed(c) if k == ("Job", name) else c for k, c in seen.children.items()}
    return replace(seen, children=children, jobs=jobs_in(children))


def pod(job_name: str, index: int = 0, **changes: Any) -> PodView:
    """Return a running pod of a Job."""
    base = PodView(
        name=f"{job_name}-{index}-x",
        uid=f"uid-{job_name}-{index}",
        stage="",
        run="",
        job=job_name,
        index=index,
        phase="Running",
        created=f"2026-01-31T11:{index:02d}:00Z",
    )
    return replace(base, **changes)


def done(job_name: str, outcome: Outcome, index: int = 0) -> PodView:
    """Return a pod that did its work."""
    return pod(job_name, index, phase="Succeeded", exit_code=0, outcome=outcome)


def broken(job_name: str, outcome: Outcome | None = None, code: int = 1, **changes: Any) -> PodView:
    """Return a pod that failed."""
    return pod(job_name, phase="Failed", exit_code=code, outcome=outcome, **changes)


def stuck(job_name: str, reason: str, message: str = "") -> PodView:
    """Return a pod that does not start."""
    return pod(job_name, phase="Pending", problem=Problem(reason, message))


def report(at: datetime = NOW, **progress: Any) -> Report:
    """Return what a pod said."""
    return Report(Progress(**progress), at)
