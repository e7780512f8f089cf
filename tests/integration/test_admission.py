"""What the API server takes, what it refuses and in which words, and what it fills in."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders.courses import captioned_and, completed
from builders.good import GOOD_CAPTION_JOBS
from builders.manifests import ABSENT, Manifest, backfill, caption_job, edited, interest_map, rec_model, steps
from builders.outcomes import captioned
from builders.refusals import BOUNDS, RULES, Refusal
from builders.seen import PLATFORM, captioning
from integration.kube import Namespace, Refused
from integration.waiting import until
from integration.world import ROOT

from fathom_api import CaptionJobSpec
from fathom_api.captionjob import Artifact, RunStatus
from fathom_api.crd import KINDS, Kind
from fathom_api.recmodel import Serving, Version
from fathom_operator.captionjob.decide import decide
from fathom_operator.captionjob.desired import works
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.jobs import job_patch
from fathom_operator.kube.client import connect
from fathom_operator.kube.errors import ConflictError
from fathom_operator.kube.resources import CAPTION_JOBS
from fathom_operator.owner import Owner
from fathom_operator.recmodel.predictor import standard_service
from fathom_operator.work import Work

SPECS = {kind.kind: kind.spec for kind in KINDS}


def refusal_of(namespace: Namespace, manifest: Manifest) -> str:
    """Return the sentence with which the API server refuses `manifest`."""
    with pytest.raises(Refused) as refused:
        namespace.create(manifest, dry_run=True)
    return str(refused.value)


@pytest.mark.parametrize("refusal", [pytest.param(r, id=r.because) for r in BOUNDS + RULES])
def test_a_bad_manifest_is_refused_with_its_fix(namespace: Namespace, refusal: Refusal) -> None:
    sentence = refusal_of(namespace, refusal.manifest)
    assert refusal.sentence in sentence
    assert f"spec.{refusal.field}" in sentence.replace('["', ".").replace('"]', "")


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        pytest.param(
            caption_job("a" * 41),
            "the name must have at most 40 characters: the names of its Jobs are made from it",
            id="a name that leaves no room for the names of Jobs",
        ),
        pytest.param(
            caption_job("my.catalog"),
            "the name must not contain dots: the names of pods are made from it",
            id="a name with a dot",
        ),
        pytest.param(
            rec_model("9lives"),
            "the name must begin with a letter",
            id="a name that no Service may have",
        ),
        pytest.param(
            caption_job(spec__source__idColum="id"), 'unknown field "spec.source.idColum"', id="a typo"
        ),
        pytest.param(caption_job(spec=ABSENT), "spec: Required value", id="no spec at all"),
    ],
)
def test_what_only_the_api_server_can_refuse(namespace: Namespace, manifest: Manifest, sentence: str) -> None:
    assert sentence in refusal_of(namespace, manifest)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(caption_job("a" * 40), id="the longest name"),
        pytest.param(caption_job(spec__failurePolicy__maxFailedItems=0), id="no item may fail"),
        pytest.param(
            caption_job(spec__failurePolicy__maxFailedItems="0.5%"), id="part of a percent may fail"
        ),
        pytest.param(
            caption_job(spec__template__resources={"limits": {"nvidia.com/gpu": 1, "memory": "16Gi"}}),
            id="a GPU, as a number",
        ),
        pytest.param(
            caption_job(
                spec__template={
                    "affinity": {"nodeAffinity": {}},
                    "tolerations": [{"key": "gpu", "operator": "Exists"}],
                    "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                    "volumes": [{"name": "v", "emptyDir": {}}],
                }
            ),
            id="what Kubernetes says about pods, handed on as it is",
        ),
        *GOOD_CAPTION_JOBS,
        pytest.param(rec_model(spec__serving__rollout__steps=steps(*range(1, 21))), id="twenty steps"),
        pytest.param(
            rec_model(spec__features__captions=[{"captionJob": "a"}, {"captionJob": "b"}]), id="two"
        ),
        pytest.param(
            rec_model(spec__features__captions=[{"captionJob": "a"}, {"captionJob": "a", "aspect": "mood"}]),
            id="two aspects of one CaptionJob",
        ),
    ],
)
def test_a_good_manifest_is_taken(namespace: Namespace, manifest: Manifest) -> None:
    namespace.create(manifest, dry_run=True)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(caption_job(), id="CaptionJob"),
        pytest.param(caption_job(spec__fineTune={"uri": "pvc://media/pairs.parquet"}), id="with fine-tuning"),
        pytest.param(caption_job(spec__refresh={"schedule": "@daily"}), id="with a schedule"),
        pytest.param(
            caption_job(spec__model__prompts=[{"name": "mood", "prompt": "How does it feel?"}]),
            id="with aspects",
        ),
        pytest.param(rec_model(), id="RecModel"),
        pytest.param(rec_model(spec__serving={}), id="RecModel, served"),
        pytest.param(
            rec_model(spec__features__captions=[{"captionJob": "a", "userHistory": {}}]), id="with captions"
        ),
        pytest.param(rec_model(spec__evaluation={}), id="an empty object is as good as none"),
    ],
)
def test_the_api_server_fills_in_the_defaults_that_the_models_have(
    namespace: Namespace, manifest: Manifest
) -> None:
    stored = namespace.create(manifest, dry_run=True)["spec"]
    spec = SPECS[manifest["kind"]].model_validate(manifest["spec"])
    assert stored == spec.model_dump(mode="json", by_alias=True, exclude_none=True)


PAIRS = {"uri": "pvc://media/pairs.parquet"}
START = {"startTime": "2026-01-31T12:00:00Z"}


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        pytest.param("source", {"uri": "pvc://media/a.csv"}, {"uri": "pvc://media/b.csv"}, id="other items"),
        pytest.param("model", {"prompt": "What is it?"}, {"prompt": "Which colour?"}, id="another prompt"),
        pytest.param("fineTune", PAIRS, None, id="no lesson any more"),
        pytest.param("fineTune", None, PAIRS, id="a lesson after all"),
        pytest.param("fineTune", {**PAIRS, "epochs": 1}, {**PAIRS, "epochs": 2}, id="a longer lesson"),
        pytest.param("features", {"minCount": 1}, {"minCount": 2}, id="other features"),
        pytest.param("output", {"uri": "pvc://features/a"}, {"uri": "pvc://features/b"}, id="another folder"),
        pytest.param("shards", 2, 3, id="more shards"),
    ],
)
def test_what_a_job_reads_can_change_until_it_has_started(
    namespace: Namespace, field: str, one: Any, other: Any
) -> None:
    namespace.create(caption_job())
    namespace.patch("CaptionJob", "catalog", {"spec": {field: other}})
    namespace.patch("CaptionJob", "catalog", {"spec": {field: one}})
    namespace.patch_status("CaptionJob", "catalog", START)

    with pytest.raises(Refused) as refused:
        namespace.patch("CaptionJob", "catalog", {"spec": {field: other}})

    assert f"spec.{field} cannot change once the job has started: create a CaptionJob of another name" in str(
        refused.value
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"parallelism": 4}, id="more pods at once"),
        pytest.param({"failurePolicy": {"maxFailedItems": "10%"}}, id="a larger failure budget"),
        pytest.param({"template": {"nodeSelector": {"disk": "ssd"}}}, id="other nodes"),
        pytest.param({"suspend": True}, id="a rest"),
        pytest.param({"activeDeadlineSeconds": 60}, id="a deadline"),
        pytest.param({"refresh": {"schedule": "@daily"}}, id="a schedule"),
    ],
)
def test_what_a_running_job_does_not_read_can_change(namespace: Namespace, change: dict[str, Any]) -> None:
    namespace.create(caption_job())
    namespace.patch_status("CaptionJob", "catalog", START)
    namespace.patch("CaptionJob", "catalog", {"spec": change})


def test_the_mode_of_serving_cannot_change(namespace: Namespace) -> None:
    namespace.create(rec_model(spec__serving__mode="Knative"))
    with pytest.raises(Refused, match="create a RecModel of another name"):
        namespace.patch("RecModel", "movies", {"spec": {"serving": {"mode": "Standard"}}})


def test_a_status_is_not_taken_from_those_who_write_specs(namespace: Namespace) -> None:
    namespace.create(caption_job(status__stage="Complete"))
    assert "status" not in namespace.get("CaptionJob", "catalog")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_kubectl_get_shows_the_status(namespace: Namespace, kind: Kind) -> None:
    namespace.create(MANIFESTS[kind.kind]("some"))
    namespace.patch_status(kind.kind, "some", STATUSES[kind.kind][0])

    table = namespace.table(kind.kind)

    columns = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    assert columns == ["Name", *(column["name"] for column in kind.columns)]
    assert row == {"Name": "some", "Age": row["Age"], **STATUSES[kind.kind][1]}


READY = {
    "type": "Ready",
    "status": "False",
    "reason": "RollingOut",
    "message": "A third is there.",
    "lastTransitionTime": "2026-01-31T12:00:00Z",
}
STATUSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "CaptionJob": (
        {
            "stage": "Captioning",
            "percent": 33,
            "items": {"total": 90, "done": 30, "failed": 2, "reused": 5},
            "itemsPerSecond": 1.5,
            "estimatedCompletionTime": "2026-01-31T12:00:40Z",
            "features": {"uri": "pvc://f/f", "digest": "sha256:0", "vocabularySize": 40, "coverage": 0.9},
            "usage": {"estimatedCost": "12.30 USD"},
            "run": {"number": 2, "nextTime": "2026-02-01T03:00:00Z"},
            "conditions": [READY],
        },
        {
            "Stage": "Captioning",
            "Done": 33,
            "Items": 30,
            "Failed": 2,
            "Per-s": 1.5,
            "ETA": "2026-01-31T12:00:40Z",
            "Cost": "12.30 USD",
            "Next-run": "2026-02-01T03:00:00Z",
            "Reused": 5,
            "Vocabulary": 40,
            "Coverage": 0.9,
            "Ready": "False",
            "Reason": "RollingOut",
            "Message": "A third is there.",
        },
    ),
    "RecModel": (
        {
            "stage": "RollingOut",
            "stable": {"name": "v-11111111"},
            "candidate": {"name": "v-22222222"},
            "rollout": {"phase": "Stepping", "weight": 10},
            "metrics": [
                {"arm": "WithoutCaptions", "auc": 0.6},
                {"arm": "Captions", "auc": 0.7, "gauc": 0.65, "normalizedEntropy": 0.8},
            ],
            "captionLift": 0.1,
            "training": {"percent": 100, "rowsPerSecond": 2000.0},
            "url": "http://movies.example.com",
            "conditions": [READY],
        },
        {
            "Stage": "RollingOut",
            "Stable": "v-11111111",
            "Candidate": "v-22222222",
            "Weight": 10,
            "AUC": 0.7,
            "Lift": 0.1,
            "GAUC": 0.65,
            "NE": 0.8,
            "Training": 100,
            "Rows-per-s": 2000.0,
            "Gate": None,
            "Since": None,
            "Next-retrain": None,
            "URL": "http://movies.example.com",
            "Ready": "False",
            "Reason": "RollingOut",
            "Message": "A third is there.",
        },
    ),
    "Backfill": (
        {
            "stage": "Moving",
            "beta": 0.33,
            "itemsPerSecond": 1.5,
            "estimatedCompletionTime": "2026-01-31T12:00:40Z",
            "items": {"total": 90, "moved": 30, "added": 4, "failed": 2},
            "probes": [
                {"percent": 0, "recall": 0.5, "negativeFlipRate": 0.0},
                {"percent": 33, "recall": 0.6, "negativeFlipRate": 0.02},
            ],
            "verdict": "Better",
            "estimate": {"items": 90, "seconds": 60.0, "cost": "20.00 USD"},
            "usage": {"estimatedCost": "12.30 USD"},
            "url": "http://gallery.example.com",
            "conditions": [READY],
        },
        {
            "Stage": "Moving",
            "Beta": 0.33,
            "Per-s": 1.5,
            "ETA": "2026-01-31T12:00:40Z",
            "Flips": 0.02,
            "Verdict": "Better",
            "Items": 30,
            "Added": 4,
            "Failed": 2,
            "Recall": 0.6,
            "Estimate": "20.00 USD",
            "Cost": "12.30 USD",
            "URL": "http://gallery.example.com",
            "Ready": "False",
            "Reason": "RollingOut",
            "Message": "A third is there.",
        },
    ),
    "InterestMap": (
        {
            "stage": "Planning",
            "percent": 33,
            "clusters": 60,
            "pairs": {"total": 3540, "planned": 1200, "rejected": 3},
            "exactMatch": 0.95,
            "recall": 0.2,
            "novelty": 1.0,
            "table": {"name": "t-11111111", "uri": "pvc://f/t", "clustersUri": "pvc://f/c"},
            "nextRefresh": "2026-02-01T03:00:00Z",
            "conditions": [READY],
        },
        {
            "Stage": "Planning",
            "Done": 33,
            "Clusters": 60,
            "Pairs": 1200,
            "Match": 0.95,
            "Recall": 0.2,
            "Novelty": 1.0,
            "Table": "t-11111111",
            "Refreshed": None,
            "Next-refresh": "2026-02-01T03:00:00Z",
            "Ready": "False",
            "Reason": "RollingOut",
            "Message": "A third is there.",
        },
    ),
}
#: A manifest of each kind, by the name that tests give it.
MANIFESTS = {
    "CaptionJob": caption_job,
    "RecModel": rec_model,
    "Backfill": backfill,
    "InterestMap": interest_map,
}


def works_of(namespace: Namespace, manifest: Manifest) -> list[Work]:
    """Return all work of a CaptionJob's first run."""
    spec = CaptionJobSpec.model_validate(manifest["spec"])
    owner = Owner("CaptionJob", namespace.name, "catalog", "0000-uid")
    taken = Artifact(uri="pvc://features/lesson/model", digest="sha256:0") if spec.model.caption_job else None
    return list(works(spec, owner, PLATFORM, RunStatus(), taken))


