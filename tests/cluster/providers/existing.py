"""A cluster the user already has: checked, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.console import ClusterError, say
from cluster.kube import Kube
from cluster.settings import Settings

WANTED = {
    "inferenceservices.serving.kserve.io": (
        "KServe 0.20: https://kserve.github.io/website/docs/admin-guide/overview"
    ),
    "services.serving.knative.dev": (
        "Knative Serving 1.21 with an ingress such as Kourier: https://knative.dev/docs/install"
    ),
}


def missing(crds: Sequence[str]) -> list[str]:
    """What is to be installed, given the names of the CRDs that are there."""
    return [how for crd, how in WANTED.items() if crd not in crds]


@dataclass(frozen=True)
class Existing:
    """The cluster of FATHOM_KUBECONFIG."""

    settings: Settings

    def up(self) -> Path:
        """Check that what Fathom needs is installed."""
        kube = Kube(self.kubeconfig())
        names = kube.kubectl("get", "crd", "-o", "name").split()
        if lacking := missing([name.partition("/")[2] for name in names]):
            raise ClusterError("this cluster lacks:\n" + "\n".join(f"  {one}" for one in lacking))
        return self.kubeconfig()

    def down(self, *, purge: bool) -> None:
        """Leave it: it is not ours."""
        say(f"{self.settings.kubeconfig} names a cluster that was here before: left as it is (purge={purge})")

    def status(self) -> str:
        """The nodes."""
        return Kube(self.kubeconfig()).kubectl("get", "nodes", "-o", "wide")

    def load(self, images: Sequence[str]) -> None:
        """Impossible from outside."""
        raise ClusterError(f"push {', '.join(images)} to a registry that the cluster pulls from instead")

    def load_layout(self, layout: Path) -> None:
        """Impossible from outside."""
        raise ClusterError(f"the images in {layout} cannot be given to a cluster that is not ours")

    def kubeconfig(self) -> Path:
        """The file the user named."""
        path = self.settings.kubeconfig
        if path is None or not path.exists():
            raise ClusterError(f"FATHOM_KUBECONFIG={path}: there is no such file")
        return path
