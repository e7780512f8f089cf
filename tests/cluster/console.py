"""What the user sees while waiting, and how failures are told."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_BEGAN = time.monotonic()


class ClusterError(Exception):
    """Something the user can act on: the message says what is missing or wrong, and what to do."""


def say(text: str) -> None:
    """Print a line with the seconds since the command began, to stderr: stdout is for what scripts read."""
    print(f"[{time.monotonic() - _BEGAN:6.1f}s] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Generator[None]:
    """Announce a step, and say how long it took."""
    say(f"{title} …")
    began = time.monotonic()
    yield
    say(f"{title}: {time.monotonic() - began:.1f} s")


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, indented, for an error message."""
    if not log.exists():
        return f"  ({log} was never written)"
    kept = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"  the last lines of {log}:", *(f"    {line[:400]}" for line in kept)])