EVERYTHING = {
    "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "16Gi"}, "claims": [{"name": "card"}]},
    "resourceClaims": [{"name": "card", "resourceClaimTemplateName": "one-card"}],
    "schedulerName": "bin-packing",
    "terminationGracePeriodSeconds": 0,
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "imagePullSecrets": [{"name": "registry"}],
}


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(caption_job(), id="as little as may be"),
        pytest.param(caption_job(spec__template=EVERYTHING), id="all that pods may be told"),
        *GOOD_CAPTION_JOBS,
    ],
)
def test_every_job_that_is_made_of_a_good_manifest_is_taken(namespace: Namespace, manifest: Manifest) -> None:
    for work in works_of(namespace, manifest):
        for made in work.objects(PLATFORM):
            namespace.create(made, dry_run=True)


def test_a_job_rests_and_goes_on_by_a_patch_of_few_fields(namespace: Namespace) -> None:
    [_, work, _] = works_of(namespace, caption_job())
    wanted = work.objects(PLATFORM)[1]
    # Its owner is nowhere: the garbage collector would take it away while we look.
    del wanted["metadata"]["ownerReferences"]
    made = namespace.create(wanted)
    name = made["metadata"]["name"]

    resting = replace(work, suspended=True, checkpoint="2026-01-31T12:00:00Z").objects(PLATFORM)[1]
    rests = namespace.patch("Job", name, job_patch(resting, made))
    assert rests["spec"]["suspend"] is True
    assert job_patch(resting, rests) == {}

    going = replace(work, checkpoint="2026-01-31T12:00:10Z").objects(PLATFORM)[1]
    goes = namespace.patch("Job", name, job_patch(going, rests))
    assert goes["spec"]["suspend"] is False
    assert goes["metadata"]["annotations"]["fathom.dev/last-checkpoint-time"] == "2026-01-31T12:00:00Z"
    assert goes["spec"]["template"] == made["spec"]["template"]
    assert job_patch(going, goes) == {}


