"""Building components into the cache, each keyed by what decides its content."""

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster import golang
from cluster.components import Component
from cluster.console import ClusterError, step
from cluster.shell import locked, run

SOURCES = Path(__file__).parent / "go"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where it is, reads ten times as fast


@dataclass(frozen=True)
class Built:
    """A component in the cache."""

    folder: Path

    def binary(self, name: str) -> Path:
        """The path of one of its binaries."""
        return self.folder / "bin" / name

    def manifests(self, module: str) -> Path:
        """The manifests that came with one of its Go modules.

        As JSON: reading KServe's 7 MB of YAML would take seconds at every start.
        """
        return self.folder / "manifests" / module

    def chart(self, module: str) -> Path:
        """The Helm chart that came with one of its Go modules."""
        return self.folder / "charts" / module


def key(component: Component, sources: Path = SOURCES) -> str:
    """A digest of everything that decides what the component's binaries are."""
    digest = hashlib.sha256(platform.machine().encode())
    for source in sorted((sources / component.folder).iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    form = "json" if component.manifests else ""
    recipe = [component.binaries, component.ldflags, component.manifests, form]
    if component.charts:
        recipe.append(component.charts)
    digest.update(json.dumps(recipe).encode())
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


def _build(component: Component, cache: Path) -> None:
    final = location(component, cache).folder
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=final.parent))
    try:
        with step(f"Building {component.name} ({', '.join(component.binaries) or 'manifests'})"):
            go = golang.find(cache)
            _compile(component, go, unfinished / "bin")
            _keep_manifests(component, go, unfinished / "manifests")
            for module, chart in component.charts.items():
                shutil.copytree(_module(component, go, module) / chart, unfinished / "charts" / module)
        unfinished.rename(final)
    except ClusterError as failed:
        raise ClusterError(
            f"{component.name} could not be built. It needs the Go module proxy (GOPROXY) and about 6 GB of "
            f"disk for Go's caches.\n{failed}"
        ) from failed
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _environment() -> dict[str, str]:
    return {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _compile(component: Component, go: Path, into: Path) -> None:
    into.mkdir(parents=True)
    if not component.binaries:
        return
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


def _keep_manifests(component: Component, go: Path, into: Path) -> None:
    for module, patterns in component.manifests.items():
        root = _module(component, go, module)
        for pattern in patterns:
            for source in root.glob(pattern):
                target = (into / module / source.relative_to(root)).with_suffix(".json")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(json.dumps(list(yaml.load_all(source.read_text(), _LOADER))))


def _module(component: Component, go: Path, module: str) -> Path:
    """The folder of a Go module's source."""
    command = [go, "list", "-m", "-f", "{{.Dir}}", module]
    return Path(run(command, env=_environment(), cwd=SOURCES / component.folder).strip())
