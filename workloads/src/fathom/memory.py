"""How much memory this process uses, and how much more it may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")
_STATM: Final = Path("/proc/self/statm")


def used(statm: Path = _STATM) -> int:
    """Return the bytes of memory that this process holds."""
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available(cgroup: Path = _CGROUP, meminfo: Path = _MEMINFO) -> int:
    """Return the bytes that are free on this machine or below the container's limit, whichever is fewer."""
    return min(_of_machine(meminfo), _of_container(cgroup))


def _of_machine(file: Path) -> int:
    fields = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _of_container(folder: Path) -> int:
    """Return what a cgroup (v2) leaves; files it has cached can be given back and count as free."""
    try:
        limit = (folder / "memory.max").read_text().strip()
        current = int((folder / "memory.current").read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (FileNotFoundError, ValueError):
        return 2**63
    return 2**63 if limit == "max" else max(0, int(limit) - current + int(stat.get("inactive_file", 0)))
