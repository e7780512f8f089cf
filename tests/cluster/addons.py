"""What some tests need beside the cluster: Kueue, a server that speaks S3, a Gateway API with Envoy."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from cluster import build, gatewayapi, oci, providers, systemimages, tools
from cluster.components import ENVOY_GATEWAY, KUEUE, S3_SERVER, Component
from cluster.console import step
from cluster.kube import Kube
from cluster.providers import Provider
from cluster.shell import locked, run

NAMESPACE = "kueue-system"
RELEASE = "kueue"
#: Kueue watches our Jobs and no other kind: its webhooks then stand in nobody else's way.
_CONFIGURATION = {
    "apiVersion": "config.kueue.x-k8s.io/v1beta1",
    "kind": "Configuration",
    "health": {"healthProbeBindAddress": ":8081"},
    "metrics": {"bindAddress": ":8443"},
    "webhook": {"port": 9443},
    "internalCertManagement": {"enable": True},
    "integrations": {"frameworks": ["batch/job"]},
}


def add_s3_server(provider: Provider, cache: Path) -> str:
    """Give the nodes an image of versitygw and return its name."""
    return _image(provider, S3_SERVER, "versitygw", "/versitygw", cache)


def add_kueue(provider: Provider, cache: Path) -> None:
    """Install Kueue and wait until it serves."""
    image = _image(provider, KUEUE, "kueue", "/manager", cache)
    chart = build.location(KUEUE, cache).chart("sigs.k8s.io/kueue")
    options = ["-n", NAMESPACE, "--create-namespace", "--wait", "--timeout", "5m", "--values", "-"]
    with step("Installing Kueue"):
        _helm(
            provider, "upgrade", "--install", RELEASE, chart, *options, stdin=yaml.safe_dump(_values(image))
        )


def add_envoy_gateway(provider: Provider, cache: Path) -> None:
    """Install the Gateway API, Envoy Gateway and its GatewayClass, and wait until it serves."""
    image = _image(provider, ENVOY_GATEWAY, "envoy-gateway", "/usr/local/bin/envoy-gateway", cache)
    chart = build.location(ENVOY_GATEWAY, cache).chart("github.com/envoyproxy/gateway")
    # The chart of the module is the one before its release: its values are a template.
    values = ["--values", chart / "values.tmpl.yaml", "--values", "-"]
    options = ["-n", gatewayapi.NAMESPACE, "--create-namespace", "--wait", "--timeout", "5m", *values]
    wanted = yaml.safe_dump(gatewayapi.values(image))
    # Where an engine reaches registries, Envoy Gateway's own Envoy is taken.
    envoy = None if providers.docker_answers() else systemimages.ENVOY
    with step("Installing Envoy Gateway"):
        _helm(provider, "upgrade", "--install", gatewayapi.RELEASE, chart, *options, stdin=wanted)
        Kube(provider.kubeconfig()).apply(gatewayapi.objects(envoy))


def remove_envoy_gateway(provider: Provider) -> None:
    """Uninstall Envoy Gateway; the kinds of the Gateway API stay, as Helm leaves them."""
    kube = Kube(provider.kubeconfig())
    with step("Removing Envoy Gateway"):
        kube.kubectl(
            "delete", "gateways.gateway.networking.k8s.io", "--all", "--all-namespaces", "--timeout=60s"
        )
        kube.kubectl("delete", "gatewayclass", gatewayapi.CLASS, "--ignore-not-found", "--timeout=60s")
        _helm(provider, "uninstall", gatewayapi.RELEASE, "-n", gatewayapi.NAMESPACE, "--ignore-not-found")


def remove_kueue(provider: Provider) -> None:
    """Uninstall Kueue, after all that only Kueue itself can let go of: its objects have finalizers."""
    kube = Kube(provider.kubeconfig())
    with step("Removing Kueue"):
        for kind in ("workloads", "localqueues", "clusterqueues", "resourceflavors"):
            kube.kubectl("delete", f"{kind}.kueue.x-k8s.io", "--all", "--all-namespaces", "--timeout=120s")
        _helm(provider, "uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait")


def _values(image: str) -> dict[str, Any]:
    repository, _, tag = image.partition(":")
    manager = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "resources": {"requests": {"cpu": "10m"}},
    }
    ready = {"initialDelaySeconds": 1, "periodSeconds": 1}
    return {
        "controllerManager": {"manager": manager, "readinessProbe": ready},
        "managerConfig": {"controllerManagerConfigYaml": yaml.safe_dump(_CONFIGURATION)},
    }


def _helm(provider: Provider, *words: str | Path, stdin: str | None = None) -> None:
    run([tools.helm(), *words], env={"KUBECONFIG": str(provider.kubeconfig())}, stdin=stdin)


def _image(provider: Provider, component: Component, binary: str, path: str, cache: Path) -> str:
    """Give the nodes an image with `binary` at `path`, where its manifests look for it; return its name."""
    built = build.ensure([component], cache)[component.name]
    name = systemimages.name(binary)
    folder = cache / "images" / f"{component.name}{path.replace('/', '-')}-{build.key(component)}"
    with locked(cache / "images.lock", f"writing the image of {binary}"):
        if not folder.exists():
            _write(folder, name, built.binary(binary), path)
    provider.load_layout(folder)
    return name


def _write(folder: Path, name: str, binary: Path, path: str) -> None:
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    layout = oci.Layout(unfinished)
    layer = layout.add_files({path: binary})
    layout.add_image(name, [layer], oci.Program(entrypoint=[path]))
    layout.finish()
    unfinished.rename(folder)


ADDONS: dict[str, Callable[[Provider, Path], object]] = {
    "kueue": add_kueue,
    "s3-server": add_s3_server,
    "envoy-gateway": add_envoy_gateway,
}
