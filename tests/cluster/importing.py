"""Giving images built on this machine to the embedded node."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from cluster.console import step
from cluster.node import Node
from cluster.shell import locked, run

_IMPORT = 'tar -C "$1" -cf - --null -T "$2" | ctr --address "$3" --namespace k8s.io images import -'


def load(node: Node, names: Sequence[str], cache: Path) -> None:
    """Import images from buildah's store into the node's, reading and sending only the layers that it lacks.

    The layout stays in the cache. Of a layer that the node has it keeps the name and the size only, as an
    empty (sparse) file: skopeo leaves out what is there already.
    """
    layout = cache / "load-layout"
    with locked(cache / "load.lock", "loading images"):
        layers = layout / "blobs" / "sha256"
        layers.mkdir(parents=True, exist_ok=True)
        (layout / "index.json").unlink(missing_ok=True)
        present = {
            digest.removeprefix("sha256:") for digest in node.ctr("content", "list", "--quiet").split()
        }
        for blob in layers.iterdir():
            if blob.name not in present:
                blob.unlink()
        for name in names:
            with step(f"Reading {name}"):
                _copy(name, layout)
        with step(f"Loading {len(names)} images"):
            _import(node, layout, [blob for blob in layers.iterdir() if blob.name not in present])


def _copy(name: str, layout: Path) -> None:
    """Add an image to the layout, uncompressed: packing a gigabyte of torch would take the longest of all."""
    options = ["--insecure-policy", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers"]
    run(["skopeo", *options, f"containers-storage:{name}", f"oci:{layout}:{name}"])


def _import(node: Node, layout: Path, new: Sequence[Path]) -> None:
    index = json.loads((layout / "index.json").read_text())
    for manifest in index["manifests"]:
        # containerd reads this one, skopeo writes the other.
        manifest["annotations"]["io.containerd.image.name"] = manifest["annotations"][
            "org.opencontainers.image.ref.name"
        ]
    (layout / "index.json").write_text(json.dumps(index))
    wanted = [layout / "index.json", layout / "oci-layout", *_documents(layout, index), *new]
    listing = layout / "wanted"
    listing.write_text("\0".join(sorted({str(path.relative_to(layout)) for path in wanted})))
    run(["bash", "-o", "pipefail", "-c", _IMPORT, "import", layout, listing, node.socket])
    documents = set(_documents(layout, index))
    for blob in new:
        if blob not in documents:
            _hollow(blob)


def _documents(layout: Path, index: dict[str, list[dict[str, str]]]) -> list[Path]:
    """The images' manifests and configurations: small, and always sent."""
    found: list[Path] = []
    for manifest in index["manifests"]:
        path = _blob(layout, manifest["digest"])
        found += [path, _blob(layout, json.loads(path.read_text())["config"]["digest"])]
    return found


def _hollow(blob: Path) -> None:
    size = blob.stat().st_size
    os.truncate(blob, 0)
    os.truncate(blob, size)


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / Path(digest.replace(":", "/"))
