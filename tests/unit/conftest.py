"""What unit tests of pages share."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from browser import NoBrowserError, browser, program
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Generator[Browser]:
    """Yield a running browser; without one tests are skipped, but not where nobody would see it."""
    try:
        program()
    except NoBrowserError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error} (apt-get install chromium)")
    with browser() as running:
        yield running
