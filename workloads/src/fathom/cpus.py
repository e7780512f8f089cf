"""How many CPUs this process may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup/cpu.max")


def available(limit: Path = _CGROUP) -> int:
    """Return the CPUs of our affinity or of the container's limit, whichever is fewer, at least 1."""
    return max(1, min(len(os.sched_getaffinity(0)), _limit(limit)))


def _limit(file: Path) -> int:
    """Return the whole CPUs of a cgroup (v2) limit: "150000 100000" is one and a half."""
    try:
        quota, period = file.read_text().split()
    except (FileNotFoundError, ValueError):
        return os.cpu_count() or 1
    return (os.cpu_count() or 1) if quota == "max" else int(quota) // int(period)
