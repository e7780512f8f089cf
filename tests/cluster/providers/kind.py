"""kind, where a Docker engine answers: Kubernetes is kind's node image, the rest is built and loaded."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import install, systemimages
from cluster.console import ClusterError, say, step
from cluster.kube import Kube
from cluster.settings import Settings
from cluster.shell import run


@dataclass(frozen=True)
class Kind:
    """One kind cluster."""

    settings: Settings

    @property
    def _file(self) -> Path:
        return self.settings.cache / "kind" / f"{self.settings.name}.kubeconfig"

    def _kind(self, *words: str | Path) -> str:
        if shutil.which("kind") is None:
            raise ClusterError("kind is not installed: see https://kind.sigs.k8s.io/docs/user/quick-start")
        return run(["kind", *words, "--name", self.settings.name])

    def _exists(self) -> bool:
        if shutil.which("kind") is None:
            return False
        return self.settings.name in run(["kind", "get", "clusters"]).split()

    def up(self) -> Path:
        """Create the cluster unless it exists, and install what Fathom needs."""
        if not self._exists():
            with step(f"Creating kind cluster {self.settings.name}"):
                self._kind("create", "cluster", "--wait", "120s")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._kind("export", "kubeconfig", "--kubeconfig", self._file)
        layout = systemimages.ensure(self.settings.cache, envoy=False)
        with step("Loading the system images"):
            self.load_layout(layout)
        install.install(Kube(self._file), self.settings.cache, envoy=None, fresh=False)
        install.wait(Kube(self._file))
        return self._file

    def down(self, *, purge: bool) -> None:
        """Delete the cluster."""
        self._kind("delete", "cluster")
        self._file.unlink(missing_ok=True)
        if purge:
            say("kind keeps its node image in Docker: remove it with `docker image prune`")

    def status(self) -> str:
        """The nodes and pods."""
        if not self._exists():
            return f"kind cluster {self.settings.name} is down"
        return Kube(self.kubeconfig()).kubectl("get", "nodes,pods", "-A", "-o", "wide")

    def load(self, images: Sequence[str]) -> None:
        """Load images from Docker."""
        with step(f"Loading {', '.join(images)}"):
            self._kind("load", "docker-image", *images)

    def load_layout(self, layout: Path) -> None:
        """Load the images of an OCI layout."""
        with systemimages.archive(layout) as archive:
            self._kind("load", "image-archive", archive)

    def kubeconfig(self) -> Path:
        """The kubeconfig written by ``up``."""
        if not self._file.exists():
            raise ClusterError(f"cluster {self.settings.name} is down: start it with `python -m cluster up`")
        return self._file
