"""The image that ours are built on where no image registry can be reached."""

import hashlib
import json
import shutil
from pathlib import Path

from cluster import debian, oci
from cluster.console import step
from cluster.shell import attempt, locked, run

NAME = f"localhost/fathom-debian:{debian.SUITE}"


def key() -> str:
    """A digest of what decides the image's content (Debian's own updates apart)."""
    recipe = (debian.SUITE, debian.INCLUDE, debian.PRUNED, debian.PRUNED_FILES)
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def tar(cache: Path) -> Path:
    """The base file system, made when it is not in the cache."""
    kept = cache / f"debian-{key()}.tar"
    if not kept.exists():
        with locked(cache / "base.lock", "making the base image"):
            if not kept.exists():
                unfinished = kept.with_suffix(".unfinished")
                debian.root_filesystem_tar(unfinished)
                unfinished.rename(kept)
    return kept


def ensure(cache: Path) -> str:
    """Make sure that buildah knows the base image; returns its name."""
    debian.require(debian.IMAGES)
    known = attempt(["buildah", "inspect", "--type", "image", NAME]).returncode == 0
    marker = cache / f"debian-{key()}.in-buildah"
    if known and marker.exists():
        return NAME
    source = tar(cache)
    with locked(cache / "base.lock", "making the base image"), step(f"Giving {NAME} to buildah"):
        folder = cache / "base-layout"
        shutil.rmtree(folder, ignore_errors=True)
        layout = oci.Layout(folder)
        copied = folder / "layer.tar"
        shutil.copyfile(source, copied)
        layout.add_image(NAME, [layout.add_layer(copied)], oci.Program(user="0"))
        layout.finish()
        target = f"containers-storage:{NAME}"
        run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{folder}:{NAME}", target])
        shutil.rmtree(folder)
        marker.touch()
    return NAME
