"""The three ways to have a cluster, behind one interface."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cluster.settings import Settings
from cluster.shell import attempt


class Provider(Protocol):
    """A way to have a cluster."""

    def up(self) -> Path:
        """Make the cluster ready for Fathom, whatever state it is in; returns its kubeconfig."""
        ...

    def down(self, *, purge: bool) -> None:
        """Remove the cluster; with ``purge`` also what makes the next start fast."""
        ...

    def status(self) -> str:
        """How it is, in words."""
        ...

    def load(self, images: Sequence[str]) -> None:
        """Give images of this machine to the cluster's nodes."""
        ...

    def load_layout(self, layout: Path) -> None:
        """Give the images of an OCI layout to the cluster's nodes."""
        ...

    def kubeconfig(self) -> Path:
        """The kubeconfig of the running cluster; raises ClusterError when there is none."""
        ...


def choose(settings: Settings) -> Provider:
    """The provider that was asked for, or the first that can work here."""
    from cluster.providers.embedded import Embedded
    from cluster.providers.existing import Existing
    from cluster.providers.kind import Kind

    chosen = settings.provider or _fitting(settings)
    if chosen == "existing":
        return Existing(settings)
    return Kind(settings) if chosen == "kind" else Embedded(settings)


def _fitting(settings: Settings) -> str:
    if settings.kubeconfig is not None:
        return "existing"
    return "kind" if docker_answers() else "embedded"


def docker_answers() -> bool:
    """Whether a Docker engine answers here."""
    return shutil.which("docker") is not None and attempt(["docker", "info"]).returncode == 0
