"""How much memory this process uses, and how much more it may use."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Any, Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")
_STATM: Final = Path("/proc/self/statm")
#: glibc's mallopt(3): M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX.
_TRIM: Final = -1
_MMAP: Final = -3
_ARENAS: Final = -8
_LARGE: Final = 2**30


def keep_freed() -> None:
    """Have this process keep what it frees for its next allocation, instead of giving it back to the kernel.

    glibc takes fresh pages for every large tensor, and the kernel clears them: that is half the time of a
    convolution. Without glibc nothing changes.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_MMAP, _LARGE)
        libc.mallopt(_TRIM, 2 * _LARGE - 1)
        # Arenas of other threads than the first hold no large tensor.
        libc.mallopt(_ARENAS, 1)


def give_back() -> None:
    """Give the kernel what this process has freed and still holds: what loading needed, serving does not."""
    arrow: Any = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


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
