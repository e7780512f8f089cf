"""Keeping the cache from growing for ever: what no start has used for a month goes."""

import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cluster.console import say

_KEPT_S = 30 * 24 * 3600.0


def used(folders: Iterable[Path]) -> None:
    """Note that these folders are in use today."""
    for folder in folders:
        os.utime(folder)


def prune(parents: Iterable[Path], now: Callable[[], float] = time.time) -> list[Path]:
    """Remove the folders in `parents` that were not used for a month, and return them."""
    oldest = now() - _KEPT_S
    stale = [
        folder
        for parent in parents
        if parent.is_dir()
        for folder in sorted(parent.iterdir())
        if folder.is_dir() and folder.stat().st_mtime < oldest
    ]
    for folder in stale:
        say(f"removing {folder}: not used for a month")
        shutil.rmtree(folder)
    return stale
