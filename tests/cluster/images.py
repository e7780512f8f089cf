"""Giving images built on this machine to the embedded node."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster.console import step
from cluster.node import Node
from cluster.shell import locked, run


def load(node: Node, names: Sequence[str], cache: Path) -> None:
    """Import images from buildah's store into the node's, sending only the blobs that it lacks."""
    with locked(cache / "load.lock", "loading images"):
        for name in names:
            with step(f"Loading {name}"), tempfile.TemporaryDirectory(prefix="fathom-load-") as folder:
                _load(node, name, Path(folder))


def _load(node: Node, name: str, folder: Path) -> None:
    layout = folder / "layout"
    # Uncompressed: packing a gigabyte of torch would take longer than all the rest.
    run(["buildah", "push", "--quiet", "--disable-compression", name, f"oci:{layout}:{name}"])
    index = json.loads((layout / "index.json").read_text())
    for manifest in index["manifests"]:
        manifest["annotations"]["io.containerd.image.name"] = name
    (layout / "index.json").write_text(json.dumps(index))
    present = set(node.ctr("content", "list", "--quiet").split())
    for digest in _layers(layout, index):
        if digest in present:
            _blob(layout, digest).unlink(missing_ok=True)
    archive = folder / "image.tar"
    run(["tar", "-C", layout, "-cf", archive, "."])
    shutil.rmtree(layout)
    node.ctr("images", "import", archive)


def _layers(layout: Path, index: dict[str, Any]) -> Iterator[str]:
    for manifest in index["manifests"]:
        content = json.loads(_blob(layout, manifest["digest"]).read_text())
        yield from (layer["digest"] for layer in content["layers"])


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / Path(digest.replace(":", "/"))
