"""What a fresh cluster's etcd starts from: everything installed, nothing running yet.

Creating KServe's and Knative's large CRDs takes the API server many seconds, most of them waiting for itself.
So it is done once, on a control plane without controllers and nodes, and the data that leaves is kept in the
cache. There are no pods, nodes, tokens or addresses of any cluster in it; of secrets it holds the key of
KServe's webhook.
"""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from cluster import api_server, build, controlplane, install, systemimages
from cluster.components import ETCD, KNATIVE, KSERVE, KUBERNETES
from cluster.console import step
from cluster.kube import Kube
from cluster.shell import locked

_SOURCES = Path(__file__).parent
_COREDNS = _SOURCES / "manifests" / "coredns.yaml"
_KEPT_S = 180 * 24 * 3600  # the webhook's certificate in it lasts a year


def key() -> str:
    """A digest of what decides the data."""
    digest = hashlib.sha256(
        json.dumps([build.key(one) for one in (ETCD, KUBERNETES, KSERVE, KNATIVE)]).encode()
    )
    for source in (install.__file__, controlplane.__file__, *sorted((_SOURCES / "manifests").iterdir())):
        if Path(source).is_file():
            digest.update(Path(source).read_bytes())
    return digest.hexdigest()[:12]


def ensure(cache: Path, now: Callable[[], float] = time.time) -> Path:
    """The folder of etcd's data, made when there is none in the cache or its certificate grows old."""
    folder = cache / "seed" / key()
    if not _fresh(folder, now()):
        with locked(cache / "seed.lock", "preparing the cluster's first state"):
            if not _fresh(folder, now()):
                _make(folder, cache)
    return folder


def _fresh(folder: Path, now: float) -> bool:
    return folder.exists() and now - folder.stat().st_mtime < _KEPT_S


def _make(folder: Path, cache: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="fathom-seed-") as work,
        step("Preparing the cluster's first state"),
    ):
        plane = api_server.start(Path(work), tied=True)
        try:
            Kube(plane.admin).create(list(yaml.safe_load_all(_COREDNS.read_text())))
            install.install(Kube(plane.admin), cache, envoy=systemimages.ENVOY, fresh=True)
        finally:
            plane.processes.stop(grace=20.0)  # the patient way: a killed API server leaves leases behind
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(Path(work) / "etcd", unfinished)
        unfinished.chmod(0o700)
        unfinished.rename(folder)
