"""Pictures of a page for the documentation: on a desk by day, and on a phone by night, side by side."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from browser import Scheme, browser, open_file

_HEIGHT = 1240


def take(page: Path, picture: Path) -> None:
    """Take a picture of the top of `page`, in 256 colours to keep it small."""
    with browser() as running:
        desk = _seen(running, page, 1280, "light")
        phone = _seen(running, page, 390, "dark")
    both = Image.new("RGB", (desk.width + phone.width, _HEIGHT))
    both.paste(desk, (0, 0))
    both.paste(phone, (desk.width, 0))
    picture.parent.mkdir(parents=True, exist_ok=True)
    both.quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)


def _seen(running: Browser, page: Path, width: int, scheme: Scheme) -> Image.Image:
    opened = open_file(running, page, width=width, height=_HEIGHT, scheme=scheme)
    return Image.open(io.BytesIO(opened.page.screenshot()))
