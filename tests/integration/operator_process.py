"""The real operator, as a process of its own: started, killed, frozen, asked for its health."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from integration.kube import Namespace
from integration.waiting import until

#: Short, or every hand-over would cost half a minute.
LEASE_SECONDS = 3.0


@dataclass
class Operator:
    """One operator process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    http_port: int
    progress_port: int

    def kill(self) -> None:
        """Kill it as a lost node would: no last words, no lease given up."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end, as a rolling update does, and return its exit status."""
        self._signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def freeze(self) -> None:
        """Stop its clock, as a paused virtual machine would."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was."""
        self._signal(signal.SIGCONT)

    def running(self) -> bool:
        """Return whether the process is still there."""
        return self.process.poll() is None

    def get(self, path: str) -> httpx.Response | None:
        """Return what its probes and metrics say; None while nobody listens."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.http_port}{path}", timeout=5)
        except httpx.TransportError:
            return None

    def _signal(self, number: int) -> None:
        if self.running():
            self.process.send_signal(number)


@contextmanager
def operator(
    kubeconfig: Path, namespace: Namespace, log: Path, name: str = "operator-0", **environment: str
) -> Generator[Operator]:
    """Run an operator for one namespace; it is ended with the block."""
    _pod(namespace, name)
    http_port, progress_port = _free_port(), _free_port()
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "FATHOM_WATCH_NAMESPACES": namespace.name,
        "POD_NAME": name,
        "POD_NAMESPACE": namespace.name,
        "FATHOM_HTTP_PORT": str(http_port),
        "FATHOM_PROGRESS_PORT": str(progress_port),
        "FATHOM_PROGRESS_URL": f"https://localhost:{progress_port}",
        "FATHOM_LEASE_SECONDS": str(LEASE_SECONDS),
        "FATHOM_LOG_FORMAT": "text",
        "PATH": os.environ["PATH"],
        "HOME": str(log.parent),
        **environment,
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "fathom-operator")],
            env=settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Operator(name, process, log, http_port, progress_port)
    try:
        yield running
    finally:
        running.thaw()
        running.kill()


def ready(running: Operator) -> Operator:
    """Return the operator once it says that it is ready."""

    def look() -> bool:
        if not running.running():
            raise RuntimeError(f"{running.name} ended:\n{running.log.read_text()[-3000:]}")
        answer = running.get("/readyz")
        return answer is not None and answer.is_success

    until(f"{running.name} is ready", look)
    return running


def _pod(namespace: Namespace, name: str) -> None:
    """Make the pod that the process takes itself to be: it labels that pod when it leads."""
    until("a service account", lambda: namespace.find("ServiceAccount", "default"))
    if namespace.find("Pod", name) is None:
        meta = {"name": name, "labels": {"app.kubernetes.io/name": "fathom-operator"}}
        spec = {"containers": [{"name": "operator", "image": "x"}]}
        namespace.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]
