"""Reading and decoding media that may be broken, huge or hostile.

`read` finds the bytes and `decode` makes pictures of them; whatever is wrong, one `UnusableMediaError` says
so, in bounded memory and time. docs/reference/bad-input.md lists what becomes of what.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL.Image import Image

from fathom import storage
from fathom.captioning.media import pictures, sniffing, video
from fathom.captioning.media.fetching import Fetcher
from fathom.captioning.media.origins import LocalFile, Origins, Stored, Web
from fathom.captioning.media.unusable import UnusableMediaError, printable
from fathom.captioning.sources.slices import Slice
from fathom_api.tasks import AnySource

#: Most bytes of one picture, and of one video.
MAX_BYTES: Final = 64 * 2**20
MAX_VIDEO_BYTES: Final = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Media:
    """Encoded media and their digest, hexadecimal."""

    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded media: RGB pictures, and of a video the seconds at which each is seen."""

    frames: tuple[Image, ...]
    times: tuple[float, ...]


def read(value: Any, source: AnySource) -> Media:
    """Return the media in `value`: bytes, a path, a URI, or a struct of bytes and path (see `datasets`).

    A path is relative to the folder of the source's table, or, absolute, in its claim or bucket; a URI must
    be there too, or at one of the source's `allowed_origins`.

    Raises:
        UnusableMediaError: nothing there, too large, not allowed; transient where it may go well later.
    """
    limit = MAX_VIDEO_BYTES if source.media_type == "Video" else MAX_BYTES
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    if value is None or value in ("", b""):
        raise UnusableMediaError("NoMedia", "the row has no media")
    data = _bytes(value, source, limit)
    if len(data) > limit:
        raise UnusableMediaError("MediaTooLarge", f"{len(data):,} bytes of media, more than {limit:,}")
    if not data:
        raise UnusableMediaError("EmptyMedia", "a file of 0 bytes")
    return Media(data, hashlib.sha256(data).hexdigest())


def decode(media: Media, source: AnySource) -> Clip:
    """Return the picture, or the frames of the video: RGB, upright, white where they are transparent.

    Of an animation, `mediaType: Image` takes the first frame, complete as a viewer shows it.

    Raises:
        UnusableMediaError: it is no picture or video, is damaged, or has too many pixels or seconds.
    """
    sniffing.refuse_others(media.data, source.media_type)
    if source.media_type == "Video":
        frames, times = video.frames(media.data, source.video)
        return Clip(frames, times)
    return Clip((pictures.picture(media.data),), ())


def _bytes(value: Any, source: AnySource, limit: int) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Slice):
        return _slice(value, limit)
    if not isinstance(value, str):
        raise UnusableMediaError(
            "InvalidMedia", f"the media column holds {type(value).__name__}, neither bytes nor a path or URI"
        )
    place = _origins(source.model_dump_json()).locate(value)
    if isinstance(place, Web):
        return _fetcher(os.getpid(), source.model_dump_json()).fetch(place.url, limit)
    return _stored(place, limit) if isinstance(place, Stored) else _file(place, value, limit)


# A table has millions of rows and one source: its places are looked at once, its connections stay open.
@functools.lru_cache(maxsize=8)
def _origins(source: str) -> Origins:
    return Origins(AnySource.model_validate_json(source))


@functools.lru_cache(maxsize=8)
def _fetcher(process: int, source: str) -> Fetcher:
    """Return the fetcher of this process; connections do not survive a fork."""
    del process
    return Fetcher(_origins(source))


def _slice(value: Slice, limit: int) -> bytes:
    if value.size > limit:
        raise UnusableMediaError("MediaTooLarge", f"{value.size:,} bytes of media, more than {limit:,}")
    data = value.read()
    if len(data) < value.size:
        raise UnusableMediaError("DamagedMedia", f"{value.path.name} ends in the middle of this item's media")
    return data


def _stored(place: Stored, limit: int) -> bytes:
    name = printable(place.uri)
    try:
        path = storage.resolve(place.uri)
        with path.open("rb") as file:
            return file.read(limit + 1)
    except (FileNotFoundError, IsADirectoryError, ValueError) as error:
        raise UnusableMediaError("MediaNotFound", f"{name}: no such object") from error
    except PermissionError as error:
        raise UnusableMediaError(
            "MediaForbidden", f"{name}: we may not read it; check the credentials", transient=True
        ) from error
    except Exception as error:  # Each service's library has exceptions of its own.
        raise UnusableMediaError(
            "MediaUnreachable", f"{name}: {type(error).__name__}: {printable(error)}", transient=True
        ) from error


def _file(place: LocalFile, value: str, limit: int) -> bytes:
    name = printable(value)
    try:
        # Asked before it is opened: opening a device can do things, opening a pipe can wait for ever.
        if not stat.S_ISREG(place.path.stat().st_mode):
            raise UnusableMediaError("NotAFile", f"{name}: a folder, device or pipe, not a file")
        handle = os.open(place.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnusableMediaError("MediaNotFound", f"{name}: no such file") from error
    except PermissionError as error:
        raise UnusableMediaError("MediaForbidden", f"{name}: we may not read it", transient=True) from error
    except (OSError, ValueError) as error:
        raise UnusableMediaError("MediaNotFound", f"{name}: not a path: {printable(error)}") from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        # What was looked at and what was opened may differ when somebody swaps links meanwhile.
        if not stat.S_ISREG(found.st_mode):
            raise UnusableMediaError("NotAFile", f"{name}: a folder, device or pipe, not a file")
        if place.root is not None and not _opened_path(handle, place.path).is_relative_to(
            place.root.resolve()
        ):
            raise UnusableMediaError("OutsideVolume", f"{name}: leaves the volume of its table")
        if found.st_size > limit:
            raise UnusableMediaError("MediaTooLarge", f"{name}: {found.st_size:,} bytes, more than {limit:,}")
        return file.read(limit + 1)


def _opened_path(handle: int, path: Path) -> Path:
    """Return where the open file really lies."""
    link = Path(f"/proc/self/fd/{handle}")
    return link.readlink() if link.is_symlink() else path.resolve()
