"""Reading and decoding media that may be broken, huge or hostile."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageOps, UnidentifiedImageError

from fathom import storage
from fathom.errors import InvalidInputError
from fathom_api.progress import ENV_VOLUMES
from fathom_api.tasks import AnySource

MAX_BYTES: Final = 64 * 2**20
MAX_PIXELS: Final = 64_000_000
#: Formats Pillow decodes by itself; others (EPS, say) start programs.
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


class UnusableMediaError(Exception):
    """This item's media cannot be used; `reason` is CamelCase, the message a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Media:
    """Encoded media and their digest."""

    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded media: RGB pictures, and for a video's frames the seconds they were taken at."""

    frames: tuple[Image.Image, ...]
    times: tuple[float, ...] = ()


def read(value: Any, source: AnySource) -> Media:
    """Return the media in `value`: bytes, a path, or a struct of both as `datasets` writes it.

    A path is relative to the folder of `base`, the source's URI, absolute in its claim, or a URI of its own.

    Raises:
        UnusableMediaError: nothing there, too large, or outside of the volumes.
    """
    base = source.uri
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if not value:
        raise UnusableMediaError("NoMedia", "the row has no media")
    data = value if isinstance(value, bytes) else _read_file(str(value), base)
    if len(data) > MAX_BYTES:
        raise UnusableMediaError("MediaTooLarge", f"{len(data):,} bytes of media, more than {MAX_BYTES:,}")
    return Media(data, hashlib.sha256(data).hexdigest())


def decode(media: Media, source: AnySource) -> Clip:
    """Return the picture in `media`."""
    return Clip((_picture(media.data),))


def _picture(data: bytes) -> Image.Image:
    """Return the picture in `data` as RGB, upright by its EXIF orientation, on white where it is transparent.

    Raises:
        UnusableMediaError: it is no picture, is damaged, or has too many pixels.
    """
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnusableMediaError(
                    "TooManyPixels", f"{image.width} × {image.height} pixels, more than {MAX_PIXELS:,} in all"
                )
            return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise UnusableMediaError("NotAnImage", "not an image of a known format") from error
    except Image.DecompressionBombError as error:
        raise UnusableMediaError("TooManyPixels", f"{error}; {MAX_PIXELS:,} pixels are allowed") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UnusableMediaError("DamagedImage", f"the image cannot be decoded: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode != "P" and "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _read_file(name: str, base: str) -> bytes:
    path = locate(name, base)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnusableMediaError("MediaTooLarge", f"{name}: more than {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise UnusableMediaError("MediaNotFound", f"{name}: no such file beside {base}") from error


def locate(name: str, base: str) -> Path:
    """Return where the media `name`, written in the table at the URI `base`, lies.

    Raises:
        UnusableMediaError: it would leave the claim, or its scheme is unknown.
    """
    try:
        here = storage.resolve(base)
        # In a folder of Parquet files, paths are relative to the folder itself.
        root = here if here.is_dir() else here.parent
        if "://" in name:
            base, path = name, storage.resolve(name)
        elif base.startswith("pvc://") and name.startswith("/"):
            path = _claim(base) / name.lstrip("/")
        else:
            path = root / name
    except InvalidInputError as error:
        raise UnusableMediaError("MediaNotFound", str(error)) from error
    if base.startswith("pvc://") and not path.resolve().is_relative_to(_claim(base).resolve()):
        raise UnusableMediaError("OutsideVolume", f"{name}: leaves the volume of {base}")
    return path


def _claim(uri: str) -> Path:
    name = uri.removeprefix("pvc://").partition("/")[0]
    return Path(os.environ.get(ENV_VOLUMES, "/volumes")) / name
