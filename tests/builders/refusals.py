"""Manifests that must be refused and the sentence that says why, for the models and for the API server."""

from __future__ import annotations

from typing import Any

from builders.manifests import ABSENT, Manifest, backfill, caption_job, rec_model, steps
from builders.map_refusals import MAP_BOUNDS, MAP_RULES
from builders.refusal import Refusal

_CAPTIONS = [{"captionJob": "catalog"}]


def _endpoint(**changes: Any) -> Manifest:
    """Return `spec.model` of a server that answers."""
    endpoint = {"url": "https://api.example.com/v1", "model": "llava"}
    return {"engine": "OpenAI", "endpoint": endpoint | changes}


def judged(metric: dict[str, Any]) -> Manifest:
    """Return a RecModel whose rollout has one step and judges by `metric`."""
    return rec_model(spec__serving__rollout={"steps": steps(10), "analysis": [metric]})


BOUNDS = (
    Refusal("the source is missing", caption_job(spec__source=ABSENT), "source", "Required value"),
    Refusal(
        "a URI has a scheme that nobody reads",
        caption_job(spec__source__uri="ftp://host/items"),
        "source.uri",
        "should match '^(pvc://",
    ),
    Refusal(
        "a model is named without its organisation",
        caption_job(spec__model__uri="hf://llava"),
        "model.uri",
        "should match '^(hf://",
    ),
    Refusal(
        "media of a kind that is not read",
        caption_job(spec__source__mediaType="Audio"),
        "source.mediaType",
        'supported values: "Image", "Video"',
    ),
    Refusal("no shards", caption_job(spec__shards=0), "shards", "greater than or equal to 1"),
    Refusal("a prompt of nothing", caption_job(spec__model__prompt=""), "model.prompt", "at least 1 char"),
    Refusal(
        "captions longer than models write",
        caption_job(spec__model__maxNewTokens=5000),
        "model.maxNewTokens",
        "less than or equal to 1024",
    ),
    Refusal(
        "an unknown tokenizer",
        caption_job(spec__features__tokenizer="BPE"),
        "features.tokenizer",
        'supported values: "WordNgram", "HashedNgram", "KeyPhrase", "ModelTokens", "SemanticIds"',
    ),
    Refusal(
        "more frames than a model can hold",
        caption_job(spec__source__video={"frames": 65}),
        "source.video.frames",
        "less than or equal to 64",
    ),
    Refusal(
        "the same column put into the prompt twice",
        caption_job(spec__source__textColumns=["title", "title"]),
        "source.textColumns",
        "Duplicate value",
    ),
    Refusal(
        "an origin with a path",
        caption_job(spec__source__allowedOrigins=["https://img.example.com/public"]),
        "source.allowedOrigins",
        "should match '^(https?://",
    ),
    Refusal(
        "an origin that is the whole internet",
        caption_job(spec__source__allowedOrigins=["*"]),
        "source.allowedOrigins",
        "should match '^(https?://",
    ),
    Refusal(
        "an engine that nobody has written",
        caption_job(spec__model__engine="Ollama"),
        "model.engine",
        'supported values: "Transformers", "VLLM", "OpenAI"',
    ),
    Refusal(
        "an aspect whose name could be no folder",
        caption_job(spec__model__prompts=[{"name": "../x", "prompt": "What?"}]),
        "model.prompts",
        "should match '^[a-z]",
    ),
    Refusal(
        "two aspects of one name",
        caption_job(spec__model__prompts=[{"name": "mood", "prompt": p} for p in ("A?", "B?")]),
        "model.prompts",
        "Duplicate value",
    ),
    Refusal(
        "an endpoint with a password in its address",
        caption_job(spec__model=_endpoint(url="https://me:secret@api.example.com/v1")),
        "model.endpoint.url",
        "should match '^https?://",
    ),
    Refusal(
        "more retries than patience",
        caption_job(spec__model=_endpoint(maxRetries=100)),
        "model.endpoint.maxRetries",
        "less than or equal to 20",
    ),
    Refusal(
        "a cache that is no claim",
        caption_job(spec__model__cache="/var/cache/models"),
        "model.cache",
        "should match '^pvc://",
    ),
    Refusal(
        "an output that nobody can write to",
        caption_job(spec__output__uri="/data/captions"),
        "output.uri",
        "should match '^(pvc://",
    ),
    Refusal(
        "a schedule in words",
        caption_job(spec__refresh={"schedule": "every night"}),
        "refresh.schedule",
        "should match '^(",
    ),
    Refusal(
        "a deadline before the start",
        caption_job(spec__activeDeadlineSeconds=0),
        "activeDeadlineSeconds",
        "greater than or equal to 1",
    ),
    Refusal(
        "adapters of no rank",
        caption_job(spec__fineTune={"uri": "pvc://media/pairs.parquet", "lora": {"rank": 0}}),
        "fineTune.lora.rank",
        "greater than or equal to 1",
    ),
    Refusal(
        "three hashes of one n-gram",
        caption_job(spec__features={"hashes": 3}),
        "features.hashes",
        "less than or equal to 2",
    ),
    Refusal(
        "a codebook of one code",
        caption_job(spec__features__semanticIds={"codebookSize": 1}),
        "features.semanticIds.codebookSize",
        "greater than or equal to 2",
    ),
    Refusal(
        "n-grams of five words",
        caption_job(spec__features__maxNgram=5),
        "features.maxNgram",
        "less than or equal to 4",
    ),
    Refusal(
        "a failure budget above everything",
        caption_job(spec__failurePolicy__maxFailedItems="101%"),
        "failurePolicy.maxFailedItems",
        'must be a number of items (3) or a percentage ("1%")',
    ),
    Refusal(
        "a failure budget below nothing",
        caption_job(spec__failurePolicy__maxFailedItems=-1),
        "failurePolicy.maxFailedItems",
        'must be a number of items (3) or a percentage ("1%")',
    ),
    Refusal(
        "an amount of memory in words",
        caption_job(spec__template__resources={"limits": {"memory": "plenty"}}),
        "template.resources.limits.memory",
        "should match",
    ),
    Refusal(
        "a learning rate at which nothing is learnt",
        caption_job(spec__fineTune={"uri": "pvc://media/pairs.parquet", "learningRate": 0}),
        "fineTune.learningRate",
        "greater than 0",
    ),
    Refusal(
        "the interactions are missing",
        rec_model(spec__data__interactions=ABSENT),
        "data.interactions",
        "Required value",
    ),
    Refusal(
        "an unknown architecture",
        rec_model(spec__model__architecture="GPT"),
        "model.architecture",
        'supported values: "DCNv2", "DLRM"',
    ),
    Refusal(
        "a layer without units",
        rec_model(spec__model__hiddenUnits=[64, 0]),
        "model.hiddenUnits",
        "greater than or equal to 1",
    ),
    Refusal(
        "more than all requests",
        rec_model(spec__serving__rollout__steps=steps(101)),
        "serving.rollout.steps",
        "less than or equal to 100",
    ),
    Refusal(
        "a pause that is not a length of time",
        rec_model(spec__serving__rollout__steps=steps(10, pause="soon")),
        "serving.rollout.steps",
        "should match '^([0-9]+(ms|s|m|h))+$'",
    ),
    Refusal(
        "the same column twice",
        rec_model(
            spec__data__users={"uri": "pvc://data/users.parquet"},
            spec__features__user=[{"column": "age"}, {"column": "age"}],
        ),
        "features.user",
        "Duplicate value",
    ),
    Refusal(
        "the same aspect of a CaptionJob twice",
        rec_model(spec__features__captions=_CAPTIONS * 2),
        "features.captions",
        "Duplicate value",
    ),
    Refusal(
        "the same control twice",
        rec_model(spec__evaluation__controls=["WithoutCaptions"] * 2),
        "evaluation.controls",
        "Duplicate value",
    ),
    Refusal(
        "a window of no hours",
        backfill(spec__pace={"window": "at night"}),
        "pace.window",
        "should match",
    ),
    Refusal(
        "more than all of the gallery",
        backfill(spec__target=101),
        "target",
        "less than or equal to 100",
    ),
    Refusal(
        "a limit for the probes that is no share",
        backfill(spec__probes={"queries": "pvc://data/q.parquet", "stopIf": {"recallDrop": "a bit"}}),
        "probes.stopIf.recallDrop",
        "should match",
    ),
    *MAP_BOUNDS,
)