def test_a_pod_that_drains_before_it_stops_is_taken(namespace: Namespace) -> None:
    owner = Owner("RecModel", namespace.name, "movies", "0000-uid")
    version = Version(name="v-1", digest="sha256:0", uri="pvc://data/models/v-1/captions")
    isvc = standard_service(owner, Serving.model_validate({"mode": "Standard"}), version, PLATFORM)
    predictor = isvc["spec"]["predictor"]
    pod = {name: predictor[name] for name in ("containers", "volumes")}
    until("a service account", lambda: namespace.find("ServiceAccount", "default"))
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "movies"}, "spec": pod}
    made = namespace.create(manifest, dry_run=True)
    assert made["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}


def test_what_has_changed_since_it_was_seen_is_not_deleted(namespace: Namespace, kubeconfig: Path) -> None:
    seen = namespace.create(caption_job())["metadata"]
    namespace.patch("CaptionJob", "catalog", {"spec": {"suspend": True}})
    kube = connect(str(kubeconfig))

    with pytest.raises(ConflictError):
        kube.delete(CAPTION_JOBS, namespace.name, "catalog", _identity(seen))

    now = namespace.get("CaptionJob", "catalog")["metadata"]
    kube.delete(CAPTION_JOBS, namespace.name, "catalog", _identity(now))
    assert namespace.find("CaptionJob", "catalog") is None
    kube.delete(CAPTION_JOBS, namespace.name, "catalog", _identity(now))


def _identity(meta: dict[str, Any]) -> dict[str, Any]:
    return {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(captioning(), id="at first"),
        pytest.param(completed(), id="complete"),
        pytest.param(captioned_and(captioned(done=9, failed=1)), id="failed"),
    ],
)
def test_a_status_is_stored_as_it_is_decided(namespace: Namespace, seen: CaptionJobSeen) -> None:
    """What the server fills in or leaves out would differ at every look, and be written forever."""
    status = decide(seen, PLATFORM).status
    namespace.create(caption_job())
    assert namespace.patch_status("CaptionJob", "catalog", status)["status"] == status


def manifests_of(file: Path) -> list[Manifest]:
    """Return our manifests in a YAML file, or in the YAML blocks of a Markdown file."""
    text = file.read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if file.suffix == ".md" else [text]
    documents = [each for block in blocks for each in yaml.safe_load_all(block)]
    return [
        d for d in documents if isinstance(d, dict) and str(d.get("apiVersion")).startswith("fathom.dev/")
    ]


WRITTEN = [
    pytest.param(manifest, id=f"{file.relative_to(ROOT)}:{manifest['kind']}/{manifest['metadata']['name']}")
    for folder, pattern in (("examples", "*.yaml"), ("docs", "*.md"))
    for file in sorted((ROOT / folder).rglob(pattern))
    for manifest in manifests_of(file)
]


@pytest.mark.parametrize("manifest", WRITTEN)
def test_every_manifest_of_the_examples_and_the_docs_is_taken(
    namespace: Namespace, manifest: Manifest
) -> None:
    namespace.create(edited(manifest, metadata={"name": manifest["metadata"]["name"]}), dry_run=True)
