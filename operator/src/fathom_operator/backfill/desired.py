"""The work of a Backfill: each stage is a Job of `fathom backfill STAGE`."""

from __future__ import annotations

from typing import Final, Literal

from fathom_api import BackfillSpec
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
from fathom_operator.claims import claims_in
from fathom_operator.owner import Owner
from fathom_operator.platform import Platform
from fathom_operator.pods import without_devices
from fathom_operator.work import Work

JobStage = Literal["estimate", "pair", "fit", "view", "move", "probe", "complete", "drop"]
#: What needs no GPU: it reads, counts and writes.
_PLAIN: Final = frozenset({"view", "probe", "drop"})
#: Enough for the batch in flight.
_GRACE_SECONDS: Final = 120


def work(
    stage: JobStage, spec: BackfillSpec, owner: Owner, platform: Platform, *, target: int, attempt: str
) -> Work:
    """Return the work of one stage, up to `target` percent where a stage goes by it.

    `attempt` is new whenever somebody asks for another try.
    """
    template = without_devices(spec.template) if stage in _PLAIN else spec.template
    if template.termination_grace_period_seconds is None:
        template = template.model_copy(update={"termination_grace_period_seconds": _GRACE_SECONDS})
    return Work(
        owner=owner,
        stage=stage,
        command=f"backfill {stage}",
        task=_task(stage, spec, target),
        image=platform.captioner_image,
        template=template,
        writes=claims_in(spec.output.uri),
        queue_name=spec.queue_name,
        backoff_limit=spec.backoff_limit,
        # As many shards as pods: with more, those of the pods at work would run ahead of the order.
        shards=spec.pace.parallelism if stage == "move" else None,
        parallelism=spec.pace.parallelism if stage == "move" else 1,
        retry=attempt,
    )


def _task(stage: JobStage, spec: BackfillSpec, target: int) -> BackfillTask:
    common = {
        "gallery": spec.gallery.document(),
        "from": spec.from_.document(),
        "to": spec.to.document(),
        "output": spec.output.uri,
    }
    match stage:
        case "estimate":
            return BackfillEstimateTask.model_validate(common)
        case "pair":
            sample = {"pairs": spec.compatibility.pairs, "seed": spec.compatibility.seed}
            return BackfillPairTask.model_validate(common | sample)
        case "fit":
            how = {"compatibility": spec.compatibility.document(), "order": spec.order.document()}
            return BackfillFitTask.model_validate(common | how | _probes(spec))
        case "view":
            return BackfillViewTask.model_validate(common | {"target": target})
        case "move":
            pace = {"parallelism": spec.pace.parallelism, "itemsPerSecond": spec.pace.items_per_second}
            return BackfillMoveTask.model_validate(common | pace | {"target": target})
        case "probe":
            return BackfillProbeTask.model_validate(common | {"target": target} | _probes(spec))
        case "complete":
            return BackfillCompleteTask.model_validate(common | _probes(spec))
        case "drop":
            return BackfillDropTask.model_validate(common)


def _probes(spec: BackfillSpec) -> dict[str, AnyProbes]:
    """Return the queries; what stops the move is the operator's to know."""
    if spec.probes is None:
        return {}
    asked = {name: value for name, value in spec.probes.document().items() if name != "stopIf"}
    return {"probes": AnyProbes.model_validate(asked)}