RULES = (
    Refusal(
        "a cross rank where nothing is crossed",
        rec_model(spec__model={"architecture": "DLRM", "crossRank": 8}),
        "model",
        "crossRank is for architecture DCNv2: remove it, or change the architecture",
    ),
    Refusal(
        "experts where nothing is crossed",
        rec_model(spec__model={"architecture": "DLRM", "crossRank": 8, "crossExperts": 2}),
        "model",
        "crossExperts is for architecture DCNv2: remove it, or change the architecture",
    ),
    Refusal(
        "heads where nothing is fused",
        rec_model(spec__model={"fusionHeads": 2}),
        "model",
        "fusionHeads is for architecture FinalMLP: remove it, or change the architecture",
    ),
    Refusal(
        "a history that nothing attends to",
        rec_model(spec__model={"historyItems": 20}),
        "model",
        "historyItems is for architecture DIN: remove it, or change the architecture",
    ),
    Refusal(
        "a split that is given nowhere",
        rec_model(spec__data__split={"strategy": "Given"}),
        "data.split",
        "strategy Given needs splitColumn, and no other has one: name the column, or change the strategy",
    ),
    Refusal(
        "experts of full rank",
        rec_model(spec__model={"crossExperts": 4}),
        "model",
        "crossExperts needs crossRank, the rank of each expert",
    ),
    Refusal(
        "heads of unequal width",
        rec_model(spec__model={"architecture": "FinalMLP", "hiddenUnits": [128, 64], "fusionHeads": 5}),
        "model",
        "fusionHeads must divide the last of hiddenUnits: each head takes an equal piece of it",
    ),
    Refusal(
        "no model at all",
        caption_job(spec__model={}),
        "model",
        "name the model by exactly one of spec.model.uri, spec.model.captionJob and spec.model.endpoint",
    ),
    Refusal(
        "two models",
        caption_job(spec__model__captionJob="lesson"),
        "model",
        "name the model by exactly one of spec.model.uri, spec.model.captionJob and spec.model.endpoint",
    ),
    Refusal(
        "an engine that asks a server, and no server",
        caption_job(spec__model__engine="OpenAI"),
        "model.engine",
        "engine OpenAI asks the server of spec.model.endpoint, the others load a model themselves: "
        "give both or neither",
    ),
    Refusal(
        "a server, and an engine that asks none",
        caption_job(spec__model=_endpoint() | {"engine": "Transformers"}),
        "model.engine",
        "engine OpenAI asks the server of spec.model.endpoint, the others load a model themselves: "
        "give both or neither",
    ),
    Refusal(
        "one prompt and several",
        caption_job(spec__model__prompt="What?", spec__model__prompts=[{"name": "mood", "prompt": "How?"}]),
        "model.prompts",
        "spec.model.prompt and spec.model.prompts exclude each other: keep one",
    ),
    Refusal(
        "captions would be written to a web server",
        caption_job(spec__output__uri="https://example.com/captions"),
        "output.uri",
        "spec.output.uri must be written to: name a folder under pvc://, s3:// or gs://",
    ),
    Refusal(
        "a model behind an endpoint is to learn",
        caption_job(spec__model=_endpoint(), spec__fineTune={"uri": "pvc://media/pairs.parquet"}),
        "fineTune",
        "a model behind an endpoint cannot be fine-tuned from here: remove spec.fineTune, or name the "
        "model by spec.model.uri",
    ),
    Refusal(
        "a job that never ends is to be deleted after its end",
        caption_job(spec__refresh={"schedule": "@daily"}, spec__ttlSecondsAfterFinished=60),
        "ttlSecondsAfterFinished",
        "a job that is refreshed never ends: remove spec.ttlSecondsAfterFinished or spec.refresh",
    ),
    Refusal(
        "a model would be left in a bucket",
        caption_job(
            spec__output__uri="s3://shop/catalog", spec__fineTune={"uri": "pvc://media/pairs.parquet"}
        ),
        "output.uri",
        "a fine-tuned model is left on a claim: name a folder under pvc:// in spec.output.uri",
    ),
    Refusal(
        "vLLM without a GPU",
        caption_job(spec__model__engine="VLLM", spec__template__resources={"limits": {"memory": "16Gi"}}),
        "template.resources",
        "engine VLLM needs a GPU: give one under spec.template.resources.limits (nvidia.com/gpu: 1) or by "
        "resourceClaims, or choose another engine",
    ),
    Refusal(
        "the small model is asked to speak before it has learnt to",
        caption_job(spec__model__uri="fathom://small-llava"),
        "model.uri",
        "fathom://small-llava has not learned to speak yet: give it pairs under spec.fineTune, "
        "or name a trained model in spec.model.uri",
    ),
    Refusal(
        "the small model is to learn by adapters on nothing",
        caption_job(
            spec__model__uri="fathom://small-llava",
            spec__fineTune={"uri": "pvc://media/pairs.parquet", "method": "LoRA"},
        ),
        "fineTune.method",
        "fathom://small-llava starts from nothing, which adapters cannot teach: set spec.fineTune.method "
        "to Full, or name a trained model in spec.model.uri",
    ),
    Refusal(
        "an early stop by a loss that nobody measures",
        caption_job(spec__fineTune={"uri": "pvc://media/pairs.parquet", "patience": 2, "validation": 0}),
        "fineTune.patience",
        "patience stops by the loss on held-out pairs and validation: 0 holds none out: raise validation, "
        "or remove patience",
    ),
    Refusal(
        "captions would be written over the items",
        caption_job(spec__output__uri="pvc://media/items.parquet"),
        "output.uri",
        "spec.output.uri must not be the source itself: choose a folder of its own",
    ),
    Refusal(
        "more processes than a batch has interactions",
        rec_model(spec__training={"batchSize": 7, "nodes": 2, "processesPerNode": 4}),
        "training.batchSize",
        "a batch has fewer interactions than there are processes: raise batchSize, or lower nodes or "
        "processesPerNode",
    ),
    Refusal(
        "a parameter with both bounds and choices",
        rec_model(spec__training__search__space=[{"name": "dropout", "low": 0, "high": 0.5, "choices": [0]}]),
        "training.search.space[0]",
        "a parameter has either low and high, or choices",
    ),
    Refusal(
        "a parameter without an upper bound",
        rec_model(spec__training__search__space=[{"name": "dropout", "low": 0}]),
        "training.search.space[0]",
        "a parameter has either low and high, or choices",
    ),
    Refusal(
        "bounds the wrong way round",
        rec_model(spec__training__search__space=[{"name": "dropout", "low": 0.5, "high": 0.1}]),
        "training.search.space[0].low",
        "low must be less than high",
    ),
    Refusal(
        "a logarithmic scale from zero",
        rec_model(spec__training__search__space=[{"name": "dropout", "low": 0, "high": 0.5, "log": True}]),
        "training.search.space[0].low",
        "a logarithmic scale has no zero: give a low above 0, or leave log out",
    ),
    Refusal(
        "weights that fall",
        rec_model(spec__serving__rollout__steps=steps(50, 10)),
        "serving.rollout.steps",
        "weights must rise from step to step, as in 10, 50",
    ),
    Refusal(
        "weights that stay",
        rec_model(spec__serving__rollout__steps=steps(10, 10)),
        "serving.rollout.steps",
        "weights must rise from step to step, as in 10, 50",
    ),
    Refusal(
        "a shadow where nothing copies requests",
        rec_model(spec__serving__rollout={"steps": steps(10), "shadow": {}}),
        "serving.rollout.shadow",
        "in mode Knative nothing copies requests, so there is no shadow: remove "
        "spec.serving.rollout.shadow and "
        "begin with a step of weight 1, or set spec.serving.mode to Standard",
    ),
    Refusal(
        "a step of no requests where no header leads to the candidate",
        rec_model(spec__serving__rollout={"steps": steps(0, 10)}),
        "serving.rollout.steps",
        "in mode Knative a candidate without requests cannot be reached: begin with a weight of 1, or set "
        "spec.serving.mode to Standard",
    ),
    Refusal(
        "a Gateway where Knative has an ingress of its own",
        rec_model(spec__serving__gateway={"name": "public"}),
        "serving.gateway",
        "in mode Knative Knative's own ingress takes the requests: remove spec.serving.gateway, or set "
        "spec.serving.mode to Standard",
    ),
    Refusal(
        "pods that are kept where Knative stops them",
        rec_model(spec__serving__rollout={"scaleDownDelay": "5m"}),
        "serving.rollout.scaleDownDelay",
        "in mode Knative Knative stops the pods of the version before: remove "
        "spec.serving.rollout.scaleDownDelay",
    ),
    Refusal(
        "fewer pods at most than at least",
        rec_model(spec__serving={"replicas": 3, "autoscaling": {"maxReplicas": 2}}),
        "serving.autoscaling.maxReplicas",
        "autoscaling.maxReplicas must be at least replicas",
    ),
    Refusal(
        "a scaler beside Knative's",
        rec_model(spec__serving__autoscaling={"maxReplicas": 2, "scaler": "HPA"}),
        "serving.autoscaling.scaler",
        "in mode Knative Knative scales: remove spec.serving.autoscaling.scaler",
    ),
    Refusal(
        "a metric that only Knative has",
        rec_model(spec__serving={"mode": "Standard", "autoscaling": {"maxReplicas": 2, "metric": "RPS"}}),
        "serving.autoscaling.metric",
        "in mode Standard only CPU and Memory can be measured: change spec.serving.autoscaling.metric, or "
        "use triggers of KEDA",
    ),
    Refusal(
        "triggers that nobody reads",
        rec_model(
            spec__serving={"mode": "Standard", "autoscaling": {"maxReplicas": 2, "triggers": [{"type": "x"}]}}
        ),
        "serving.autoscaling.triggers",
        "triggers are KEDA's: set spec.serving.autoscaling.scaler to KEDA, or remove triggers",
    ),
    Refusal(
        "triggers and a metric",
        rec_model(
            spec__serving={
                "mode": "Standard",
                "autoscaling": {
                    "maxReplicas": 2,
                    "scaler": "KEDA",
                    "metric": "CPU",
                    "triggers": [{"type": "x"}],
                },
            }
        ),
        "serving.autoscaling.triggers",
        "triggers say what is measured: remove metric and target, or triggers",
    ),
    Refusal(
        "a Job of no image",
        judged({"name": "smoke", "job": {"command": ["check"]}}),
        "serving.rollout.analysis",
        "a job needs an image",
    ),
    Refusal(
        "a metric that is none",
        judged({"name": "errors"}),
        "serving.rollout.analysis",
        "say exactly one of metric, prometheus, job and webhook",
    ),
    Refusal(
        "errors compared with an evaluation that knows none",
        judged({"name": "errors", "metric": "ErrorRate", "against": "Evaluation"}),
        "serving.rollout.analysis",
        "only ScorePSI and ScoreKS can be compared with the evaluation: say against: Stable",
    ),
    Refusal(
        "a number from Prometheus without a margin",
        judged({"name": "p", "prometheus": {"address": "http://prometheus", "query": "x{v='{{version}}'}"}}),
        "serving.rollout.analysis",
        "a prometheus metric needs a margin: how much worse the candidate may be",
    ),
    Refusal(
        "a query that names no version",
        judged({"name": "p", "margin": 1, "prometheus": {"address": "http://prometheus", "query": "up"}}),
        "serving.rollout.analysis",
        "the query must name the version it asks about: write {{version}} or {{pods}} where it stands "
        "(asked once for each of both), or {{canary}} and {{stable}}, or {{canaryPods}} and "
        "{{stablePods}} (asked once)",
    ),
    Refusal(
        "an analysis without a step to compare in",
        rec_model(spec__serving__rollout={"analysis": [{"name": "errors", "metric": "ErrorRate"}]}),
        "serving.rollout.analysis",
        "an analysis needs a step or a shadow in which stable and candidate can be compared",
    ),
    Refusal(
        "a gate against a ranker without captions where none has captions",
        rec_model(spec__evaluation__gate__against=["WithoutCaptions"]),
        "evaluation.gate.against",
        "there are no captions to compare without: name a CaptionJob under spec.features.captions, "
        "or leave only Serving in spec.evaluation.gate.against",
    ),
    Refusal(
        "columns of users without their table",
        rec_model(spec__features__user=[{"column": "age"}]),
        "features.user",
        "spec.features.user needs spec.data.users, the table that holds these columns",
    ),
    Refusal(
        "columns of items without their table",
        rec_model(spec__features__item=[{"column": "genres"}]),
        "features.item",
        "spec.features.item needs spec.data.items, the table that holds these columns",
    ),
    Refusal(
        "a list as a column of interactions",
        rec_model(spec__features__context=[{"column": "tags", "type": "CategoricalList"}]),
        "features.context",
        "a column of interactions is one value: make it Categorical or Numeric",
    ),
    Refusal(
        "a column of the user and of the request",
        rec_model(
            spec__data__users={"uri": "pvc://data/users.parquet"},
            spec__features__user=[{"column": "age"}],
            spec__features__context=[{"column": "age"}],
        ),
        "features.context",
        "a column is of the user or of the request, not both, as requests name it by its column alone: "
        "rename it in one of the tables",
    ),
    Refusal(
        "more is held out than is learnt from",
        rec_model(spec__data__split={"validation": 0.3, "test": 0.3}),
        "data.split",
        "validation and test leave less than half of the interactions to train on: lower one of them",
    ),
    Refusal(
        "the same model twice",
        backfill(spec__to__model="pvc://models/old"),
        "to.model",
        "spec.from.model and spec.to.model are the same, so there is nothing to replace: name the new "
        "model in spec.to.model",
    ),
    Refusal(
        "a gallery that is written over",
        backfill(spec__output__uri="pvc://media/items.parquet"),
        "output.uri",
        "spec.output.uri must not be the gallery itself: choose a folder of its own",
    ),
    Refusal(
        "popularity that nobody has counted",
        backfill(spec__order={"policy": "Popularity"}),
        "order.column",
        "policies Age, Popularity and QueryFrequency need spec.order.column, and no other has one: name "
        "the column, or change the policy",
    ),
    Refusal(
        "means of classes that nobody has named",
        backfill(spec__order={"policy": "ClassMeanDistance"}),
        "order.policy",
        "policy ClassMeanDistance needs classes: name their column in spec.compatibility.labels, or "
        "change spec.order.policy",
    ),
    Refusal(
        "an order by queries without queries",
        backfill(spec__order={"policy": "QueryBoundary"}),
        "order.policy",
        "policy QueryBoundary needs queries: give some in spec.probes, or change spec.order.policy",
    ),
    Refusal(
        "a gallery of media that is one of captions, too",
        backfill(spec__gallery={"uri": "pvc://media/items.parquet", "captionJob": "catalog"}),
        "gallery.uri",
        "spec.gallery needs either uri, for items with pictures, or captionJob, for captions: set one",
    ),
    Refusal(
        "a column of captions",
        backfill(spec__gallery={"captionJob": "catalog"}, spec__order={"policy": "Age", "column": "made"}),
        "gallery.captionJob",
        "captions have no columns: leave out spec.compatibility.labels and spec.order.column, or give the "
        "items as spec.gallery.uri",
    ),
    *MAP_RULES,
)
