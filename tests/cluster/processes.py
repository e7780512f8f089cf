"""Starting programs that outlive this one, and ending exactly those again."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.console import ClusterError, tail
from cluster.shell import Argv


@dataclass(frozen=True)
class Process:
    """A process known by more than its number: numbers are used again after a reboot or a crash."""

    name: str
    pid: int
    started: int
    """Clock ticks between boot and its start, field 22 of /proc/PID/stat."""

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """When a process started, in ticks since boot; None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name, in parentheses, may hold spaces: count from behind it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True)
class Folder:
    """Where processes of one cluster leave their records and logs."""

    records: Path
    logs: Path

    def log(self, name: str) -> Path:
        """The log of the process of that name."""
        return self.logs / f"{name}.log"

    def start(self, name: str, argv: Argv, *, netns: Path | None = None, tied: bool = False) -> Process:
        """Start a program in its own session.

        Args:
            name: what it is called in records and logs.
            argv: the command line.
            netns: enter this network namespace first. Not with ``ip netns exec``: that also leaves the mount
                namespace, and what the kubelet mounts for a pod would not be seen by the container runtime.
            tied: the kernel kills it when the calling thread ends, however that ends.
        """
        self.records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        entered = ["nsenter", f"--net={netns}", "--", *argv] if netns else list(argv)
        words = ["setpriv", "--pdeathsig", "KILL", "--", *entered] if tied else entered
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = Process(name, child.pid, start_time(child.pid) or 0)
        (self.records / f"{name}.json").write_text(json.dumps(asdict(process)))
        return process

    def recorded(self) -> list[Process]:
        """Every process started here and not yet stopped, dead or alive."""
        return [Process(**json.loads(record.read_text())) for record in sorted(self.records.glob("*.json"))]

    def stop(self, *names: str, grace: float = 3.0) -> None:
        """End the named processes (all when none is named), the patient way first."""
        chosen = [one for one in self.recorded() if not names or one.name in names]
        end(chosen, grace)
        for one in chosen:
            (self.records / f"{one.name}.json").unlink(missing_ok=True)

    def check(self, name: str) -> None:
        """Raise what its log says when the process of that name is no longer there."""
        for one in self.recorded():
            if one.name == name and not one.alive():
                raise ClusterError(f"{name} ended by itself.\n{tail(self.log(name))}")


def end(processes: list[Process], grace: float) -> None:
    """SIGTERM, then SIGKILL for what is left after ``grace`` seconds; returns when all are gone."""
    _signal(processes, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while _alive(processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(processes, signal.SIGKILL)
    while _alive(processes):
        time.sleep(0.02)


def _alive(processes: list[Process]) -> list[Process]:
    for one in processes:
        reap(one.pid)
    return [one for one in processes if one.alive()]


def _signal(processes: list[Process], number: signal.Signals) -> None:
    for one in _alive(processes):
        try:
            os.kill(one.pid, number)
        except ProcessLookupError:
            continue  # it ended between the look and the signal


def reap(pid: int) -> None:
    """Collect a child's exit status, if it is our child, so that it does not stay as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def everywhere() -> Iterator[int]:
    """The ids of all processes of this machine."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def command_line(pid: int) -> list[str]:
    """The words a process was started with; empty when it is gone or a kernel thread."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return [word.decode(errors="replace") for word in words if word]
    except (FileNotFoundError, ProcessLookupError):
        return []
