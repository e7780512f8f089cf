"""kubectl, typed: what the demo and the end-to-end tests do with a cluster, people can type themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]
_TIMEOUT = 120


class KubeError(Exception):
    """kubectl said no; the message is what it said."""


@dataclass(frozen=True)
class Kube:
    """A cluster, by its kubeconfig."""

    kubectl: str
    kubeconfig: Path

    def run(self, *arguments: str, stdin: bytes | None = None, timeout: float = _TIMEOUT) -> str:
        """Return what `kubectl ARGUMENTS` prints.

        Raises:
            KubeError: it failed, or took longer than `timeout` seconds.
        """
        return self.run_bytes(*arguments, stdin=stdin, timeout=timeout).decode()

    def run_bytes(self, *arguments: str, stdin: bytes | None = None, timeout: float = _TIMEOUT) -> bytes:
        """Return what `kubectl ARGUMENTS` prints, as bytes; raises as `run` does."""
        try:
            done = subprocess.run(
                [self.kubectl, *arguments],
                input=stdin,
                capture_output=True,
                timeout=timeout,
                check=False,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise KubeError(f"kubectl {arguments[0]}: i/o timeout, no answer in {timeout:g} s") from error
        if done.returncode:
            raise KubeError(f"kubectl {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def find(self, kind: str, name: str, namespace: str) -> Object | None:
        """Return an object, or None where there is none."""
        text = self.run("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Object]:
        """Return the objects of a kind that a label selector selects."""
        chosen = ["-l", selector] if selector else []
        return json.loads(self.run("get", kind, "-n", namespace, *chosen, "-o", "json"))["items"]

    def apply(self, objects: Sequence[Object]) -> None:
        """Apply objects; what is as it should be stays as it is."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.run("apply", "-f", "-", stdin=document.encode())

    def patch(self, kind: str, name: str, namespace: str, patch: Object, subresource: str = "") -> None:
        """Merge `patch` into an object."""
        extra = [f"--subresource={subresource}"] if subresource else []
        self.run("patch", kind, name, "-n", namespace, "--type", "merge", "-p", json.dumps(patch), *extra)

    def delete(self, kind: str, name: str, namespace: str, *options: str) -> None:
        """Delete an object if it is there."""
        self.run("delete", kind, name, "-n", namespace, "--ignore-not-found", *options)

    def exec(
        self, pod: str, namespace: str, *command: str, stdin: bytes | None = None, timeout: float = 600
    ) -> bytes:
        """Return what `command` prints in `pod`."""
        arguments = ["exec", pod, "-n", namespace, *(["-i"] if stdin is not None else []), "--", *command]
        return self.run_bytes(*arguments, stdin=stdin, timeout=timeout)

    @contextmanager
    def forward(self, target: str, namespace: str, port: int) -> Generator[int]:
        """Yield a port of 127.0.0.1 that leads to `port` of a Service or Pod, `svc/name`.

        Raises:
            KubeError: kubectl could not, or ended at once.
        """
        command = [
            self.kubectl,
            "port-forward",
            "-n",
            namespace,
            target,
            f":{port}",
            "--address",
            "127.0.0.1",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment()
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
                if not found:
                    raise KubeError(f"kubectl port-forward {target}: {line.strip() or 'ended at once'}")
                # It writes a line for each connection: unread, some two thousand of them would stop it.
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield int(found[1])
            finally:
                process.terminate()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
