"""Giving images built on this machine to the embedded node."""

import json
import os
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

from cluster.console import say, step
from cluster.node import Node
from cluster.shell import locked, run

_IMPORT = 'tar -C "$1" -cf - --null -T "$2" | ctr --address "$3" --namespace k8s.io images import -'


#: Builds of an image that stay on the node: one is served, one is the candidate, one may be gone back to.
_KEPT = 3


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
        _clear(node, names)


def _clear(node: Node, names: Sequence[str]) -> None:
    """Remove what was loaded long ago and nothing runs: the kubelet is told to remove no images."""
    record = node.store / "loaded"
    earlier = record.read_text().split() if record.is_file() else []
    order = [name for name in earlier if name not in names] + list(names)
    there = set(node.ctr("images", "list", "--quiet").split())
    running = {line.split()[1] for line in node.ctr("containers", "list").splitlines()[1:]}
    for name in stale([name for name in order if name in there], running):
        say(f"removing {name} from the node: {_KEPT} later builds are there")
        node.ctr("images", "remove", name)
        there.discard(name)
    record.write_text("\n".join(name for name in order if name in there) + "\n")


def stale(loaded: Sequence[str], running: Container[str]) -> list[str]:
    """Return those of `loaded`, the latest last, that have `_KEPT` later builds and do not run."""
    later: Counter[str] = Counter()
    found: list[str] = []
    for name in reversed(loaded):
        repository = name.rpartition(":")[0]
        later[repository] += 1
        if later[repository] > _KEPT and name not in running:
            found.append(name)
    return found


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
