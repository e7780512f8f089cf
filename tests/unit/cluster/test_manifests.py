import base64
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import systemimages
from cluster.build import Built
from cluster.controlplane import etcd_arguments
from cluster.manifests import knative, kserve, storage
from cluster.node import Node, cni_config, containerd_config, kubelet_config
from cluster.processes import Folder

Object = dict[str, Any]


def _deployment(name: str, **container: object) -> Object:
    probe = {"initialDelaySeconds": 30, "httpGet": {"path": "/readyz"}}
    one = {"name": "manager", "resources": {"limits": {"cpu": "1"}}, "readinessProbe": probe, **container}
    return {
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": [one, {"name": "kube-rbac-proxy"}]}}},
    }


def _write(built: Built, module: str, file: str, *objects: Object) -> None:
    target = built.manifests(module) / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps([*objects, None]))


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return Built(tmp_path)


def _container(deployment: Object) -> Object:
    return deployment["spec"]["template"]["spec"]["containers"][0]


def test_knative_runs_the_images_built_here_without_requests(built: Built):
    image = "ko://knative.dev/serving/cmd/activator"
    _write(
        built, "knative.dev/serving", "config/core/deployments/a.json", _deployment("activator", image=image)
    )
    (deployment,) = knative.objects(built, envoy=None)
    container = _container(deployment)
    assert container["image"] == systemimages.name("kn-activator")
    assert "resources" not in container
    assert container["readinessProbe"]["initialDelaySeconds"] == 0


@pytest.mark.parametrize(
    ("envoy", "image"),
    [
        pytest.param("dev.local/envoy:1", "dev.local/envoy:1", id="ours where no registry can be reached"),
        pytest.param(None, "envoyproxy/envoy:v1", id="upstream's elsewhere"),
    ],
)
def test_the_gateway_of_kourier(built: Built, envoy: str | None, image: str):
    gateway = _deployment("3scale-kourier-gateway", image="envoyproxy/envoy:v1", lifecycle={"preStop": {}})
    _write(built, "knative.dev/net-kourier", "config/300-gateway.json", gateway)
    (deployment,) = knative.objects(built, envoy=envoy)
    assert _container(deployment)["image"] == image


def test_knative_lets_predictors_write_to_claims(built: Built):
    features = {"kind": "ConfigMap", "metadata": {"name": "config-features"}, "data": {"_example": ""}}
    _write(built, "knative.dev/serving", "config/core/configmaps/features.json", features)
    (config,) = knative.objects(built, envoy=None)
    assert config["data"]["kubernetes.podspec-persistent-volume-write"] == "enabled"


def test_scaling_of_knative_itself_is_left_out(built: Built):
    scaler = {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "activator"}}
    _write(built, "knative.dev/serving", "config/core/deployments/hpa.json", scaler)
    assert knative.objects(built, envoy=None) == []


def _kserve(built: Built, *objects: Object) -> list[Object]:
    _write(built, "github.com/kserve/kserve", "install/v0.20.0/kserve.json", *objects)
    return kserve.objects(built)


def test_kserve_keeps_only_its_manager(built: Built):
    deployment = _kserve(built, _deployment("kserve-controller-manager"))[-1]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == systemimages.name("kserve-manager")


@pytest.mark.parametrize(
    "unwanted",
    [
        pytest.param(
            {"kind": "Deployment", "metadata": {"name": "llmisvc-controller-manager"}}, id="LLM serving"
        ),
        pytest.param({"kind": "Service", "metadata": {"name": "localmodel-webhook"}}, id="node-local models"),
        pytest.param({"kind": "Issuer", "metadata": {"name": "selfsigned-issuer"}}, id="cert-manager's part"),
    ],
)
def test_kserve_leaves_out(built: Built, unwanted: Object):
    assert unwanted not in _kserve(built, unwanted)


def test_webhooks_of_kserve_trust_the_certificate_in_the_secret(built: Built):
    webhook = {
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "inferenceservice.serving.kserve.io"},
        "webhooks": [{"clientConfig": {}}],
    }
    _, secret, configured = _kserve(built, webhook)
    ca = kserve.pki.x509.load_pem_x509_certificate(
        base64.b64decode(configured["webhooks"][0]["clientConfig"]["caBundle"])
    )
    served = kserve.pki.x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    served.verify_directly_issued_by(ca)


def test_settings_of_kserve_are_changed_one_by_one(built: Built):
    data = {"deploy": '{"defaultDeploymentMode": "Serverless"}', "ingress": '{"urlScheme": "http"}'}
    config = {"kind": "ConfigMap", "metadata": {"name": "inferenceservice-config"}, "data": data}
    changed = _kserve(built, config)[-1]["data"]
    assert json.loads(changed["deploy"]) == {"defaultDeploymentMode": "Knative"}
    assert json.loads(changed["ingress"])["urlScheme"] == "http"
    assert json.loads(changed["ingress"])["disableIstioVirtualHost"] is True


def test_volumes_can_be_claimed_for_reading_and_writing_by_many(tmp_path: Path):
    storage_class, *volumes = storage.objects(storage.make_folders(tmp_path))
    assert storage_class["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert len(volumes) == storage.VOLUMES
    assert all("ReadWriteMany" in volume["spec"]["accessModes"] for volume in volumes)
    assert all(Path(volume["spec"]["hostPath"]["path"]).is_dir() for volume in volumes)


def test_the_manifest_of_coredns_runs_our_image_at_the_address_that_pods_ask():
    text = (Path(storage.__file__).parent / "coredns.yaml").read_text()
    objects: list[Object] = list(yaml.safe_load_all(text))
    by_kind = {one["kind"]: one for one in objects}
    assert _container(by_kind["Deployment"])["image"] == systemimages.name("coredns")
    config = kubelet_config(_node(Path("/run")), Path("/pki"))
    assert config["clusterDNS"] == [by_kind["Service"]["spec"]["clusterIP"]]


def _node(run: Path) -> Node:
    return Node(
        "demo", run, run / "store", Folder(run, run), {}, "10.250.0.2", Path("/run/netns/fathom-demo")
    )


def test_pods_of_a_cluster_are_in_its_own_cgroup_and_folders(tmp_path: Path):
    config = kubelet_config(_node(tmp_path), tmp_path)
    assert config["cgroupRoot"] == "/fathom-demo"
    assert config["podLogsDir"] == str(tmp_path / "pod-logs")


@pytest.mark.parametrize("janitor", [True, False])
def test_only_a_janitor_starts_without_reviving_containers(tmp_path: Path, janitor: bool):
    config = tomllib.loads(containerd_config(_node(tmp_path), janitor=janitor))
    assert ("io.containerd.grpc.v1.cri" in config["disabled_plugins"]) is janitor


def test_addresses_of_pods_are_kept_in_the_run_folder(tmp_path: Path):
    plugins: Any = cni_config(_node(tmp_path))["plugins"]
    assert plugins[0]["ipam"]["dataDir"] == str(tmp_path / "cni")


def test_etcd_listens_on_the_loopback_only(tmp_path: Path):
    urls = [word for word in etcd_arguments(tmp_path, 2379) if "http" in word]
    assert urls
    assert all("http://127.0.0.1:" in url for url in urls)
