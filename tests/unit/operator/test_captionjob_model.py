"""Where the model comes from: another CaptionJob, a server with a key, a cache; and which pods get a GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.courses import begin, begun, captioned_and, plan_of, planning, step, task_of
from builders.manifests import caption_job
from builders.outcomes import captioned, planned
from builders.seen import (
    NOW,
    captioning,
    carried_out,
    condition,
    job,
    pod,
    report,
    resource,
    stage_of,
    with_job_status,
)  # fmt: skip

from fathom_api.captionjob import Artifact
from fathom_operator.captionjob.observe import CaptionJobSeen, TeacherSeen, observe, teacher_seen
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import CAPTION_JOBS, Obj, Resource
from fathom_operator.plan import Key
from fathom_operator.reports import Reports

PUPIL: dict[str, Any] = {"spec__model": {"captionJob": "lesson"}}
MODEL = Artifact(uri="pvc://features/lesson/model", digest=f"sha256:{'c' * 64}")
READY = TeacherSeen("lesson", model=MODEL, stage="Complete")


def container(plan: Any) -> Obj:
    [main] = job(plan)["spec"]["template"]["spec"]["containers"]
    return main


def variables(plan: Any) -> dict[str, Obj]:
    return {each["name"]: each for each in container(plan)["env"]}


def test_the_model_of_another_captionjob_captions() -> None:
    _, plan = begin(teacher=READY, **PUPIL)
    model = task_of(plan)["model"]
    assert (model["uri"], model["digest"]) == (MODEL.uri, MODEL.digest)
    assert "captionJob" not in model
    assert plan.waits_for == {Key("CaptionJob", "shop", "lesson")}
    mounts = {mount["mountPath"]: mount["readOnly"] for mount in container(plan)["volumeMounts"][:2]}
    assert mounts == {"/volumes/features": False, "/volumes/media": True}


WAITS = [
    pytest.param(None, "MissingCaptionJob", "True", "no CaptionJob lesson in namespace shop", id="not there"),
    pytest.param(
        TeacherSeen("lesson", stage="FineTuning", message="fine-tuning the model"),
        "WaitingForDependency",
        "False",
        "waiting for the model of CaptionJob lesson (FineTuning: fine-tuning the model)",
        id="still learning",
    ),
    pytest.param(
        TeacherSeen("lesson", stage="Failed", message="no memory", stalled=True),
        "WaitingForDependency",
        "True",
        "no memory",
        id="failed: somebody must help there",
    ),
]


@pytest.mark.parametrize(("teacher", "reason", "stalled", "words"), WAITS)
def test_it_plans_and_then_waits_for_the_model(
    teacher: TeacherSeen | None, reason: str, stalled: str, words: str
) -> None:
    seen = captioning(teacher=teacher, **PUPIL)
    assert stage_of(plan_of(seen)) == ("Planning", "Planning")
    plan = plan_of(step(seen, planned()))
    assert stage_of(plan) == ("Pending", reason)
    assert condition(plan, "Stalled")["status"] == stalled
    assert words in condition(plan, "Ready")["message"]
    assert plan.desired == ()
    assert plan.waits_for == {Key("CaptionJob", "shop", "lesson")}


NEVER = [
    pytest.param("catalog", None, "names this CaptionJob itself", id="itself"),
    pytest.param("lesson", TeacherSeen("lesson", teaches=False), "has no spec.fineTune", id="no teacher"),
    pytest.param(
        "lesson",
        TeacherSeen("lesson", chain=("third", "catalog")),
        "catalog → lesson → third → catalog",
        id="a circle",
    ),
]


@pytest.mark.parametrize(("name", "teacher", "words"), NEVER)
def test_a_model_that_will_never_come_is_refused(name: str, teacher: TeacherSeen | None, words: str) -> None:
    plan = plan_of(captioning(teacher=teacher, spec__model={"captionJob": name}))
    assert stage_of(plan) == ("Pending", "InvalidSpec")
    assert words in condition(plan, "Ready")["message"]
    assert plan.desired == ()
    assert Key("CaptionJob", "shop", name) in plan.waits_for


def test_a_newer_model_is_for_the_next_run() -> None:
    seen, name = begun(teacher=READY, **PUPIL)
    newer = Artifact(uri=MODEL.uri, digest=f"sha256:{'d' * 64}")
    changed = replace(seen, teacher=replace(READY, model=newer))
    assert job(plan_of(changed))["metadata"]["name"] == name
    gone = replace(seen, teacher=None)
    assert job(plan_of(gone))["metadata"]["name"] == name

    seen = step(captioned_and(captioned(), teacher=READY, **PUPIL), captioned())
    done = carried_out(seen, plan_of(seen))
    asked = captioning(done.obj["status"], retry="please", teacher=replace(READY, model=newer), **PUPIL)
    asked = step(replace(asked, children=done.children, jobs=done.jobs, pods=done.pods), planned())
    assert task_of(plan_of(asked))["model"]["digest"] == newer.digest


def test_what_is_read_of_the_teacher() -> None:
    obj = {
        "metadata": {"name": "lesson"},
        "spec": {"fineTune": {}},
        "status": {"stage": "Captioning", "fineTune": {"epoch": 3.0, "model": MODEL.document()}},
    }
    assert teacher_seen(obj, ("a",)) == TeacherSeen("lesson", model=MODEL, stage="Captioning", chain=("a",))


class Shelf(Kube):
    """An API server that holds CaptionJobs and nothing else."""

    def __init__(self, **models: dict[str, Any]) -> None:
        self.objects = {
            name: resource(caption_job(name, spec__model=model)) for name, model in models.items()
        }
        self.asked = 0

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        self.asked += resource is CAPTION_JOBS
        return self.objects.get(name) if resource is CAPTION_JOBS else {}

    def items(self, resource: Resource, namespace: str | None, selector: str = "") -> list[Obj]:
        return []


CHAINS = [
    pytest.param({"catalog": "b", "b": "c", "c": "d"}, ("c", "d"), id="a chain, to its end"),
    pytest.param({"catalog": "b", "b": "catalog"}, ("catalog", "b"), id="a circle, once around"),
    pytest.param({"catalog": "b", "b": "b"}, ("b",), id="one that names itself"),
    pytest.param({"catalog": "b", "b": "nowhere"}, ("nowhere",), id="to where there is nothing"),
]


@pytest.mark.parametrize(("named", "chain"), CHAINS)
def test_the_chain_of_teachers_is_followed_once(named: dict[str, str], chain: tuple[str, ...]) -> None:
    shelf = Shelf(**{name: {"captionJob": teacher} for name, teacher in named.items()})
    seen = observe(shelf, Reports(lambda key, delay: None), lambda: NOW, Key("CaptionJob", "shop", "catalog"))
    assert seen is not None
    assert seen.teacher is not None
    assert seen.teacher.chain == chain
    assert shelf.asked <= 6


def endpoint(**changes: Any) -> dict[str, Any]:
    server = {"url": "https://api.example.com/v1", "model": "llava", **changes}
    return {"spec__model": {"engine": "OpenAI", "endpoint": server}}


def test_the_key_of_an_api_reaches_the_captioning_pods_by_reference_and_no_others() -> None:
    asks = endpoint(apiKey={"name": "hub", "key": "token"})
    seen, plan = planning(planned(), **asks)
    secret = {"secretKeyRef": {"name": "hub", "key": "token"}}
    assert variables(plan)["FATHOM_API_KEY"] == {"name": "FATHOM_API_KEY", "valueFrom": secret}
    assert "FATHOM_API_KEY" not in variables(plan_of(captioning(**asks)))
    assert "FATHOM_API_KEY" not in variables(plan_of(step(seen, captioned())))


def test_a_server_that_asks_for_no_key_gets_none() -> None:
    assert "FATHOM_API_KEY" not in variables(begin(**endpoint())[1])


def test_a_cache_is_where_libraries_look_and_may_be_written_to() -> None:
    _, plan = begin(spec__model__cache="pvc://cache/hub/")
    assert variables(plan)["HF_HOME"]["value"] == "/volumes/cache/hub"
    writable = {m["mountPath"] for m in container(plan)["volumeMounts"] if not m.get("readOnly")}
    assert {"/volumes/cache", "/volumes/features"} <= writable
    assert "/volumes/models" not in writable


def test_without_a_cache_models_are_kept_in_the_pod() -> None:
    assert variables(begin()[1])["HF_HOME"]["value"] == "/tmp/hf"


GPU_POD: dict[str, Any] = {
    "spec__template": {
        "resources": {
            "requests": {"cpu": 2, "memory": "8Gi"},
            "limits": {"memory": "16Gi", "nvidia.com/gpu": 1},
            "claims": [{"name": "card"}],
        },
        "resourceClaims": [{"name": "card", "resourceClaimTemplateName": "one-card"}],
        "runtimeClassName": "nvidia",
        "nodeSelector": {"pool": "gpu"},
    }
}


def test_only_pods_that_need_a_gpu_ask_for_one() -> None:
    seen, caption = begin(**GPU_POD)
    pods = {
        "plan": job(plan_of(captioning(**GPU_POD)))["spec"]["template"]["spec"],
        "featurise": job(plan_of(step(seen, captioned())))["spec"]["template"]["spec"],
    }
    for spec in pods.values():
        resources = spec["containers"][0]["resources"]
        assert resources == {"requests": {"cpu": 2, "memory": "8Gi"}, "limits": {"memory": "16Gi"}}
        assert "resourceClaims" not in spec
        assert "runtimeClassName" not in spec
        assert spec["nodeSelector"] == {"pool": "gpu"}
    spec = job(caption)["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert spec["containers"][0]["resources"]["claims"] == [{"name": "card"}]
    assert spec["resourceClaims"] == GPU_POD["spec__template"]["resourceClaims"]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        pytest.param({}, 120, id="enough for a batch"),
        pytest.param({"terminationGracePeriodSeconds": 600}, 600, id="what the template says"),
        pytest.param({"terminationGracePeriodSeconds": 0}, 0, id="none at all"),
    ],
)
def test_a_captioning_pod_has_time_to_finish_its_batch(said: dict[str, int], seconds: int) -> None:
    _, plan = begin(spec__template=said)
    assert job(plan)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == seconds


def lesson_at(**progress: Any) -> CaptionJobSeen:
    seen, name = begun(spec__fineTune={"uri": "pvc://media/pairs.parquet"})
    seen = with_job_status(seen, name, [pod(name)], active=1)
    return replace(seen, reports={f"uid-{name}-0": report(total=100, done=10, per_second=5.0, **progress)})


def test_a_lesson_tells_its_end_only_once_its_steps_have_a_pace() -> None:
    """Before that its pictures are encoded, which is much faster than a step or much slower."""
    assert "estimatedCompletionTime" not in plan_of(lesson_at()).status
    learning = plan_of(lesson_at(metrics={"loss": 2.0, "epoch": 0.1}))
    assert learning.status["estimatedCompletionTime"] == "2026-01-31T12:00:18Z"


def test_aspects_have_features_of_their_own() -> None:
    prompts = [{"name": name, "prompt": "What?"} for name in ("subject", "mood")]
    seen = captioned_and(captioned(), spec__model__prompts=prompts)
    metrics = {"vocabulary_size": 70.0, "coverage": 0.8, "tokens_per_item": 5.0}
    metrics |= {"aspect/subject/vocabulary_size": 40.0, "aspect/subject/coverage": 0.9}
    metrics |= {"aspect/mood/vocabulary_size": 30.0, "aspect/mood/tokens_per_item": 2.123}
    outcome = captioned().model_copy(update={"progress": captioned().progress.model_copy(
        update={"metrics": metrics})})  # fmt: skip
    features = plan_of(step(seen, outcome)).status["features"]
    assert features["aspects"] == [
        {"name": "subject", "vocabularySize": 40, "coverage": 0.9, "tokensPerItem": 0.0},
        {"name": "mood", "vocabularySize": 30, "coverage": 0.0, "tokensPerItem": 2.12},
    ]
