from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import api_server, seed

DAY_S = 24 * 3600.0


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def refuse(folder: Path, *, tied: bool) -> None:
        raise RuntimeError("made again")

    monkeypatch.setattr(api_server, "start", refuse)
    folder = tmp_path / "seed" / seed.key()
    folder.mkdir(parents=True)
    return folder


def _after(folder: Path, seconds: float) -> Callable[[], float]:
    return lambda: folder.stat().st_mtime + seconds


def test_a_first_state_in_the_cache_is_used_again(kept: Path, tmp_path: Path):
    assert seed.ensure(tmp_path, _after(kept, 100 * DAY_S)) == kept


def test_a_first_state_is_made_again_before_its_certificate_expires(kept: Path, tmp_path: Path):
    with pytest.raises(RuntimeError, match="made again"):
        seed.ensure(tmp_path, _after(kept, 300 * DAY_S))
