"""Running a program to its end, and one run at a time."""

import fcntl
import os
import shlex
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.console import ClusterError, say

Argv = Sequence[str | Path]


def run(
    argv: Argv, *, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: str | None = None
) -> str:
    """Run a program and return what it printed.

    Raises:
        ClusterError: it is not installed, or ended with another status than 0; holds the end of what it said.
    """
    done = attempt(argv, env=env, cwd=cwd, stdin=stdin)
    if done.returncode != 0:
        said = "\n".join(line[:500] for line in (done.stderr or done.stdout).splitlines()[-30:])
        raise ClusterError(f"{shown(argv)}\n  ended with status {done.returncode}:\n{said}")
    return done.stdout


def attempt(
    argv: Argv, *, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program whose failure is an answer too."""
    try:
        return subprocess.run(
            [str(word) for word in argv],
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as missing:
        raise ClusterError(f"{argv[0]} is not installed (wanted for: {shown(argv)})") from missing


def shown(argv: Argv) -> str:
    """A command line as one would type it, shortened."""
    return shlex.join(str(word) for word in argv)[:300]


@contextmanager
def locked(lock: Path, what: str) -> Generator[None]:
    """Hold a lock file; say so when another run holds it and wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is busy with {what}; waiting for it ({lock})")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
