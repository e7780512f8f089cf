"""The CustomResourceDefinitions, with their rules (CEL) and printer columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from fathom_api.backfill import BackfillSpec
from fathom_api.backfill_status import BackfillStatus
from fathom_api.captionjob import CaptionJobSpec, CaptionJobStatus
from fathom_api.interestmap import InterestMapSpec, InterestMapStatus
from fathom_api.meta import CATEGORY, GROUP, MAX_NAME_LENGTH, VERSION
from fathom_api.recmodel import RecModelSpec, RecModelStatus
from fathom_api.rules import validation
from fathom_api.schema import structural


def column(
    name: str, path: str, kind: str = "string", *, wide: bool = False, description: str = ""
) -> dict[str, Any]:
    """Return a printer column; `wide` shows it only with `-o wide`."""
    out: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if description:
        out["description"] = description
    return out | ({"priority": 1} if wide else {})


def unchanged(field: str, *, optional: bool = False) -> str:
    """Return a rule by which `spec.field` cannot change once work has begun."""
    running = "has(oldSelf.status) && has(oldSelf.status.startTime)"
    same = f"self.spec.{field} == oldSelf.spec.{field}"
    if optional:
        same = f"has(self.spec.{field}) == has(oldSelf.spec.{field}) && (!has(self.spec.{field}) || {same})"
    return f"!({running}) || ({same})"


_NAME = validation(
    f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
    f"the name must have at most {MAX_NAME_LENGTH} characters: the names of its Jobs are made from it",
)
_POD_NAME = validation(
    "!self.metadata.name.contains('.')",
    "the name must not contain dots: the names of pods are made from it",
)
_SERVICE_NAME = validation(
    "self.metadata.name.matches('^[a-z][-a-z0-9]*$')",
    "the name must begin with a letter and hold only a-z, 0-9 and -: the names of Services are made from it",
)
_READY = ".status.conditions[?(@.type=='Ready')]"
#: The last columns of every kind.
_CONDITION_AND_AGE = (
    column("Ready", f"{_READY}.status"),
    column("Reason", f"{_READY}.reason", wide=True),
    column("Message", f"{_READY}.message", wide=True),
    column("Age", ".metadata.creationTimestamp", "date"),
)


@dataclass(frozen=True)
class Kind:
    """One kind of the API."""

    kind: str
    plural: str
    short: str
    spec: type[BaseModel]
    status: type[BaseModel]
    description: str
    columns: tuple[dict[str, Any], ...]
    object_rules: tuple[dict[str, Any], ...]

    @property
    def singular(self) -> str:
        """Return the name in the singular, as in `kubectl get captionjob`."""
        return self.kind.lower()


CAPTION_JOB = Kind(
    kind="CaptionJob",
    plural="captionjobs",
    short="cap",  # not "cj": that is a CronJob
    spec=CaptionJobSpec,
    status=CaptionJobStatus,
    description="CaptionJob captions media with a multimodal LLM and turns the captions into features.",
    columns=(
        column("Stage", ".status.stage", description="What is being done."),
        column("Done", ".status.percent", "integer", description="Percent of the stage."),
        column("Items", ".status.items.done", "integer"),
        column("Failed", ".status.items.failed", "integer"),
        column("Per-s", ".status.itemsPerSecond", "number", description="Items a second, all pods together."),
        column("ETA", ".status.estimatedCompletionTime", wide=True),
        column(
            "Cost", ".status.usage.estimatedCost", wide=True, description="Estimated from the chart's prices."
        ),
        column("Next-run", ".status.run.nextTime", wide=True),
        column("Reused", ".status.items.reused", "integer", wide=True),
        column("Vocabulary", ".status.features.vocabularySize", "integer", wide=True),
        column("Coverage", ".status.features.coverage", "number", wide=True),
        *_CONDITION_AND_AGE,
    ),
    object_rules=(
        _NAME,
        _POD_NAME,
        *(
            validation(
                unchanged(field, optional=field == "fineTune"),
                f"spec.{field} cannot change once the job has started: create a CaptionJob of another name",
            )
            for field in ("source", "model", "fineTune", "features", "output", "shards")
        ),
    ),
)

REC_MODEL = Kind(
    kind="RecModel",
    plural="recmodels",
    short="rm",
    spec=RecModelSpec,
    status=RecModelStatus,
    description="RecModel trains a ranker, judges it, serves it with KServe and rolls out new versions.",
    columns=(
        column("Stage", ".status.stage", description="What is being done."),
        column("Stable", ".status.stable.name", description="The version served."),
        column("Candidate", ".status.candidate.name", description="The version on its way."),
        column(
            "Weight", ".status.rollout.weight", "integer", description="Percent of requests to the candidate."
        ),
        column("AUC", ".status.metrics[?(@.arm=='Captions')].auc", "number"),
        column("Lift", ".status.captionLift", "number", description="AUC with captions minus AUC without."),
        column("GAUC", ".status.metrics[?(@.arm=='Captions')].gauc", "number", wide=True),
        column("NE", ".status.metrics[?(@.arm=='Captions')].normalizedEntropy", "number", wide=True),
        column("Training", ".status.training.percent", "integer", wide=True),
        column("Rows-per-s", ".status.training.rowsPerSecond", "number", wide=True),
        column("Gate", ".status.conditions[?(@.type=='GatePassed')].status", wide=True),
        column("Since", ".status.stable.promotedAt", "date", wide=True, description="Age of what is served."),
        column("Next-retrain", ".status.nextRetrain", wide=True),
        column("URL", ".status.url", wide=True),
        *_CONDITION_AND_AGE,
    ),
    object_rules=(
        _NAME,
        _SERVICE_NAME,
        validation(
            "!has(self.spec.serving) || !has(oldSelf.spec.serving) "
            "|| self.spec.serving.mode == oldSelf.spec.serving.mode",
            "spec.serving.mode cannot change, KServe cannot switch a service's mode: "
            "create a RecModel of another name",
        ),
    ),
)

BACKFILL = Kind(
    kind="Backfill",
    plural="backfills",
    short="bf",
    spec=BackfillSpec,
    status=BackfillStatus,
    description="Backfill replaces the embeddings of a gallery with a newer model's while it is searched.",
    columns=(
        column("Stage", ".status.stage", description="What is being done."),
        column("Beta", ".status.beta", "number", description="Share that the new model answers, 0 to 1."),
        column("Per-s", ".status.itemsPerSecond", "number", description="Items a second, all pods together."),
        column("ETA", ".status.estimatedCompletionTime"),
        column(
            "Flips",
            ".status.probes[-1:].negativeFlipRate",
            "number",
            description="Share of the probes that the old gallery answered and this one does not.",
        ),
        column("Verdict", ".status.verdict", description="Against the old gallery."),
        column("Items", ".status.items.moved", "integer", wide=True),
        column("Added", ".status.items.added", "integer", wide=True),
        column("Failed", ".status.items.failed", "integer", wide=True),
        column("Recall", ".status.probes[-1:].recall", "number", wide=True),
        column("Estimate", ".status.estimate.cost", wide=True, description="What moving will cost."),
        column("Cost", ".status.usage.estimatedCost", wide=True, description="So far."),
        column("URL", ".status.url", wide=True),
        *_CONDITION_AND_AGE,
    ),
    object_rules=(
        _NAME,
        _SERVICE_NAME,
        *(
            validation(
                unchanged(field),
                f"spec.{field} cannot change once the backfill has started: create one of another name",
            )
            for field in ("gallery", "from", "to", "compatibility", "order", "output")
        ),
    ),
)

INTEREST_MAP = Kind(
    kind="InterestMap",
    plural="interestmaps",
    short="im",
    spec=InterestMapSpec,
    status=InterestMapStatus,
    description="InterestMap finds interests in a catalogue and plans which one each pair of them leads to.",
    columns=(
        column("Stage", ".status.stage", description="What is being done."),
        column("Done", ".status.percent", "integer", description="Percent of the stage."),
        column("Clusters", ".status.clusters", "integer"),
        column("Pairs", ".status.pairs.planned", "integer", description="Pairs with an interest planned."),
        column("Match", ".status.exactMatch", "number", description="Free answers that name a cluster."),
        column("Recall", ".status.recall", "number", description="NovelRecall on held-out interactions."),
        column("Novelty", ".status.novelty", "number", wide=True),
        column("Table", ".status.table.name", description="The table served."),
        column("Refreshed", ".status.lastRefresh", "date", wide=True),
        column("Next-refresh", ".status.nextRefresh", wide=True),
        *_CONDITION_AND_AGE,
    ),
    object_rules=(_NAME, _POD_NAME),
)

KINDS = (CAPTION_JOB, REC_MODEL, BACKFILL, INTEREST_MAP)


def crd(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of `kind`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "fathom"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(kind.columns),
                    "schema": {"openAPIV3Schema": _object_schema(kind)},
                }
            ],
        },
    }


def _object_schema(kind: Kind) -> dict[str, Any]:
    spec = structural(kind.spec)
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the API, `fathom.dev/v1alpha1`."},
            "kind": {"type": "string", "description": f"`{kind.kind}`."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": structural(kind.status),
        },
        "x-kubernetes-validations": list(kind.object_rules),
    }
