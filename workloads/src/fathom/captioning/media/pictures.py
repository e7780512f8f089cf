"""Decoding pictures."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError, features

from fathom.captioning.media.unusable import UnusableMediaError, printable

MAX_PIXELS: Final = 64_000_000
#: With less there is nothing to see: tracking pixels, lines.
MIN_SIDE: Final = 2
#: Formats Pillow decodes by itself; others (EPS, say) start programs.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM") + (
    ("AVIF",) if features.check("avif") else ()
)


def picture(data: bytes) -> Image.Image:
    """Return the picture in `data` as RGB, upright by its EXIF orientation, on white where it is transparent.

    Of several frames or pages it is the first.

    Raises:
        UnusableMediaError: it is no picture, is damaged, or has too many pixels or too few.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            check_size(*image.size)
            image.load()
            return rgb(_upright(image))
    except UnusableMediaError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableMediaError("NotAnImage", "not a picture of a known format") from error
    except Image.DecompressionBombError as error:
        raise UnusableMediaError("TooManyPixels", f"{error}; {MAX_PIXELS:,} pixels are allowed") from error
    except Exception as error:  # Decoders meet broken files with every kind of exception there is.
        raise UnusableMediaError(
            "DamagedImage", f"the picture cannot be decoded: {printable(error) or type(error).__name__}"
        ) from error


def check_size(width: int, height: int) -> None:
    """Refuse sizes that fill the memory or show nothing.

    Raises:
        UnusableMediaError: too many pixels, or too few.
    """
    if width * height > MAX_PIXELS:
        raise UnusableMediaError(
            "TooManyPixels", f"{width} × {height} pixels, more than {MAX_PIXELS:,} in all"
        )
    if min(width, height) < MIN_SIDE:
        raise UnusableMediaError("TooFewPixels", f"{width} × {height} pixels show nothing")


def rgb(image: Image.Image) -> Image.Image:
    """Return `image` as RGB with 8 bits, whatever its mode, on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _eight_bits(image).convert("RGB")
    if image.mode not in ("P", "PA") and "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    page = Image.new("RGB", rgba.size, "white")
    page.paste(rgba, mask=rgba.getchannel("A"))
    return page


def _upright(image: Image.Image) -> Image.Image:
    try:
        turned = ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be read turns nothing; the picture may be whole.
        turned = image
    # Pillow takes every CMYK JPEG for one of Adobe's, which are inverted; only their marker says so.
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        return ImageChops.invert(turned)
    return turned


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return grey levels of 16 or 32 bits, or floating point, as 8 bits; Pillow would cut them off at 255."""
    levels: Any = np.nan_to_num(np.asarray(image, np.float32), posinf=0.0, neginf=0.0)
    if image.mode == "F":
        levels = levels - levels.min()
    top = 65_535.0 if image.mode != "F" and levels.max() <= 65_535 else max(float(levels.max()), 1.0)
    return Image.fromarray((np.clip(levels, 0, top) * (255.0 / top)).astype(np.uint8))
