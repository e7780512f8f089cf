"""Two builds in one checkout take turns."""

import subprocess
import sys
from pathlib import Path

import pytest

from builder.lock import exclusive

_IMAGES = Path(__file__).parents[3] / "images"
_HOLDER = """
import sys
from pathlib import Path
from builder.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


class _EndsTheFirst:
    """A terminal; when something is told there, the first build ends."""

    def __init__(self, first: subprocess.Popen[str]) -> None:
        self._first = first
        self.told = ""

    def write(self, text: str) -> None:
        self.told += text
        assert self._first.stdin is not None
        self._first.stdin.close()

    def flush(self) -> None:
        return


def test_a_second_build_says_that_it_waits_and_goes_on_after_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "build" / "images.lock"
    command = [sys.executable, "-c", _HOLDER, str(file)]
    pipe = subprocess.PIPE
    file.parent.mkdir()
    with subprocess.Popen(command, cwd=_IMAGES, stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        terminal = _EndsTheFirst(first)
        monkeypatch.setattr(sys, "stderr", terminal)
        with exclusive(file):
            assert first.wait(timeout=30) == 0

    assert "waiting for it" in terminal.told
