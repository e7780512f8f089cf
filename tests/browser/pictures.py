"""Pictures of a page for the documentation: on a desk by day, and on a phone by night, side by side."""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from browser import Scheme, browser, open_file

_HEIGHT = 1240


def main(
    about: str | None, picture: Path, example: Callable[[Path], Path], beside: tuple[str, ...] = ()
) -> None:
    """Make the report of `example`, below the folder it is given, and take its picture.

    The options of a script whose docstring is `about`; with `--html` the report is kept, and the files
    `beside` it.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, default=picture, help="where the picture goes")
    parser.add_argument("--html", type=Path, help="keep the report here as well")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fathom-report-") as folder:
        report = example(Path(folder))
        if asked.html:
            asked.html.write_bytes(report.read_bytes())
            for name in beside:
                asked.html.with_name(name).write_bytes(report.with_name(name).read_bytes())
        take(report, asked.out)


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
