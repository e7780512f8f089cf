"""A real browser, Debian's Chromium without a screen: opens files and notes what goes wrong in them."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

from cluster.console import ClusterError
from cluster.debian import require

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
Scheme = Literal["light", "dark"]


class NoBrowserError(Exception):
    """There is no Chromium, and none can be installed."""


@dataclass
class Opened:
    """A page, and what it complained about or asked for since it was opened."""

    page: Page
    complaints: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])


def program() -> str:
    """Return Chromium's path, installing Debian's where there is none.

    Raises:
        NoBrowserError: not root, or no Debian.
    """
    if not _found():
        try:
            require({"chromium": "chromium"})
        except ClusterError as error:
            raise NoBrowserError(f"no Chromium: {error}") from error
    return _found() or "chromium"


@contextmanager
def browser() -> Generator[Browser]:
    """Yield a running Chromium."""
    # A root user, as in a container, has no sandbox of its own; the pages are our own files.
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    executable = program()
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=executable, args=flags)
        try:
            yield running
        finally:
            running.close()


def open_file(
    running: Browser, file: Path, *, width: int, height: int = 900, scheme: Scheme = "light", scale: float = 1
) -> Opened:
    """Open `file` in a window of `width` × `height` CSS pixels."""
    context = running.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=scale
    )
    opened = Opened(context.new_page())

    def asked(request: Request) -> None:
        opened.requests.append(request.url)

    def interrupted(dialog: Dialog) -> None:
        opened.complaints.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    opened.page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
    opened.page.on("pageerror", lambda error: opened.complaints.append(f"error: {error}"))
    opened.page.on("dialog", interrupted)
    opened.page.on("request", asked)
    opened.page.goto(file.resolve().as_uri())
    return opened


def _found() -> str | None:
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
