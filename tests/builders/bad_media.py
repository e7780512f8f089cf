"""Media as the world has them: a kind a line, how it is made, and what becomes of it.

docs/reference/bad-input.md is made of this table (scripts/bad_input.py), and a test holds each line to it.
"""

from __future__ import annotations

import gzip
import os
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from builders.broken import (
    WEBM,
    animated,
    cut,
    exif,
    floats,
    frameless,
    garbled,
    hollow,
    huge_gif,
    noise,
    patched,
    promising_png,
    real_bomb,
    text_bomb,
)
from builders.pictures import encoded, png
from builders.videos import sound, video
from fathom.captioning.media import MAX_BYTES

CAPTIONED = "captioned"
Made = Any | Callable[["Place"], Any]


@dataclass(frozen=True)
class Place:
    """Where media are made: a claim beside another one, and a web server."""

    claim: Path
    other: Path
    web: str

    def file(self, name: str, data: bytes) -> str:
        """Write a file into the claim and return its path there."""
        (self.claim / name).write_bytes(data)
        return f"/{name}"

    def link(self, name: str, target: Path | str) -> str:
        """Put a link into the claim and return its path there."""
        (self.claim / name).symlink_to(target)
        return f"/{name}"


@dataclass(frozen=True)
class Kind:
    """One kind of media: what it is, how it is made, what becomes of it."""

    group: str
    name: str
    made: Made
    outcome: str
    transient: bool = False
    source: dict[str, Any] = field(default_factory=dict)

    def value(self, place: Place) -> Any:
        """Return what the media column holds."""
        return self.made(place) if callable(self.made) else self.made


def clip(name: str, made: Made, outcome: str, **video: Any) -> Kind:
    """Return a kind of video; `video` says how it is read."""
    return Kind("Videos", name, made, outcome, source={"mediaType": "Video", "video": video})


def leading_out(place: Place) -> str:
    return place.link("out.png", place.other / "secret.png")


def fifo(place: Place) -> str:
    os.mkfifo(place.claim / "pipe.png")
    return "/pipe.png"


