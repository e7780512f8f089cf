"""Where data lie: URIs to paths, files that appear whole or not at all, digests."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from fathom.errors import InvalidInputError
from fathom_api.progress import ENV_VOLUMES


def resolve(uri: str) -> Path:
    """Return the path of `uri`: `pvc://claim/path` (below `$FATHOM_VOLUMES`), `file://…` or a plain path.

    Raises:
        InvalidInputError: the scheme is another.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri)
    if scheme == "pvc":
        return Path(os.environ.get(ENV_VOLUMES, "/volumes")) / rest
    if scheme == "file":
        return Path(rest)
    raise InvalidInputError(
        "InvalidUri", f"{uri}: unknown scheme {scheme}://, use pvc://claim/path or a path"
    )


def existing(uri: str) -> Path:
    """Return the path of `uri`, which must exist.

    Raises:
        InvalidInputError: nothing is there.
    """
    path = resolve(uri)
    if not path.exists():
        raise InvalidInputError(
            "NotFound", f"{uri}: nothing there ({path}); check the URI and what the volume holds"
        )
    return path


@contextmanager
def appearing(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`; it is renamed to `path` when the block succeeds.

    A reader sees the whole file or none, whatever kills the writer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def digest_bytes(data: bytes) -> str:
    """Return `sha256:` and the hexadecimal digest of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_files(root: Path, files: Iterable[Path]) -> str:
    """Return one digest over the names (relative to `root`) and contents of `files`, whatever their order."""
    total = hashlib.sha256()
    for file in sorted(files):
        with file.open("rb") as content:
            inner = hashlib.file_digest(content, "sha256").hexdigest()
        total.update(f"{file.relative_to(root).as_posix()}\0{inner}\n".encode())
    return f"sha256:{total.hexdigest()}"
