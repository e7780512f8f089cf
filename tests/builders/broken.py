"""Media that are broken, hostile or only strange."""

from __future__ import annotations

import random
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from builders.pictures import encoded, png
from builders.videos import video

WEBM = ("webm", "libvpx")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def promising_png(width: int, height: int, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + extra
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def text_bomb() -> bytes:
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(256 * 2**20), 1))
    return png("red")[:33] + bomb + png("red")[33:]


def real_bomb() -> bytes:
    """9,000 × 9,000 white pixels in a few kilobytes."""
    data = BytesIO()
    Image.new("1", (9000, 9000), 1).save(data, "PNG")
    return data.getvalue()


def noise(size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.frombytes("RGB", size, random.Random(0).randbytes(size[0] * size[1] * 3))


def cut(kind: str) -> bytes:
    data = encoded(noise(), kind)
    return data[: len(data) // 2]


def animated(kind: str, **options: Any) -> bytes:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return encoded(Image.new("RGB", (40, 30), "red"), "JPEG", exif=tags)


def floats() -> bytes:
    levels = np.array([[0.0, np.nan], [np.inf, 3.5]], np.float32).repeat(8, 0).repeat(8, 1)
    return encoded(Image.fromarray(levels), "TIFF")


def huge_gif() -> bytes:
    size = b"\xff\xff\xff\xff"
    return b"GIF89a" + size + b"\0\0\0,\0\0\0\0" + size + b"\0\2\2L\1\0;"


def frameless() -> bytes:
    """A WebM up to its first cluster."""
    data = video(1, kind=WEBM)
    return data[: data.find(b"\x1f\x43\xb6\x75")]


def patched(data: bytes, box: bytes, offset: int, value: int) -> bytes:
    changed = bytearray(data)
    start = changed.find(box) + 4 + offset
    changed[start : start + 4] = struct.pack(">I", value)
    return bytes(changed)


def garbled(data: bytes) -> bytes:
    draw = random.Random(0)
    changed = bytearray(data)
    for place in range(changed.find(b"mdat") + 50, len(changed) - 2000, 37):
        changed[place] = draw.randrange(256)
    return bytes(changed)


def hollow(data: bytes) -> bytes:
    """Return an MP4 whose index is whole and whose content is lost."""
    start, end = data.find(b"mdat") + 4, data.find(b"moov") - 4
    return data[:start] + bytes(end - start) + data[end:]
