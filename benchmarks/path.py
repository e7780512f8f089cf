"""The real path, ingress → Knative → pod, beside the pod alone: `python -m benchmarks.path NAMESPACE`.

Needs a cluster on which `make demo` has run; `KUBECONFIG` names it. Requests come from a pod and stay in the
pods' network. First it is found out how many a second the whole path answers; then they come at a share of
that (70 % unless told otherwise), as a Poisson process, whether or not earlier ones are answered: by turns a
minute through the ingress and twenty seconds straight to the model's pod, past the ingress and Knative's
queue proxy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np

from cluster import tools
from demo.kube import Kube, Object
from demo.manifests import REC_MODEL

#: Seconds of asking as fast as possible; of a turn by each way.
PROBE: Final = 20.0
INGRESS, POD = "ingress", "pod"
TURNS: Final = {INGRESS: 60.0, POD: 20.0}
_POD: Final = "fathom-bench-path"
_CONTAINER: Final = "kserve-container"
_PORT: Final = 8080


def main() -> None:
    """Measure and print; see the module."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--minutes", type=int, default=10, help="through the ingress (default: %(default)s)")
    options.add_argument(
        "--shares", type=float, nargs="+", default=[0.7], help="of what the path takes (default: %(default)s)"
    )
    options.add_argument("namespace", help="of the RecModel; the demo's begins with demo-")
    options.add_argument("--model", default=REC_MODEL, help="the RecModel (default: %(default)s)")
    options.add_argument(
        "--ingress", default="kourier-system/kourier", help="Knative's (default: %(default)s)"
    )
    given = options.parse_args()
    if "KUBECONFIG" not in os.environ:
        raise SystemExit("name the cluster on which `make demo` has run: export KUBECONFIG=…")
    kube = Kube(str(tools.kubectl()), Path(os.environ["KUBECONFIG"]))
    with client(kube, given.namespace, given.model) as served:
        asked = request(kube, given, served)
        [probe] = turns(kube, given.namespace, asked, [(INGRESS, PROBE, None)])
        capacity = len(probe["seconds"]) / PROBE
        print(f"{os.cpu_count()} CPUs, {platform.machine()}, capacity {capacity:.0f} requests/s\n")
        print("| share | way | requests | errors | p50 ms | p99 ms |")
        print("| ---: | --- | ---: | ---: | ---: | ---: |")
        for share in given.shares:
            at = share * capacity
            plan = [(way, seconds, at) for _ in range(given.minutes) for way, seconds in TURNS.items()]
            show(share, turns(kube, given.namespace, asked, plan))


def show(share: float, found: list[dict[str, Any]]) -> None:
    """Print how both ways did at a share of the capacity."""
    p99 = {way: row(share, way, [turn for turn in found if turn["way"] == way]) for way in TURNS}
    added, load = p99[INGRESS] - p99[POD], os.getloadavg()[0]
    print(f"  p99 through the ingress: {added:+.2f} ms; load {load:.1f}", flush=True)


def row(share: float, way: str, own: list[dict[str, Any]]) -> float:
    """Print the line of a way in the table, and return its p99 in milliseconds."""
    milliseconds = np.concatenate([turn["seconds"] for turn in own]) * 1000
    errors = [error for turn in own for error in turn["errors"]]
    p50, p99 = np.percentile(milliseconds, [50, 99])
    print(f"| {share:.0%} | {way} | {len(milliseconds):,} | {len(errors)} | {p50:.2f} | {p99:.2f} |")
    for error in sorted(set(errors))[:5]:
        print(f"  {error}")
    return float(p99)


def request(kube: Kube, given: argparse.Namespace, served: Object) -> dict[str, Any]:
    """Return what is asked, and both ways: a user's ten best of all items."""
    model = kube.find("recmodel", given.model, given.namespace)
    url = (model or {}).get("status", {}).get("url")
    if not url:
        raise SystemExit(f"RecModel {given.namespace}/{given.model} is not served; run `make demo` first")
    namespace, _, service = given.ingress.partition("/")
    through = {
        "host": f"{service}.{namespace}.svc",
        "port": 80,
        "headers": {"Host": urlsplit(url).hostname},
    }
    return {
        "ways": {INGRESS: through, POD: {"host": served["status"]["podIP"], "port": _PORT, "headers": {}}},
        "path": f"/v1/models/{given.model}:predict",
        "body": json.dumps({"instances": [{"user_id": "1", "k": 10}]}),
    }


def turns(
    kube: Kube, namespace: str, asked: dict[str, Any], plan: list[tuple[str, float, float | None]]
) -> list[dict[str, Any]]:
    """Return what the client in the cluster heard in each turn (way, seconds, rate) of `plan`."""
    told = [{"way": w, "seconds": s, "rate": r, "seed": n} for n, (w, s, r) in enumerate(plan)]
    said = kube.exec(
        _POD,
        namespace,
        *("python", "-", json.dumps({**asked, "turns": told})),
        stdin=Path(__file__).with_name("path_client.py").read_bytes(),
        timeout=60 + 2 * sum(seconds for _, seconds, _ in plan),
    )
    return [json.loads(line) for line in said.splitlines()]


@contextmanager
def client(kube: Kube, namespace: str, model: str) -> Generator[Object]:
    """Have a pod to ask from, of the image that the model is served with; yield the model's own pod."""
    running = [
        pod
        for pod in kube.list("pods", namespace, f"serving.kserve.io/inferenceservice={model}")
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]
    if len(running) != 1:
        raise SystemExit(
            f"{model} has {len(running)} running pods; this measures one pod: wait for a rollout to end"
        )
    image = next(c["image"] for c in running[0]["spec"]["containers"] if c["name"] == _CONTAINER)
    kube.apply([asking(namespace, image)])
    try:
        kube.run(
            "wait", f"pod/{_POD}", "-n", namespace, "--for=condition=Ready", "--timeout=120s", timeout=130
        )
        yield running[0]
    finally:
        kube.delete("pod", _POD, namespace, "--grace-period=0", "--force")


def asking(namespace: str, image: str) -> Object:
    """Return the pod that asks: it waits for what `exec` brings."""
    container = {
        "name": "client",
        "image": image,
        "command": ["python", "-c", "import time; time.sleep(7200)"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    safe = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _POD, "namespace": namespace},
        "spec": {
            "containers": [container],
            "securityContext": safe,
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
        },
    }


if __name__ == "__main__":
    main()
