"""Writing container images as an OCI layout, layers stored once (github.com/opencontainers/image-spec)."""

import hashlib
import json
import platform
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Blob:
    """A file of the layout, named by its digest."""

    digest: str
    size: int

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """How a manifest or an index refers to it."""
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Program:
    """How an image runs."""

    entrypoint: Sequence[str] = ()
    user: str = "65532"
    env: Sequence[str] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)


@dataclass
class Layout:
    """An OCI layout folder being filled."""

    folder: Path
    _manifests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __post_init__(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)

    @property
    def _blobs(self) -> Path:
        return self.folder / "blobs" / "sha256"

    def add_layer(self, tar: Path) -> Blob:
        """Take an uncompressed tar into the layout (it is moved)."""
        with tar.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = tar.stat().st_size
        shutil.move(tar, self._blobs / digest)
        return Blob(f"sha256:{digest}", size)

    def add_files(self, files: Mapping[str, Path]) -> Blob:
        """Add a layer of executable files: path in the image → file here."""
        target = self.folder / "layer.tar"
        with tarfile.open(target, mode="w") as tar:
            for name, source in files.items():
                tar.add(source, arcname=name.lstrip("/"), recursive=False, filter=_owned_by_root)
        return self.add_layer(target)

    def add_image(self, name: str, layers: Sequence[Blob], program: Program) -> None:
        """Add an image made of layers that are in the layout already."""
        config = self._add_json(_config(layers, program))
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": config.descriptor(_CONFIG),
            "layers": [layer.descriptor(_LAYER) for layer in layers],
        }
        descriptor = self._add_json(manifest).descriptor(_MANIFEST)
        # containerd reads the first, skopeo and buildah the second.
        annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
        self._manifests.append({**descriptor, "annotations": annotations})

    def finish(self) -> None:
        """Write the index: the layout is readable from now on."""
        index = {"schemaVersion": 2, "manifests": self._manifests}
        (self.folder / "index.json").write_text(json.dumps(index))
        (self.folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))

    def _add_json(self, content: object) -> Blob:
        data = json.dumps(content, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return Blob(f"sha256:{digest}", len(data))


def _config(layers: Sequence[Blob], program: Program) -> dict[str, Any]:
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "User": program.user,
            "Env": list(program.env),
            "Entrypoint": list(program.entrypoint),
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        # One entry per layer: buildah refuses to build on an image without.
        "history": [{"created_by": "fathom"} for _ in layers],
    }


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry
