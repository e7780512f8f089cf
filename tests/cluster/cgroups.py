"""The cgroups of one cluster, on hosts with cgroup v1 and v2 alike."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from cluster.console import ClusterError

_ROOT = Path("/sys/fs/cgroup")
_PATIENCE_S = 10.0
_NEEDED = ("cpuset", "cpu", "memory", "pids")


def _trees(name: str) -> Iterator[Path]:
    """The cgroup's folder in every hierarchy: v2 has one at the root, v1 has one per controller."""
    return (tree for tree in (_ROOT / name, *_ROOT.glob(f"*/{name}")) if tree.is_dir())


def create(name: str) -> None:
    """Make the cgroup in every hierarchy: the kubelet does not start without the one it is to use.

    Raises:
        ClusterError: a controller that pods need cannot be handed down (cgroup v2).
    """
    if (_ROOT / "cgroup.controllers").exists():
        _hand_down(_ROOT / "cgroup.subtree_control")
        (_ROOT / name).mkdir(exist_ok=True)
        _weigh(_ROOT / name)
        return
    for hierarchy in _ROOT.iterdir():
        if hierarchy.is_dir() and not hierarchy.is_symlink():
            (hierarchy / name).mkdir(exist_ok=True)
            _weigh(hierarchy / name)


def _weigh(group: Path) -> None:
    """Let the cluster count as several processes of each CPU: a group weighs no more than one process."""
    times = 4 * (os.cpu_count() or 1)
    for file, one in (("cpu.shares", 1024), ("cpu.weight", 100)):
        if (group / file).exists():
            (group / file).write_text(str(min(10_000, one * times)))


def _hand_down(control: Path) -> None:
    missing = [one for one in _NEEDED if one not in control.read_text().split()]
    try:
        for one in missing:
            control.write_text(f"+{one}")
    except OSError as refused:
        raise ClusterError(
            f"cgroup v2: cannot enable {', '.join(missing)} in {control} ({refused}). Inside a container, "
            "start it with its host's cgroup namespace, or use another cluster with FATHOM_KUBECONFIG"
        ) from refused


def members(name: str) -> set[int]:
    """The ids of all processes in the cgroup and below."""
    found: set[int] = set()
    for tree in _trees(name):
        for listing in tree.rglob("cgroup.procs"):
            try:
                found.update(int(pid) for pid in listing.read_text().split())
            except OSError:
                continue  # the cgroup went away while we looked
    return found


def kill(name: str) -> None:
    """Kill every process in the cgroup, including those that others start meanwhile."""
    deadline = time.monotonic() + _PATIENCE_S
    while (pids := members(name)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def remove(name: str) -> None:
    """Remove the cgroup, which must have no processes, in every hierarchy."""
    for tree in _trees(name):
        below = [folder for folder in tree.rglob("*") if folder.is_dir()]
        for folder in sorted(below, key=lambda path: len(path.parts), reverse=True):
            folder.rmdir()
        tree.rmdir()
