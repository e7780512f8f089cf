"""Where media may lie: beside their table, in its claim or bucket, and at origins that the source allows."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from fathom import storage
from fathom.captioning.media.unusable import UnusableMediaError, printable
from fathom_api.progress import ENV_VOLUMES
from fathom_api.tasks import AnySource

_PORTS: Final = {"http": 80, "https": 443}
_BUCKETS: Final = ("s3", "gs")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine; `root` is the folder that it must not leave, links followed."""

    path: Path
    root: Path | None


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in a bucket."""

    uri: str


@dataclass(frozen=True, slots=True)
class Web:
    """A page of a web server."""

    url: str


class Origins:
    """The places that media of `source` may come from."""

    def __init__(self, source: AnySource) -> None:
        self._uri = source.uri
        self._scheme = _scheme(source.uri)
        self._allowed = tuple(source.allowed_origins)
        # In a folder of tables, paths are relative to the folder itself.
        self._folder = self._scheme not in ("http", "https") and storage.resolve(source.uri).is_dir()

    def locate(self, name: str) -> LocalFile | Stored | Web:
        """Return where `name`, a path or URI in the media column, lies.

        Raises:
            UnusableMediaError: it may not lie there (`OriginNotAllowed`, `OutsideVolume`).
        """
        if "://" in name:
            return self._named(name)
        if self._scheme in _BUCKETS:
            return Stored(self._in_bucket(name))
        if self._scheme in _PORTS:
            return self._web(str(httpx.URL(self._uri).join(name)))
        return self._file(name)

    def allows(self, url: httpx.URL) -> bool:
        """Return whether media may be fetched from `url`, whatever its host's addresses."""
        return any(_matches(origin, url) for origin in (*self._allowed, self._uri))

    def names_in_full(self, scheme: str, host: str, port: int) -> bool:
        """Return whether the host is named without a wildcard: it may then have a private address."""
        url = httpx.URL(scheme=scheme, host=host, port=port)
        return any("*" not in o and _matches(o, url) for o in (*self._allowed, self._uri))

    def _named(self, uri: str) -> LocalFile | Stored | Web:
        scheme = _scheme(uri)
        if scheme in _PORTS:
            return self._web(uri)
        own = scheme == self._scheme and _authority(uri) == _authority(self._uri)
        if scheme in _BUCKETS and (own or f"{scheme}://{_authority(uri)}" in self._allowed):
            return Stored(uri)
        if scheme == "pvc" and own:
            return self._file("/" + uri.removeprefix("pvc://").partition("/")[2])
        # Without a claim we are on somebody's own machine, and the table is theirs.
        if scheme == "file" and self._scheme in ("", "file"):
            return LocalFile(Path(uri.removeprefix("file://")), None)
        raise _refused(uri)

    def _web(self, text: str) -> Web:
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, ValueError) as error:
            raise UnusableMediaError("InvalidUri", f"{printable(text)}: {error}") from error
        if url.userinfo or not self.allows(url):
            raise _refused(text)
        return Web(str(url))

    def _file(self, name: str) -> LocalFile:
        here = storage.local(self._uri)
        base = here if self._folder else here.parent
        if self._scheme != "pvc":
            return LocalFile(base / name, None)
        claim = Path(os.environ.get(ENV_VOLUMES, "/volumes")) / _authority(self._uri)
        return LocalFile(claim / name.lstrip("/") if name.startswith("/") else base / name, claim)

    def _in_bucket(self, name: str) -> str:
        bucket = f"{self._scheme}://{_authority(self._uri)}"
        key = self._uri.removeprefix(bucket).strip("/")
        folder = key if self._folder else posixpath.dirname(key)
        path = posixpath.normpath(posixpath.join(folder, name).lstrip("/"))
        if path.startswith(".."):
            raise UnusableMediaError("OutsideVolume", f"{printable(name)}: leaves the bucket of {self._uri}")
        return f"{bucket}/{path}"


def _scheme(uri: str) -> str:
    scheme, separator, _ = uri.partition("://")
    return scheme.lower() if separator else ""


def _authority(uri: str) -> str:
    return uri.partition("://")[2].partition("/")[0]


def _matches(origin: str, url: httpx.URL) -> bool:
    """Return whether `url` is of `origin`; `https://*.example.com` is any host below it, not example.com."""
    if _scheme(origin) not in _PORTS:
        return False
    scheme, _, rest = origin.partition("://")
    host, _, port = rest.partition("/")[0].lower().rpartition(":")
    if not port.isdigit():
        host, port = rest.partition("/")[0].lower(), ""
    if url.scheme != scheme or (url.port or _PORTS[scheme]) != int(port or _PORTS[scheme]):
        return False
    # A trailing dot names the same host.
    asked = url.host.lower().rstrip(".")
    return asked.endswith(host[1:]) if host.startswith("*.") else asked == host.rstrip(".").strip("[]")


def _refused(uri: str) -> UnusableMediaError:
    return UnusableMediaError(
        "OriginNotAllowed", f"{printable(uri)}: not among the source's allowedOrigins, nor its own place"
    )
