"""Backfills in any stage: what is seen once plans have been carried out and pods have spoken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders.manifests import backfill
from builders.seen import PLATFORM, backfilling, carried_out, done, ended, pod, report
from fathom_api import BackfillSpec
from fathom_api.progress import Outcome, Progress
from fathom_operator.backfill.decide import decide
from fathom_operator.backfill.observe import BackfillSeen
from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Plan
from fathom_operator.recmodel.services import ServiceView

ITEMS = 200
PROBES = {"queries": "pvc://data/queries.parquet", "stopIf": {"negativeFlipRate": "2%", "recallDrop": "1%"}}
#: What pods of each stage leave.
LEFT = {
    "estimate": Outcome(
        result="Succeeded", progress=Progress(total=64, done=64, metrics={"items": 200.0, "per_second": 4.0})
    ),
    "pair": Outcome(
        result="Succeeded",
        digest=f"sha256:{'1' * 64}",
        progress=Progress(total=64, done=64, metrics={"items": float(ITEMS), "pairs": 64.0}),
    ),
    "fit": Outcome(
        result="Succeeded",
        digest=f"sha256:{'2' * 64}",
        progress=Progress(
            total=64,
            done=64,
            metrics={"recall_old": 0.5, "recall_merged": 0.6, "recall_new": 0.7, "pairs": 64.0},
        ),
    ),
    "move": Outcome(result="Succeeded", progress=Progress(total=ITEMS, done=ITEMS)),
    "view": Outcome(result="Succeeded"),
    "complete": Outcome(result="Succeeded", progress=Progress(metrics={"added": 3.0})),
    "drop": Outcome(result="Succeeded"),
}


def plan_of(seen: BackfillSeen) -> Plan:
    """Return what is decided."""
    return decide(seen, PLATFORM)


def jobs(plan: Plan) -> dict[str, Obj]:
    """Return the Jobs that a plan wants, by stage."""
    wanted = [child for child in plan.desired if child["kind"] == "Job"]
    return {job["metadata"]["labels"]["fathom.dev/stage"]: job for job in wanted}


def followed(seen: BackfillSeen) -> BackfillSeen:
    """Return what is seen once today's plan has been carried out."""
    return carried_out(seen, plan_of(seen))


def ended_well(seen: BackfillSeen, stage: str, outcome: Outcome | None = None) -> BackfillSeen:
    """Return what is seen once the Job of a stage that goes on is complete."""
    seen = followed(seen)
    job = next(job for job in seen.jobs if job.stage == stage and not job.finished)
    return ended(seen, job.name, "Complete", [done(job.name, outcome or LEFT[stage])])


def ended_badly(seen: BackfillSeen, stage: str, outcome: Outcome, code: int = 65) -> BackfillSeen:
    """Return what is seen once the Job of a stage that goes on has failed."""
    seen = followed(seen)
    job = next(job for job in seen.jobs if job.stage == stage and not job.finished)
    last = pod(job.name, phase="Failed", exit_code=code, outcome=outcome)
    return ended(seen, job.name, "Failed", [last])


def comparable(**changes: Any) -> BackfillSeen:
    """Return a Backfill whose models are comparable; its retriever answers, nothing has moved."""
    seen = backfilling(**changes)
    for stage in ("estimate", "pair", "fit"):
        seen = ended_well(seen, stage)
    return answering(seen) if "spec__serving" in changes else seen


def answering(seen: BackfillSeen) -> BackfillSeen:
    """Return what is seen while the retriever is ready."""
    seen = followed(seen)
    view = ServiceView("gallery-retriever", "retriever", ready=True, url="http://x")
    served = pod("", stage="retrieve", ready=True)
    return replace(seen, services={"gallery-retriever": view}, pods=(*seen.pods, served))


def with_moved(seen: BackfillSeen, items: int, **progress: Any) -> BackfillSeen:
    """Return what is seen once the one pod of the move has said that `items` have moved."""
    seen = followed(seen)
    job = next(job for job in seen.jobs if job.stage == "move" and not job.finished)
    mover = pod(job.name)
    told = report(total=ITEMS, done=items, per_second=2.0, **progress)
    others = tuple(each for each in seen.pods if each.uid != mover.uid)
    return replace(seen, pods=(*others, mover), reports=seen.reports | {mover.uid: told})


def with_probes(seen: BackfillSeen, **points: tuple[float, float]) -> BackfillSeen:
    """Return what is seen once the probes have said recall and flips, as in `p50=(0.7, 0.01)`."""
    seen = followed(seen)
    job = next(job for job in seen.jobs if job.stage == "probe")
    metrics = {
        f"probe/{name.removeprefix('p')}/{what}": value
        for name, point in points.items()
        for what, value in zip(("recall", "flips"), point, strict=True)
    }
    prober = pod(job.name)
    told = report(total=101, done=len(points), metrics=metrics)
    others = tuple(each for each in seen.pods if each.uid != prober.uid)
    return replace(seen, pods=(*others, prober), reports=seen.reports | {prober.uid: told})


def respecified(seen: BackfillSeen, **changes: Any) -> BackfillSeen:
    """Return what is seen once people have written another spec."""
    manifest = backfill(**changes)
    spec = BackfillSpec.model_validate(manifest["spec"])
    return replace(seen, obj=seen.obj | {"spec": manifest["spec"]}, spec=spec)


def asked_again(seen: BackfillSeen, value: str) -> BackfillSeen:
    """Return what is seen once the annotation fathom.dev/retry has another value."""
    meta = seen.obj["metadata"] | {"annotations": {"fathom.dev/retry": value}}
    return replace(seen, obj=seen.obj | {"metadata": meta})


def refused(reason: str, message: str) -> Outcome:
    """Return the last words of a pod that found its input wrong."""
    return Outcome(result="Failed", reason=reason, message=message)
