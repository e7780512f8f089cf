"""Building components into the cache, each keyed by what decides its content."""

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster import golang
from cluster.components import ALL, Component
from cluster.console import ClusterError, step
from cluster.shell import locked, run

SOURCES = Path(__file__).parent / "go"


@dataclass(frozen=True)
class Built:
    """A component in the cache."""

    folder: Path

    def binary(self, name: str) -> Path:
        """The path of one of its binaries."""
        return self.folder / "bin" / name

    def manifests(self, module: str) -> Path:
        """The folder of the manifests that came with one of its Go modules."""
        return self.folder / "manifests" / module


def key(component: Component, sources: Path = SOURCES) -> str:
    """A digest of everything that decides what the component's binaries are."""
    digest = hashlib.sha256(platform.machine().encode())
    for source in sorted((sources / component.folder).iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    digest.update(json.dumps([component.binaries, component.ldflags, component.manifests]).encode())
    return digest.hexdigest()[:12]


def location(component: Component, cache: Path) -> Built:
    """Where the component is, or will be, in the cache."""
    return Built(cache / "build" / f"{component.name}-{key(component)}")


def ensure(components: Iterable[Component], cache: Path) -> dict[str, Built]:
    """Build what is not in the cache. A component appears there whole or not at all."""
    wanted = list(components)
    if any(not location(one, cache).folder.exists() for one in wanted):
        with locked(cache / "build.lock", "building the cluster's programs"):
            for one in wanted:
                if not location(one, cache).folder.exists():
                    _build(one, cache)
    return {one.name: location(one, cache) for one in wanted}


def prune(cache: Path) -> None:
    """Remove builds that no component of today's table asks for."""
    current = {location(one, cache).folder for one in ALL}
    for folder in (cache / "build").glob("*-*"):
        if folder not in current:
            shutil.rmtree(folder)


def _build(component: Component, cache: Path) -> None:
    final = location(component, cache).folder
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=final.parent))
    try:
        with step(f"Building {component.name} ({', '.join(component.binaries)})"):
            go = golang.find(cache)
            _compile(component, go, unfinished / "bin")
            _copy_manifests(component, go, unfinished / "manifests")
        unfinished.rename(final)
    except ClusterError as failed:
        raise ClusterError(
            f"{component.name} could not be built. It needs the Go module proxy (GOPROXY) and about 6 GB on the "
            f"disk of the Go caches.\n{failed}"
        ) from failed
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _environment() -> dict[str, str]:
    return {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _compile(component: Component, go: Path, into: Path) -> None:
    into.mkdir(parents=True)
    source = SOURCES / component.folder
    flags = ["-buildvcs=false", "-trimpath", "-ldflags", component.ldflags]
    # One call for all packages lets Go compile what they share once and side by side; its names are Go's own.
    run([go, "build", *flags, "-o", f"{into}/", *component.binaries.values()], env=_environment(), cwd=source)
    for name, package in component.binaries.items():
        (into / go_name(package, source.name)).rename(into / name)


def go_name(package: str, folder: str) -> str:
    """The file name ``go build`` gives a package's binary: a major version at the end does not count."""
    if package == ".":
        return folder
    parts = package.split("/")
    return parts[-2] if parts[-1].startswith("v") and parts[-1][1:].isdigit() else parts[-1]


def _copy_manifests(component: Component, go: Path, into: Path) -> None:
    for module, patterns in component.manifests.items():
        listed = run(
            [go, "list", "-m", "-f", "{{.Dir}}", module], env=_environment(), cwd=SOURCES / component.folder
        )
        root = Path(listed.strip())
        for pattern in patterns:
            for source in root.glob(pattern):
                target = into / module / source.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
