"""What bytes are, by how they begin: names and content types are not believed."""

from __future__ import annotations

from typing import Final

from fathom.captioning.media.unusable import UnusableMediaError

_WINDOW: Final = 1024
_HTML: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_DOCUMENTS: Final = {
    b"%pdf": "a PDF",
    b"%!ps": "a PostScript file",
    b"\xc5\xd0\xd3\xc6": "a PostScript file",
    b"pk\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"8bps": "a Photoshop file",
    b"id3": "a sound file",
}
_HEIC: Final = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_STILL: Final = (*_HEIC, b"avif", b"avis")
_VIDEOS: Final = (b"\x1a\x45\xdf\xa3", b"oggs", b"flv\x01", b"\x00\x00\x01\xba")


def refuse_others(data: bytes, media_type: str) -> None:
    """Say what `data` are where they are surely no picture or video.

    Raises:
        UnusableMediaError: an HTML page in its place, a document, or the other kind of media.
    """
    head = data[:_WINDOW].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith(_HTML):
        raise UnusableMediaError(
            "HtmlInsteadOfMedia", "an HTML page: a login, an error or a page around the media, not the media"
        )
    if (name := _document(head)) is not None:
        raise UnusableMediaError("UnsupportedFormat", f"{name}; convert it to JPEG, PNG or MP4")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC:
        raise UnusableMediaError("UnsupportedFormat", "a HEIC picture; convert it to JPEG, PNG or WebP")
    if media_type == "Image" and _is_video(data):
        raise UnusableMediaError("UnsupportedFormat", "a video; set the source's mediaType to Video")


def is_animation(data: bytes) -> bool:
    """Return whether `data` are a picture format that can hold several frames: GIF, WebP, PNG."""
    return data[:4] in (b"GIF8", b"\x89PNG") or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _document(head: bytes) -> str | None:
    if head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in head):
        return "an SVG drawing"
    return next((name for magic, name in _DOCUMENTS.items() if head.startswith(magic)), None)


def _is_video(data: bytes) -> bool:
    if data[4:8] == b"ftyp":
        return data[8:12] not in _STILL
    if data[:4] == b"RIFF":
        return data[8:12] == b"AVI "
    return data[:4].lower() in _VIDEOS
