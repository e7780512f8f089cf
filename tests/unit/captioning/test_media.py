from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from builders.pictures import encoded, png
from PIL import Image

from fathom.captioning import media


def huge_png() -> bytes:
    """A few bytes that promise 100,000 × 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_a_picture_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = media.decode(encoded(Image.new("RGB", (40, 30)), "JPEG", exif=exif))
    assert (image.size, image.mode) == ((30, 40), "RGB")


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), id="an alpha channel"),
        pytest.param(Image.new("LA", (4, 4), (0, 0)), id="grey with alpha"),
        pytest.param(Image.new("RGBA", (4, 4), (0, 0, 0, 0)).quantize(), id="a palette with transparency"),
    ],
)
def test_what_is_transparent_is_white(image: Image.Image) -> None:
    assert media.decode(encoded(image)).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    image = media.decode(encoded(Image.new(mode, (4, 4)), "TIFF"))
    assert image.mode == "RGB"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"hello", "NotAnImage", id="text"),
        pytest.param(png("red")[:60], "DamagedImage", id="half a file"),
        pytest.param(huge_png(), "TooManyPixels", id="a decompression bomb"),
        pytest.param(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "NotAnImage",
            id="a format that starts a program",
        ),
    ],
)
def test_an_unusable_picture_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(media.UnusableMediaError) as error:
        media.decode(data)
    assert error.value.reason == reason


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two claims: the one that the table lies in, and one that it has no business with."""
    monkeypatch.setenv("FATHOM_VOLUMES", str(tmp_path))
    for path in ("media/tables/pictures/1.png", "media/1.png", "other/secret.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(path.encode())
    (tmp_path / "media/link.png").symlink_to(tmp_path / "other/secret.png")
    return tmp_path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"abc", b"abc", id="bytes"),
        pytest.param({"bytes": b"abc", "path": "x"}, b"abc", id="a struct of bytes and path"),
        pytest.param("pictures/1.png", b"media/tables/pictures/1.png", id="a path beside the table"),
        pytest.param("/1.png", b"media/1.png", id="an absolute path is in the table's claim"),
        pytest.param(
            "pvc://other/secret.png", b"other/secret.png", id="a URI may name another mounted claim"
        ),
    ],
)
def test_media_are_bytes_or_a_path(value: Any, expected: bytes, volumes: Path) -> None:
    assert media.read(value, "pvc://media/tables/items.csv").data == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(None, "NoMedia", id="null"),
        pytest.param("", "NoMedia", id="an empty path"),
        pytest.param("pictures/2.png", "MediaNotFound", id="no such file"),
        pytest.param("pictures", "MediaNotFound", id="a folder"),
        pytest.param("../../other/secret.png", "OutsideVolume", id="a path that climbs out of its claim"),
        pytest.param("/link.png", "OutsideVolume", id="a link that leads out of its claim"),
        pytest.param("http://host/1.png", "MediaNotFound", id="a web address"),
    ],
)
def test_unusable_media_say_why(value: Any, reason: str, volumes: Path) -> None:
    with pytest.raises(media.UnusableMediaError) as error:
        media.read(value, "pvc://media/tables/items.csv")
    assert error.value.reason == reason


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(media.MAX_BYTES + 1)
    with pytest.raises(media.UnusableMediaError) as error:
        media.read("large.png", str(tmp_path / "items.csv"))
    assert error.value.reason == "MediaTooLarge"
