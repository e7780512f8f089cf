"""Cleaning up after a cluster, whether it was stopped or died."""

import shutil
from pathlib import Path

from cluster import cgroups, mounts
from cluster.network import Network
from cluster.node import Node
from cluster.processes import Process, command_line, end, everywhere, start_time

_NETWORK_RESULTS = Path("/var/lib/cni/results")
_LINKS_TO_LOGS = Path("/var/log/containers")


def sweep(node: Node, network: Network) -> None:
    """Leave nothing of a run of this cluster but its images and its logs, also after a crash."""
    # The kubelet first: it would start again what is ended behind its back.
    node.processes.stop("kubelet", "kube-controller-manager", "kube-scheduler")
    node.processes.stop()
    sockets = _shim_sockets(node)
    cgroups.kill(node.cgroup)
    end(list(_strays(node)), grace=1.0)
    mounts.unmount(node.run)
    mounts.unmount(node.store)
    for socket in sockets:
        socket.unlink(missing_ok=True)
    if node.run.exists():
        shutil.rmtree(node.run)
    containers = _forget_containers(node)
    network.down()
    _remove_traces(node, containers)


def _strays(node: Node) -> list[Process]:
    """Processes that name this cluster's run folder: containers' shims, and what a crash left unrecorded."""
    marks = f"{node.run}/"
    found: list[Process] = []
    for pid in everywhere():
        started = start_time(pid)
        if started is not None and any(marks in word for word in command_line(pid)):
            found.append(Process("stray", pid, started))
    return found


def _shim_sockets(node: Node) -> list[Path]:
    """Each shim listens on a socket outside our folders, whose name only its bundle knows."""
    bundles = node.run / "containerd" / "io.containerd.runtime.v2.task"
    addresses = [file.read_text() for file in bundles.glob("*/*/address")]
    return [Path(address.removeprefix("unix://")) for address in addresses if address.startswith("unix://")]


def _forget_containers(node: Node) -> list[str]:
    """Containers are remembered in the image store: the next kubelet must not find them there."""
    cgroups.remove(node.cgroup)
    if not (node.store / "io.containerd.metadata.v1.bolt").exists():
        return []
    node.start_containerd(janitor=True)
    try:
        containers = node.forget_containers()
    finally:
        node.processes.stop("containerd")
        shutil.rmtree(node.run)
    for remembered in ("containers", "sandboxes"):
        shutil.rmtree(node.store / "io.containerd.grpc.v1.cri" / remembered, ignore_errors=True)
    return containers


def _remove_traces(node: Node, containers: list[str]) -> None:
    """What the kubelet and CNI write at fixed places of the host."""
    for container in containers:
        for result in _NETWORK_RESULTS.glob(f"*-{container}-*"):
            result.unlink()
    for link in _LINKS_TO_LOGS.glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(node.pod_logs):
            link.unlink()
