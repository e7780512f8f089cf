"""The cache keeps what is used and drops what is not."""

import os
import time
from pathlib import Path

from cluster import pruning

_DAY = 24 * 3600.0
_NOW = time.time()


def _folder(path: Path, days_ago: float) -> Path:
    (path / "bin").mkdir(parents=True)
    os.utime(path, (_NOW - days_ago * _DAY,) * 2)
    return path


def test_what_was_not_used_for_a_month_is_removed_and_nothing_else(tmp_path: Path) -> None:
    stale = _folder(tmp_path / "build" / "etcd-old", 31)
    recent = _folder(tmp_path / "build" / "etcd-new", 29)

    removed = pruning.prune([tmp_path / "build", tmp_path / "images"], now=lambda: _NOW)

    assert removed == [stale]
    assert not stale.exists()
    assert recent.exists()


def test_what_is_used_again_counts_as_new(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "build" / "etcd", 31)

    pruning.used([folder])

    assert pruning.prune([tmp_path / "build"], now=lambda: _NOW) == []