def unix_socket(place: Place) -> str:
    here = os.open(place.claim, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{here}/s.png")
    os.close(here)
    return "/s.png"


def large(place: Place) -> str:
    with (place.claim / "large.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    return "/large.png"


def web(path: str) -> Callable[[Place], str]:
    return lambda place: f"{place.web}{path}"


SIZE = "Too large or too small"
_HTML = b"\xef\xbb\xbf\n  <HTML><body>404</body></html>"
_PLAYLIST = b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n"
_ZIPPED = encoded(noise(), "JPEG") + b"PK\x05\x06" + bytes(18)
_BROKEN_EXIF = encoded(noise(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
_NOT_UTF8 = os.fsdecode(b"caf\xe9.png")
_HEIC = b"\0\0\0\x18ftypheic" + bytes(40)

KINDS: list[Kind] = [
    Kind("Nothing there", "null", None, "NoMedia"),
    Kind("Nothing there", "an empty text", "", "NoMedia"),
    Kind("Nothing there", "no bytes", b"", "NoMedia"),
    Kind("Nothing there", "a struct of two nulls", {"bytes": None, "path": None}, "NoMedia"),
    Kind("Nothing there", "a file of 0 bytes", lambda p: p.file("0.png", b""), "EmptyMedia"),
    Kind("Nothing there", "a number", 7, "InvalidMedia"),
    Kind("Nothing there", "a list", [1, 2], "InvalidMedia"),
    Kind("Nothing there", "a nested struct", {"path": {"path": "x"}}, "InvalidMedia"),
    Kind("Something else", "text", b"hello", "NotAnImage"),
    Kind("Something else", "random bytes", random.Random(1).randbytes(5000), "NotAnImage"),
    Kind("Something else", "an HTML page", b"<!DOCTYPE html><html>", "HtmlInsteadOfMedia"),
    Kind("Something else", "an HTML page after a byte order mark", _HTML, "HtmlInsteadOfMedia"),
    Kind("Something else", "an error in JSON", b'{"error": "not found"}', "NotAnImage"),
    Kind("Something else", "an error in XML", b"<?xml version='1.0'?><Error/>", "NotAnImage"),
    Kind("Something else", "SVG", b"<?xml version='1.0'?><svg xmlns='x'/>", "UnsupportedFormat"),
    Kind("Something else", "EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "UnsupportedFormat"),
    Kind("Something else", "PDF", b"%PDF-1.7\n", "UnsupportedFormat"),
    Kind("Something else", "a ZIP archive", b"PK\x03\x04" + bytes(30), "UnsupportedFormat"),
    Kind("Something else", "a gzip file", gzip.compress(b"x"), "UnsupportedFormat"),
    Kind("Something else", "HEIC", _HEIC, "UnsupportedFormat"),
    Kind("Something else", "Photoshop", b"8BPS\0\1" + bytes(30), "UnsupportedFormat"),
    Kind("Something else", "a video among pictures", lambda p: video(2), "UnsupportedFormat"),
    Kind(
        SIZE,
        "a PNG that promises 10¹⁰ pixels",
        promising_png(10**5, 10**5),
        "TooManyPixels",
    ),
    Kind(
        SIZE,
        "81 million pixels in a few kilobytes",
        lambda p: real_bomb(),
        "TooManyPixels",
    ),
    Kind(SIZE, "a GIF of 65,535 × 65,535", huge_gif(), "TooManyPixels"),
    Kind(
        SIZE,
        "a PNG with 256 MiB of compressed comment",
        lambda p: text_bomb(),
        "DamagedImage",
    ),
    Kind(SIZE, "a file larger than 64 MiB", large, "MediaTooLarge"),
    Kind(SIZE, "1 × 1 pixel", png("red", (1, 1)), "TooFewPixels"),
    Kind(SIZE, "a strip of 1 × 20,000", png("red", (1, 20_000)), "TooFewPixels"),
    Kind(SIZE, "a strip of 2 × 20,000", png("red", (2, 20_000)), CAPTIONED),
    *[
        Kind("Damaged", f"half of a {kind}", lambda p, kind=kind: cut(kind), "DamagedImage")
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
    ],
    Kind("Damaged", "a PNG with a wrong checksum", png("red")[:60] + b"?" + png("red")[61:], "DamagedImage"),
    Kind("Damaged", "a PNG with nothing behind its header", promising_png(50, 50)[:33], "NotAnImage"),
    Kind("Damaged", "a JPEG's first bytes", b"\xff\xd8\xff\xe0\0\x10JFIF", "DamagedImage"),
    Kind("Unusual", "a PNG named .jpg", lambda p: p.file("x.jpg", png("red")), CAPTIONED),
    Kind("Unusual", "a GIF that is JavaScript too", encoded(noise(), "GIF") + b"=1;alert(1)", CAPTIONED),
    Kind(
        "Unusual",
        "a JPEG that is a ZIP archive too",
        encoded(noise(), "JPEG") + b"PK\x05\x06" + bytes(18),
        CAPTIONED,
    ),
    Kind("Unusual", "a CMYK JPEG", encoded(Image.new("CMYK", (9, 9)), "JPEG"), CAPTIONED),
    Kind("Unusual", "grey of 16 bits", encoded(Image.new("I;16", (9, 9), 40_000)), CAPTIONED),
    Kind("Unusual", "floating point with NaN and infinity", lambda p: floats(), CAPTIONED),
    Kind("Unusual", "an alpha channel", encoded(Image.new("RGBA", (9, 9))), CAPTIONED),
    Kind("Unusual", "a palette with transparency", encoded(Image.new("RGBA", (9, 9)).quantize()), CAPTIONED),
    Kind("Unusual", "black and white", encoded(Image.new("1", (9, 9))), CAPTIONED),
    Kind("Unusual", "a progressive JPEG", encoded(noise(), "JPEG", progressive=True), CAPTIONED),
    Kind("Unusual", "EXIF that turns it", exif(6), CAPTIONED),
    Kind(
        "Unusual",
        "EXIF that is broken",
        encoded(noise(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        CAPTIONED,
    ),
    Kind("Unusual", "an animated GIF (its first frame)", animated("GIF"), CAPTIONED),
    Kind("Unusual", "an animated WebP (its first frame)", animated("WEBP"), CAPTIONED),
    Kind("Unusual", "an animated PNG (its first frame)", animated("PNG"), CAPTIONED),
    Kind("Unusual", "a TIFF of several pages (its first)", animated("TIFF"), CAPTIONED),
    Kind("Paths", "no such file", "/none.png", "MediaNotFound"),
    Kind("Paths", "a null character", "/a\0b.png", "MediaNotFound"),
    Kind("Paths", "half of a Unicode character", "/a\ud800.png", "MediaNotFound"),
    Kind("Paths", "ten thousand characters", "/" + "a" * 10_000, "MediaNotFound"),
    Kind("Paths", "a `data:` URI", "data:image/png;base64,iVBORw0KGgo=", "MediaNotFound"),
    Kind("Paths", "a path that climbs out", lambda p: f"../{p.other.name}/secret.png", "OutsideVolume"),
    Kind("Paths", "a link that leads out", leading_out, "OutsideVolume"),
    Kind("Paths", "a link to itself", lambda p: p.link("loop.png", p.claim / "loop.png"), "MediaNotFound"),
    Kind("Paths", "a link to an endless device", lambda p: p.link("zero.png", "/dev/zero"), "NotAFile"),
    Kind("Paths", "a pipe that nobody writes to", fifo, "NotAFile"),
    Kind("Paths", "a socket", unix_socket, "NotAFile"),
    Kind("Paths", "a folder", lambda p: (p.claim / "folder").mkdir() or "/folder", "NotAFile"),
    Kind(
        "Paths",
        "a name that is no UTF-8",
        lambda p: p.file(_NOT_UTF8, png("red")),
        CAPTIONED,
    ),
    Kind("Addresses", "another claim", lambda p: f"pvc://{p.other.name}/secret.png", "OriginNotAllowed"),
    Kind("Addresses", "a `file://` URI", "file:///etc/passwd", "OriginNotAllowed"),
    Kind("Addresses", "another bucket", "s3://other/x.png", "OriginNotAllowed"),
    Kind("Addresses", "another scheme", "gopher://host/x", "OriginNotAllowed"),
    Kind("Addresses", "a host that is not allowed", "https://evil.test/x.png", "OriginNotAllowed"),
    Kind("Addresses", "the cloud's metadata service", "http://169.254.169.254/latest/", "OriginNotAllowed"),
    Kind("Addresses", "an allowed host as user name", "https://img.test@evil.test/x.png", "OriginNotAllowed"),
    Kind(
        "Addresses",
        "a wildcard host with a private address",
        "http://a.wild.test/x.png",
        "OriginNotAllowed",
    ),
    Kind("Addresses", "a redirect to the metadata service", web("/to-metadata"), "OriginNotAllowed"),
    Kind("Addresses", "a redirect to a file", web("/to-file"), "OriginNotAllowed"),
    Kind("Addresses", "a redirect to itself", web("/around"), "MediaNotFound"),
    Kind("Addresses", "a host that nobody knows", "http://unknown.wild.test/", "MediaUnreachable", True),
    Kind("Addresses", "a port that nobody listens on", "http://127.0.0.1:9/x.png", "MediaUnreachable", True),
    Kind("Web servers", "404", web("/404"), "MediaNotFound"),
    Kind("Web servers", "410", web("/410"), "MediaNotFound"),
    Kind("Web servers", "403", web("/403"), "MediaForbidden", True),
    Kind("Web servers", "429, again and again", web("/429"), "MediaUnreachable", True),
    Kind("Web servers", "503, again and again", web("/503"), "MediaUnreachable", True),
    Kind("Web servers", "503 twice, then the picture", web("/later.png"), CAPTIONED),
    Kind("Web servers", "a redirect to the picture", web("/moved"), CAPTIONED),
    Kind("Web servers", "a login page called image/jpeg", web("/html"), "HtmlInsteadOfMedia"),
    Kind("Web servers", "a picture called text/html", web("/ok.png"), CAPTIONED),
    Kind("Web servers", "silence", web("/slow"), "MediaUnreachable", True),
    Kind("Web servers", "a byte now and then", web("/drip"), "MediaUnreachable", True),
    Kind("Web servers", "an answer that breaks off", web("/cut"), "MediaUnreachable", True),
    Kind("Web servers", "an answer that is not HTTP", web("/garbage"), "MediaUnreachable", True),
    Kind("Web servers", "an answer without end", web("/endless"), "MediaTooLarge"),
    Kind("Web servers", "200 MiB in 200 kB of gzip", web("/bomb"), "MediaTooLarge"),
    Kind("Web servers", "a gzipped picture", web("/zipped.png"), CAPTIONED),
    Kind("Web servers", "an encoding that nobody asked for", web("/brotli"), "UnsupportedFormat"),
    clip("text", b"hello", "NotAVideo"),
    clip("an HTML page", b"<html>", "HtmlInsteadOfMedia"),
    clip("an HLS playlist of local files", _PLAYLIST, "NotAVideo"),
    clip("an ffconcat script", b"ffconcat version 1.0\nfile /etc/passwd\n", "NotAVideo"),
    clip("sound only", lambda p: sound(), "NoVideo"),
    clip("a WebM with nothing behind its header", lambda p: frameless(), "NotAVideo"),
    clip("an MP4 without a frame", lambda p: video(0), "NoVideo"),
    clip("an MP4 whose content is lost", lambda p: hollow(video()), "NoFrames"),
    clip("half of an MP4, its index missing", lambda p: video()[:1500], "NotAVideo"),
    clip("half of a WebM (what is left of it)", lambda p: video(kind=WEBM)[:1300], CAPTIONED),
    clip("damaged in many places", lambda p: garbled(video()), CAPTIONED),
    clip(
        "longer than allowed",
        lambda p: video(30, 1),
        "VideoTooLong",
        maxDuration="10s",
    ),
    clip(
        "6 seconds that claim to be years",
        lambda p: patched(video(), b"mdhd", 16, 2**32 - 1),
        CAPTIONED,
    ),
    clip("one frame", lambda p: video(1), CAPTIONED),
    clip("an animated GIF", animated("GIF"), CAPTIONED),
    clip("an animated WebP", animated("WEBP"), CAPTIONED),
    clip("a GIF of 65,535 × 65,535", huge_gif(), "TooManyPixels"),
    clip("half of a GIF", cut("GIF"), "DamagedVideo"),
    clip("a picture (one frame)", png("red"), CAPTIONED),
]
