"""The work of a Backfill: each stage is a Job of `fathom backfill STAGE`."""

from __future__ import annotations

from typing import Any, Final, Literal

from fathom_api import BackfillSpec
from fathom_api.backfill import TWO_PASSES
from fathom_api.backfill_tasks import (
    AnyProbes,
    BackfillCompleteTask,
    BackfillDropTask,
    BackfillEstimateTask,
    BackfillFitTask,
    BackfillMoveTask,
    BackfillPairTask,
    BackfillProbeTask,
    BackfillTask,
    BackfillViewTask,
)
from fathom_api.tasks import CaptionsAt
from fathom_operator.claims import claims_in
from fathom_operator.owner import Owner
from fathom_operator.platform import Platform
from fathom_operator.pods import without_devices
from fathom_operator.work import Work

FirstStage = Literal["estimate", "pair", "fit"]
#: What is done once, before anything moves.
FIRST: Final[tuple[FirstStage, ...]] = ("estimate", "pair", "fit")
JobStage = Literal["estimate", "pair", "fit", "view", "move", "probe", "complete", "drop"]
#: What needs no GPU: it reads, counts and writes.
_PLAIN: Final = frozenset({"view", "probe", "drop"})
#: Enough for the batch in flight.
_GRACE_SECONDS: Final = 120


def work(
    stage: JobStage,
    spec: BackfillSpec,
    owner: Owner,
    platform: Platform,
    *,
    target: int,
    attempt: str,
    captions: CaptionsAt | None = None,
) -> Work:
    """Return the work of one stage, up to `target` percent where a stage goes by it.

    `attempt` is new whenever somebody asks for another try; `captions` are the gallery, where it is a
    CaptionJob's.
    """
    template = without_devices(spec.template) if stage in _PLAIN else spec.template
    if template.termination_grace_period_seconds is None:
        template = template.model_copy(update={"termination_grace_period_seconds": _GRACE_SECONDS})
    return Work(
        owner=owner,
        stage=stage,
        command=f"backfill {stage}",
        task=_task(stage, spec, target, captions),
        image=platform.captioner_image,
        template=template,
        writes=claims_in(spec.output.uri),
        # What must not wait for a quota, a rollback above all, is not queued.
        queue_name=None if stage in _PLAIN else spec.queue_name,
        backoff_limit=spec.backoff_limit,
        # As many shards as pods: with more, those of the pods at work would run ahead of the order.
        shards=spec.pace.parallelism if stage == "move" else None,
        parallelism=spec.pace.parallelism if stage == "move" else 1,
        retry=attempt,
    )


def _task(stage: JobStage, spec: BackfillSpec, target: int, captions: CaptionsAt | None) -> BackfillTask:
    common = {
        "gallery": _gallery(spec, captions),
        "from": spec.from_.document(),
        "to": spec.to.document(),
        "output": spec.output.uri,
    }
    tasks: dict[JobStage, tuple[type[BackfillTask], dict[str, Any]]] = {
        "estimate": (BackfillEstimateTask, {}),
        "pair": (
            BackfillPairTask,
            {
                "pairs": spec.compatibility.pairs,
                "seed": spec.compatibility.seed,
                "oldQueries": spec.compatibility.method in TWO_PASSES,
            },
        ),
        "fit": (
            BackfillFitTask,
            {"compatibility": spec.compatibility.document(), "order": spec.order.document(), **_probes(spec)},
        ),
        "view": (BackfillViewTask, {"target": target}),
        "move": (
            BackfillMoveTask,
            {
                "parallelism": spec.pace.parallelism,
                "itemsPerSecond": spec.pace.items_per_second,
                "target": target,
            },
        ),
        "probe": (BackfillProbeTask, {"target": target, **_probes(spec)}),
        "complete": (BackfillCompleteTask, _probes(spec)),
        "drop": (BackfillDropTask, {}),
    }
    kind, own = tasks[stage]
    return kind.model_validate(common | own)


def _gallery(spec: BackfillSpec, captions: CaptionsAt | None) -> dict[str, Any]:
    if captions is None:
        return spec.gallery.document()
    return {"captions": captions.document(), "idColumn": spec.gallery.id_column}


def _probes(spec: BackfillSpec) -> dict[str, AnyProbes]:
    """Return the queries; what stops the move is the operator's to know."""
    if spec.probes is None:
        return {}
    asked = {name: value for name, value in spec.probes.document().items() if name != "stopIf"}
    return {"probes": AnyProbes.model_validate(asked)}
