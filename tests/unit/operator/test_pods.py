"""Pods are secure whatever the template says, and templates reach the pods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.seen import PLATFORM

from fathom_api.pods import PodTemplate
from fathom_api.recmodel import Serving, Version
from fathom_operator.kube.resources import Obj
from fathom_operator.owner import Owner
from fathom_operator.pods import worker_pod
from fathom_operator.recmodel.predictor import knative_service, standard_service

OWNER = Owner("RecModel", "shop", "movies", "0000-uid")
VERSION = Version(name="v-01234567", digest="sha256:0", uri="pvc://data/models/v-01234567/captions")
TEMPLATE: dict[str, Any] = {
    "resources": {
        "requests": {"cpu": 1},
        "limits": {"nvidia.com/gpu": 1},
        "claims": [{"name": "card"}],
    },
    "resourceClaims": [{"name": "card", "resourceClaimTemplateName": "one-card"}],
    "schedulerName": "bin-packing",
    "terminationGracePeriodSeconds": 0,
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname"}],
    "nodeSelector": {"gpu": "yes"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "batch",
    "runtimeClassName": "nvidia",
    "serviceAccountName": "captioner",
    "imagePullSecrets": [{"name": "registry"}],
    "env": [{"name": "HF_HOME", "value": "/cache"}],
    "envFrom": [{"secretRef": {"name": "tokens"}}],
    "volumes": [{"name": "cache", "emptyDir": {}}],
    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
}


def worker(**template: Any) -> Obj:
    return worker_pod(
        PodTemplate.model_validate(template),
        replace(PLATFORM, progress_url="https://progress:8443", progress_ca="PEM"),
        image="captioner:1",
        args=["caption"],
        task_config_map="catalog-caption-0",
        claims=["media", "features"],
        writable=["features"],
    )


def predictor(mode: str = "Knative", **template: Any) -> Obj:
    serving = Serving.model_validate({"mode": mode, **template})
    if mode == "Knative":
        return knative_service(OWNER, serving, VERSION, PLATFORM, percent=None)["spec"]["predictor"]
    return standard_service(OWNER, serving, VERSION, PLATFORM)["spec"]["predictor"]


PODS = [
    pytest.param(worker(), id="a worker"),
    pytest.param(worker(**TEMPLATE), id="a worker with a template"),
    pytest.param(predictor(), id="a predictor"),
    pytest.param(predictor("Standard", **TEMPLATE), id="a predictor with a template"),
]


@pytest.mark.parametrize("pod", PODS)
def test_restricted_pod_security(pod: Obj) -> None:
    [container] = pod["containers"]
    security = container["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == 65532
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


@pytest.mark.parametrize("pod", PODS)
def test_a_read_only_root_leaves_a_place_for_temporary_files(pod: Obj) -> None:
    [container] = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert "emptyDir" in volumes[mounts["/tmp"]]


def test_what_is_only_read_cannot_be_written() -> None:
    [container] = worker()["containers"]
    read_only = {m["mountPath"]: m.get("readOnly", False) for m in container["volumeMounts"]}
    assert read_only["/volumes/media"] is True
    assert read_only["/volumes/features"] is False
    assert read_only["/etc/fathom"] is True


def test_a_predictor_only_reads_its_bundle() -> None:
    pod = predictor()
    claims = [v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
    assert claims == [{"claimName": "data", "readOnly": True}]


def test_the_token_for_progress_is_of_our_audience_and_short_lived() -> None:
    pod = worker()
    [token] = [v for v in pod["volumes"] if v["name"] == "token"]
    assert token["projected"]["sources"] == [
        {
            "serviceAccountToken": {
                "audience": "fathom.dev/progress",
                "expirationSeconds": 3600,
                "path": "token",
            }
        }
    ]
    env = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    assert env["FATHOM_PROGRESS_URL"] == "https://progress:8443"
    assert env["FATHOM_PROGRESS_TOKEN_FILE"] == "/var/run/secrets/fathom/token"
    assert env["FATHOM_PROGRESS_CA_FILE"] == "/etc/fathom/ca.crt"
    assert env["FATHOM_VOLUMES"] == "/volumes"


def test_the_template_reaches_the_pod() -> None:
    pod = worker(**TEMPLATE)
    for field in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "runtimeClassName",
                  "serviceAccountName", "imagePullSecrets", "topologySpreadConstraints", "resourceClaims",
                  "schedulerName", "terminationGracePeriodSeconds"):  # fmt: skip
        assert pod[field] == TEMPLATE[field]
    [container] = pod["containers"]
    assert container["resources"] == TEMPLATE["resources"]
    assert container["envFrom"] == TEMPLATE["envFrom"]
    assert TEMPLATE["volumes"][0] in pod["volumes"]
    assert TEMPLATE["volumeMounts"][0] in container["volumeMounts"]


def test_a_variable_of_the_template_replaces_ours_of_the_same_name() -> None:
    [container] = worker(**TEMPLATE)["containers"]
    assert [e["value"] for e in container["env"] if e["name"] == "HF_HOME"] == ["/cache"]


@pytest.mark.parametrize(
    ("template", "platform", "policy"),
    [
        pytest.param({}, None, None, id="Kubernetes' default where nobody says"),
        pytest.param({}, "Never", "Never", id="the operator's"),
        pytest.param({"imagePullPolicy": "Always"}, "Never", "Always", id="the template's wins"),
    ],
)
def test_image_pull_policy(template: Obj, platform: Any, policy: str | None) -> None:
    pod = worker_pod(
        PodTemplate.model_validate(template),
        replace(PLATFORM, image_pull_policy=platform),
        image="captioner:1",
        args=[],
        task_config_map="x",
        claims=[],
        writable=[],
    )
    assert pod["containers"][0].get("imagePullPolicy") == policy


def test_a_predictor_is_ready_when_its_model_answers() -> None:
    [container] = predictor()["containers"]
    assert container["name"] == "kserve-container"
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/models/movies/ready", "port": 8080}
    assert container["args"] == [
        "serve", "--bundle", VERSION.uri, "--model-name", "movies", "--model-version", "v-01234567",
        "--port", "8080",
    ]  # fmt: skip


def test_knative_is_told_the_share_and_the_version() -> None:
    serving = Serving.model_validate({"mode": "Knative", "replicas": 2})
    isvc = knative_service(OWNER, serving, VERSION, PLATFORM, percent=10)
    predictor = isvc["spec"]["predictor"]
    assert isvc["metadata"]["name"] == "movies"
    assert isvc["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Knative"
    assert (predictor["minReplicas"], predictor["maxReplicas"], predictor["canaryTrafficPercent"]) == (
        2,
        2,
        10,
    )
    assert predictor["labels"]["fathom.dev/run"] == "v-01234567"
    assert predictor["annotations"]["fathom.dev/digest"] == "sha256:0"
    # Knative refuses it unless a flag allows it; the container says it all.
    assert "securityContext" not in predictor


def test_a_new_share_alone_starts_no_new_pods() -> None:
    """Knative makes a revision of whatever changes in the template, annotations included."""

    def template(percent: int | None) -> Obj:
        isvc = knative_service(OWNER, Serving(), VERSION, PLATFORM, percent=percent)
        predictor = {k: v for k, v in isvc["spec"]["predictor"].items() if k != "canaryTrafficPercent"}
        return {"metadata": isvc["metadata"], "predictor": predictor}

    assert template(10) == template(50) == template(None)


@pytest.mark.parametrize(
    ("serving", "seconds"),
    [
        pytest.param({}, 10, id="so that endpoints drain"),
        pytest.param({"terminationGracePeriodSeconds": 3}, 3, id="no longer than the pod may take"),
        pytest.param({"terminationGracePeriodSeconds": 0}, None, id="not if it must go at once"),
    ],
)
def test_a_pod_without_knatives_proxy_waits_before_it_stops(serving: Obj, seconds: int | None) -> None:
    isvc = standard_service(OWNER, Serving.model_validate({"mode": "Standard", **serving}), VERSION, PLATFORM)
    lifecycle = isvc["spec"]["predictor"]["containers"][0].get("lifecycle")
    assert lifecycle == ({"preStop": {"sleep": {"seconds": seconds}}} if seconds else None)
    knative = knative_service(OWNER, Serving(), VERSION, PLATFORM, percent=None)
    assert "lifecycle" not in knative["spec"]["predictor"]["containers"][0]


def test_standard_is_one_service_a_version_without_a_route_of_its_own() -> None:
    isvc = standard_service(OWNER, Serving.model_validate({"mode": "Standard"}), VERSION, PLATFORM)
    assert isvc["metadata"]["name"] == "movies-01234567"
    assert isvc["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert isvc["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
