"""Example tasks that fit together: what `finetune` leaves, `caption` reads, and so on to `serve`."""

from __future__ import annotations

from typing import Any, Final

from fathom_api.captioning import PROMPT
from fathom_api.interest_tasks import (
    ClusterTask,
    GateTask,
    PlanBulkTask,
    PlanTrainTask,
    PublishTask,
    TransitionsTask,
    UnderstandTask,
)
from fathom_api.meta import ApiModel
from fathom_api.tasks import (
    CaptionTask,
    EvaluateTask,
    FeaturiseTask,
    FinetuneTask,
    PlanTask,
    ServeTask,
    TrainTask,
)

_CATALOGUE: Final = "out/catalogue"
_RANKER: Final = "out/ranker"
_MODEL: Final = {"uri": f"{_CATALOGUE}/model", "prompt": PROMPT, "maxNewTokens": 48, "batchSize": 8}
_SOURCE: Final = {"uri": "data/items.parquet", "idColumn": "item_id", "mediaColumn": "image"}
_DATA: Final = {
    "interactions": {"uri": "data/interactions.parquet"},
    "items": {"uri": "data/items.parquet"},
    "label": "liked",
    "timeColumn": "time",
}
_INTERESTS: Final = "out/interests"
_LIKED: Final = {"uri": "data/interactions.parquet", "label": "liked", "timeColumn": "time"}
_EXAMPLES: Final[dict[str, tuple[type[ApiModel], dict[str, Any]]]] = {
    "finetune": (
        FinetuneTask,
        {
            "model": {**_MODEL, "uri": "fathom://small-llava"},
            "fineTune": {"uri": "data/pairs.parquet", "epochs": 3},
            "output": f"{_CATALOGUE}/model",
        },
    ),
    "plan": (PlanTask, {"source": _SOURCE, "output": _CATALOGUE, "shards": 1}),
    "caption": (
        CaptionTask,
        {
            "source": _SOURCE,
            "model": _MODEL,
            "output": _CATALOGUE,
            "shards": 1,
        },
    ),
    "featurise": (FeaturiseTask, {"output": _CATALOGUE, "shards": 1, "model": _MODEL}),
    "train": (
        TrainTask,
        {
            "data": _DATA,
            "features": {"captions": [{"captionJob": "catalogue"}]},
            "captionFeatures": {"catalogue": f"{_CATALOGUE}/features"},
            "output": f"{_RANKER}/v1/captions",
        },
    ),
    "evaluate": (
        EvaluateTask,
        {"data": _DATA, "bundles": {"Captions": f"{_RANKER}/v1/captions"}, "output": f"{_RANKER}/v1"},
    ),
    "cluster": (
        ClusterTask,
        {
            "captions": {"output": _CATALOGUE},
            "interactions": _LIKED,
            "clusters": {"counts": [8, 24]},
            "output": f"{_INTERESTS}/clusters",
        },
    ),
    "understand": (
        UnderstandTask,
        {
            "clusters": f"{_INTERESTS}/clusters",
            "source": _SOURCE,
            "model": _MODEL,
            "cache": f"{_INTERESTS}/cache",
            "output": f"{_INTERESTS}/summaries",
        },
    ),
    "transitions": (
        TransitionsTask,
        {
            "clusters": f"{_INTERESTS}/clusters",
            "interactions": _LIKED,
            "output": f"{_INTERESTS}/transitions",
        },
    ),
    "plan-train": (
        PlanTrainTask,
        {
            "clusters": f"{_INTERESTS}/clusters",
            "transitions": f"{_INTERESTS}/transitions",
            "planner": {"fineTune": {}},
            "output": f"{_INTERESTS}/planner",
        },
    ),
    "plan-bulk": (
        PlanBulkTask,
        {
            "clusters": f"{_INTERESTS}/clusters",
            "transitions": f"{_INTERESTS}/transitions",
            "planner": {"fineTune": {}},
            "trained": f"{_INTERESTS}/planner",
            "output": f"{_INTERESTS}/plans",
        },
    ),
    "gate": (
        GateTask,
        {
            "clusters": f"{_INTERESTS}/clusters",
            "transitions": f"{_INTERESTS}/transitions",
            "plans": f"{_INTERESTS}/plans",
            "planner": {"fineTune": {}},
            "trained": f"{_INTERESTS}/planner",
            "source": _SOURCE,
            "output": f"{_INTERESTS}/table",
            "report": f"{_INTERESTS}/report",
        },
    ),
    "publish": (
        PublishTask,
        {"table": f"{_INTERESTS}/table", "output": f"{_INTERESTS}/current"},
    ),
    "serve": (
        ServeTask,
        {"bundle": f"{_RANKER}/v1/captions", "modelName": "ranker", "modelVersion": "v1"},
    ),
}
COMMANDS: Final = tuple(_EXAMPLES)


def example(command: str) -> ApiModel:
    """Return a task of `command`, one of `COMMANDS`, with every default spelt out.

    Raises:
        KeyError: there is no such command.
    """
    kind, document = _EXAMPLES[command]
    return kind.model_validate(document)
