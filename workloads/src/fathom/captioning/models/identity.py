"""Which content a checkpoint has, without reading all of it in each pod: 14 GB take a minute to digest."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fathom import manifest, storage
from fathom.errors import InvalidInputError

#: Where the digest of a folder is kept, with the sizes and times of the files it was made from.
REMEMBERED: Final = ".fathom-digest.json"
_HEADER_BYTES: Final = 8
_LONGEST_HEADER: Final = 100 * 2**20


@dataclass(frozen=True)
class Checkpoint:
    """A folder in Hugging Face's format, and the digest of its files (and of its commit, from a hub)."""

    path: Path
    digest: str


def of_snapshot(path: Path) -> Checkpoint:
    """Return the checkpoint in a snapshot of the hub's cache, whose folder is named after its commit.

    Its files are links to blobs named by their content (SHA-256 of large files, git's hash of others), so
    names and sizes tell the content.
    """
    files = _files(path)
    if any(not file.is_symlink() for file in files):
        return _of_texts(path, [path.name, _read_all(path, files)])
    lines = (f"{_name(path, f)}\0{f.stat().st_size}\0{f.resolve().name}" for f in files)
    return _of_texts(path, [path.name, *lines])


def of_folder(path: Path) -> Checkpoint:
    """Return the checkpoint in a folder: sealed by us, known from an earlier look, or read from end to end.

    Raises:
        InvalidInputError: a file is missing or cut off.
    """
    sealed = manifest.read(path)
    files = _files(path)
    if sealed is not None:
        missing = [name for name in sealed.files if not (path / name).is_file()]
        if missing:
            raise InvalidInputError("Damaged", f"{path}: {missing[0]} is missing; make it again")
    for file in files:
        if file.suffix == ".safetensors":
            _check_whole(file)
    if sealed is not None:
        return Checkpoint(path, sealed.digest)
    return Checkpoint(path, _remembered(path, files) or _remember(path, files))


def _of_texts(path: Path, texts: Iterable[str]) -> Checkpoint:
    total = hashlib.sha256()
    for text in texts:
        total.update(f"{text}\n".encode())
    return Checkpoint(path, f"sha256:{total.hexdigest()}")


def _check_whole(file: Path) -> None:
    """Check that `file` is as long as its header says; a copy that was interrupted is not.

    Raises:
        InvalidInputError: it is not, or is no safetensors file.
    """
    with file.open("rb") as content:
        length = int.from_bytes(content.read(_HEADER_BYTES), "little")
        header = content.read(length) if length <= _LONGEST_HEADER else b""
    try:
        tensors = [value for name, value in json.loads(header).items() if name != "__metadata__"]
        end = max((value["data_offsets"][1] for value in tensors), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise InvalidInputError(
            "UnusableModel", f"{file}: no safetensors file; save the model with save_pretrained"
        ) from error
    expected = _HEADER_BYTES + length + end
    if file.stat().st_size != expected:
        raise InvalidInputError(
            "Damaged", f"{file}: {file.stat().st_size:,} bytes, not {expected:,}; copy it again"
        )


def _remembered(path: Path, files: list[Path]) -> str | None:
    try:
        known = json.loads((path / REMEMBERED).read_bytes())
        return str(known["digest"]) if known["files"] == _looks(path, files) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(path: Path, files: list[Path]) -> str:
    looks = _looks(path, files)
    digest = _read_all(path, files)
    # Models often lie where we may only read; the next pod then reads them again.
    with contextlib.suppress(OSError), storage.appearing(path / REMEMBERED) as file:
        file.write_text(json.dumps({"digest": digest, "files": looks}))
    return digest


def _looks(path: Path, files: list[Path]) -> dict[str, list[int]]:
    """Return what changes when a file does: its size and the time it was written."""
    return {_name(path, f): [f.stat().st_size, f.stat().st_mtime_ns] for f in files}


def _read_all(path: Path, files: list[Path]) -> str:
    return storage.digest_files(path, files)


def _files(path: Path) -> list[Path]:
    return sorted(
        p
        for p in path.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(path).parts)
    )


def _name(path: Path, file: Path) -> str:
    return file.relative_to(path).as_posix()
