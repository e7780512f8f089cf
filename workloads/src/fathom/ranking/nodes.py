"""The nodes that train together, as torchrun's own variables and Kubernetes' name them.

`PET_NNODES` nodes meet at `PET_RDZV_ENDPOINT`, or else at `PET_MASTER_ADDR:PET_MASTER_PORT`, which Kubeflow's
torch runtimes set. Which node this one is comes from `JOB_COMPLETION_INDEX` or `PET_NODE_RANK`. Ranks of
processes are torchrun's to deal and change when nodes come back; numbers of nodes do not.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from fathom.errors import InvalidInputError

#: How long the others may take to come, their pods' start and reading of the data included, in seconds.
_PATIENCE: Final = 1800
#: How long an answer of the store may take once all are there, in seconds.
_ANSWER: Final = 120


@dataclass(frozen=True)
class Nodes:
    """How many nodes there are, which of them this is, and where they meet."""

    count: int = 1
    index: int = 0
    endpoint: str = ""

    @property
    def leads(self) -> bool:
        """Return whether this node hosts the rendezvous and writes the bundle."""
        return self.index == 0

    def torchrun(self) -> list[str]:
        """Return torchrun's arguments that have the nodes meet."""
        if self.count == 1:
            return ["--standalone"]
        # Told, not guessed from host names: a pod does not know the name by which others find it.
        # fmt: off
        conf = {"is_host": int(self.leads), "join_timeout": _PATIENCE, "read_timeout": _ANSWER}
        return [
            f"--nnodes={self.count}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={self.endpoint}",
            "--rdzv-conf=" + ",".join(f"{key}={value}" for key, value in conf.items()),
        ]
        # fmt: on

    def wait_for_host(self) -> None:
        """Wait until node 0 can be reached; its name may not be known before its pod runs.

        Raises:
            OSError: it has not come.
        """
        if not self.leads:
            host, _, port = self.endpoint.rpartition(":")
            _reach(host.strip("[]"), int(port))


@retry(
    stop=stop_after_delay(_PATIENCE), wait=wait_fixed(1), retry=retry_if_exception_type(OSError), reraise=True
)
def _reach(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=5).close()


def nodes(environment: Mapping[str, str] = os.environ) -> Nodes:
    """Return the nodes that `environment` names; one, this one, if it names none.

    Raises:
        InvalidInputError: they are named in part, or in a way that is not ours.
    """
    count = _number(environment, "PET_NNODES", default="1")
    if count == 1:
        return Nodes()
    index = _number(environment, "JOB_COMPLETION_INDEX", "PET_NODE_RANK")
    if index >= count:
        raise InvalidInputError(
            "InvalidNodes", f"node {index} of {count}: nodes are numbered from 0, correct PET_NODE_RANK"
        )
    host, port = environment.get("PET_MASTER_ADDR"), environment.get("PET_MASTER_PORT", "29400")
    endpoint = environment.get("PET_RDZV_ENDPOINT") or (f"{host}:{port}" if host else "")
    if not endpoint:
        raise InvalidInputError(
            "InvalidNodes",
            f"{count} nodes, but no place to meet: set PET_RDZV_ENDPOINT to host:port of node 0",
        )
    return Nodes(count, index, endpoint)


def _number(environment: Mapping[str, str], *names: str, default: str = "") -> int:
    value = next((environment[name] for name in names if environment.get(name)), default)
    if not value.isdecimal():
        raise InvalidInputError(
            "InvalidNodes", f"{' or '.join(names)} is {value!r}: set it to a whole number"
        )
    return int(value)
