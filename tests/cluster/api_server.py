"""A control plane without nodes, for integration tests: ready in about 3 s, any number side by side.

    with api_server.running() as kubeconfig:
        ...

Needs no root: etcd and the API server listen on free ports of the loopback, in a folder of their own, and the
kernel ends them with the test process, however that ends.
"""

import shutil
import socket
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from cluster import build, settings
from cluster.components import ETCD, KUBERNETES
from cluster.console import ClusterError
from cluster.controlplane import ControlPlane
from cluster.processes import Folder

_ATTEMPTS = 3

HOUSEKEEPING = ("garbage-collector-controller", "namespace-controller", "serviceaccount-controller")
"""Controllers that delete what an owner leaves behind, finish namespaces and give them a service account."""


@contextmanager
def running(controllers: Sequence[str] = HOUSEKEEPING) -> Generator[Path]:
    """Run a control plane and yield the administrator's kubeconfig.

    Args:
        controllers: names of kube-controller-manager's controllers; none starts no controller manager. Jobs,
            Deployments and the like stay as the test leaves them unless their controller is named.
    """
    folder = Path(tempfile.mkdtemp(prefix="fathom-api-"))
    plane = start(folder, tied=True)
    try:
        if controllers:
            plane.start_controllers(controllers)
        yield plane.admin
    finally:
        plane.processes.stop(grace=1.0)
        shutil.rmtree(folder)


def up(folder: Path, controllers: Sequence[str] = HOUSEKEEPING) -> Path:
    """Start a control plane that outlives this process; returns its kubeconfig."""
    down(folder)
    plane = start(folder, tied=False)
    if controllers:
        plane.start_controllers(controllers)
    return plane.admin


def down(folder: Path) -> None:
    """Stop what ``up`` started in this folder and remove the folder."""
    _records(folder).stop(grace=1.0)
    if folder.exists():
        shutil.rmtree(folder)


def _records(folder: Path) -> Folder:
    return Folder(folder / "processes", folder / "log")


def start(folder: Path, *, tied: bool) -> ControlPlane:
    """Start etcd and the API server on free ports.

    Args:
        folder: where they keep their files.
        tied: the kernel ends them with the thread that started them.
    """
    built = build.ensure([ETCD, KUBERNETES], settings.from_env().cache)

    def once() -> ControlPlane:
        port, etcd_port = _free_ports(2)
        plane = ControlPlane(folder, "127.0.0.1", port, etcd_port, _records(folder), built, tied=tied)
        try:
            plane.start()
        except ClusterError:
            plane.processes.stop(grace=1.0)
            shutil.rmtree(folder / "etcd", ignore_errors=True)
            raise
        return plane

    # A port that was free a moment ago may have been taken by another test run.
    again = retry_if_exception_type(ClusterError)
    return Retrying(stop=stop_after_attempt(_ATTEMPTS), retry=again, reraise=True)(once)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
