"""Where data lie: URIs to paths, files that appear whole or not at all, digests.

A path is a `pathlib.Path` where the data are on this machine, a `upath.UPath` where they are behind S3,
Google Cloud Storage or HTTP. Both have the same methods; what differs is in this module alone. Credentials
and endpoints come from the environment, as each service documents it: `AWS_*` (`AWS_ENDPOINT_URL` too),
`GOOGLE_APPLICATION_CREDENTIALS`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import fsspec
from upath import UPath

from fathom.errors import InvalidInputError
from fathom_api.progress import ENV_VOLUMES

Location: TypeAlias = Path | UPath

#: Other pods write to the same bucket while we read: what a listing said a second ago is not remembered.
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "s3": {"use_listings_cache": False},
    "gs": {"use_listings_cache": False},
    "http": {},
    "https": {},
}
_CHUNK: Final = 1 << 20
_SCHEMES: Final = "pvc://claim/path, s3://bucket/path, gs://bucket/path, https://host/path or a path"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a folder: its name relative to it, and what changes when its content does."""

    name: str
    path: Location
    size: int
    version: str


def resolve(uri: str) -> Location:
    """Return the path of `uri`: `pvc://claim/path` (below `$FATHOM_VOLUMES`), `file://…`, a plain path, or
    `s3://`, `gs://`, `http(s)://`.

    Raises:
        InvalidInputError: the scheme is another, or the library that speaks it is not installed.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri)
    if scheme == "pvc":
        return Path(os.environ.get(ENV_VOLUMES, "/volumes")) / rest
    if scheme == "file":
        return Path(rest)
    if scheme in _OPTIONS:
        return _remote(scheme, uri)
    raise InvalidInputError("InvalidUri", f"{uri}: unknown scheme {scheme}://, use {_SCHEMES}")


def local(uri: str) -> Path:
    """Return the path of `uri`, which must be on this machine: what is mapped into memory or locked is.

    Raises:
        InvalidInputError: it is elsewhere.
    """
    path = resolve(uri)
    if isinstance(path, UPath):
        raise InvalidInputError("InvalidUri", f"{uri}: must be on a volume: use pvc://claim/path or a path")
    return path


def existing(uri: str) -> Location:
    """Return the path of `uri`, which must exist.

    Raises:
        InvalidInputError: nothing is there, or we may not look.
    """
    path = resolve(uri)
    if not _exists(uri, path):
        where = "" if isinstance(path, UPath) else f" ({path})"
        raise InvalidInputError(
            "NotFound", f"{uri}: nothing there{where}; check the URI and what the volume or bucket holds"
        )
    return path


def existing_local(uri: str) -> Path:
    """Return the path of `uri`, which must exist on this machine.

    Raises:
        InvalidInputError: nothing is there, or it is elsewhere.
    """
    path = local(uri)
    existing(uri)
    return path


@contextmanager
def appearing(path: Location) -> Generator[Path]:
    """Yield a temporary path on this machine; its content is at `path`, whole, when the block succeeds.

    A reader sees the whole file or none, whatever kills the writer: a local file is written beside `path` and
    renamed, a remote one is sent as one object.

    Raises:
        InvalidInputError: nothing can be written there.
    """
    if isinstance(path, UPath):
        with _sent(path) as temporary:
            yield temporary
        return
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


def files(folder: Location) -> list[Entry]:
    """Return all files below `folder`, sorted by name; hidden ones and what lies in hidden folders aside.

    Links to folders are not followed. One listing for each thousand objects in a bucket.
    """
    found = _listed(folder) if isinstance(folder, UPath) else _walked(folder)
    return sorted((e for e in found if not _hidden(e.name)), key=lambda e: e.name.split("/"))


def version(path: Location) -> str:
    """Return what changes when the content of the file at `path` does: size, and ETag or time of change."""
    if isinstance(path, UPath):
        return _object_version(path.fs.info(path.path))
    return _file_version(path.stat())


def digest_bytes(data: bytes) -> str:
    """Return `sha256:` and the hexadecimal digest of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_files(root: Location, paths: Iterable[Location]) -> str:
    """Return one digest over the names (relative to `root`) and contents of `paths`, whatever their order."""
    total = hashlib.sha256()
    for name, path in sorted(((relative(path, root), path) for path in paths), key=lambda p: p[0].split("/")):
        total.update(f"{name}\0{_sha256(path)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def relative(path: Location, root: Location) -> str:
    """Return the name of `path` relative to `root`, with slashes."""
    if isinstance(path, UPath) and isinstance(root, UPath):
        return path.path.removeprefix(root.path.rstrip("/") + "/")
    return Path(str(path)).relative_to(str(root)).as_posix()


def _sha256(path: Location) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _remote(scheme: str, uri: str) -> UPath:
    try:
        # Looked for here, so that it is missed before any work; connecting waits until it is used.
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise InvalidInputError(
            "MissingLibrary", f"{uri}: {error}; pip install 'fathom-workloads[remote]' brings it"
        ) from error
    return UPath(uri, **_OPTIONS[scheme])


def _exists(uri: str, path: Location) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise InvalidInputError(
            "Forbidden", f"{uri}: we may not look there ({error}); check the credentials"
        ) from error
    except Exception as error:
        # botocore's own class; importing it here would need it where nothing is on S3.
        if type(error).__name__ != "NoCredentialsError":
            raise
        raise InvalidInputError(
            "NoCredentials", f"{uri}: no credentials in the environment; set AWS_ACCESS_KEY_ID and its secret"
        ) from error


@contextmanager
def _sent(path: UPath) -> Generator[Path]:
    if path.protocol not in ("s3", "gs"):
        raise InvalidInputError("NotWritable", f"{path}: cannot be written to; use a claim or a bucket")
    with tempfile.TemporaryDirectory(prefix="fathom-") as folder:
        temporary = Path(folder, path.name)
        yield temporary
        path.fs.put_file(str(temporary), path.path)


def _listed(folder: UPath) -> Iterable[Entry]:
    found = cast(dict[str, dict[str, Any]], folder.fs.find(folder.path, detail=True))
    for key, info in found.items():
        # Consoles make empty objects that end in a slash to show a folder.
        if info.get("type") == "file" and not key.endswith("/"):
            name = key.removeprefix(folder.path.rstrip("/") + "/")
            yield Entry(name, folder / name, int(info.get("size") or 0), _object_version(info))


def _walked(folder: Path) -> Iterable[Entry]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                found = path.stat()
            except OSError:  # A link that leads nowhere, or a file that has just been removed.
                continue
            yield Entry(path.relative_to(folder).as_posix(), path, found.st_size, _file_version(found))


def _file_version(found: os.stat_result) -> str:
    return f"{found.st_size}:{found.st_mtime_ns}"


def _object_version(info: dict[str, Any]) -> str:
    tag = info.get("ETag") or info.get("etag") or info.get("LastModified") or info.get("mtime") or ""
    return f"{info.get('size') or 0}:{tag}"


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
