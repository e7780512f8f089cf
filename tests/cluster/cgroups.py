"""The cgroups of one cluster, on hosts with cgroup v1 and v2 alike."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PATIENCE_S = 10.0


def _trees(name: str) -> Iterator[Path]:
    """The cgroup's folder in every hierarchy: v2 has one at the root, v1 has one per controller."""
    return (tree for tree in (_ROOT / name, *_ROOT.glob(f"*/{name}")) if tree.is_dir())


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
