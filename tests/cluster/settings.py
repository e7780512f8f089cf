"""Names and folders, from the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.console import ClusterError

PROVIDERS = ("existing", "kind", "embedded")
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """Where one cluster lives and what it is called."""

    name: str
    cache: Path
    """Binaries, the base file system and image archives: safe to delete, costly to make again."""
    state: Path
    """One folder per embedded cluster."""
    provider: str | None
    kubeconfig: Path | None
    """A cluster the user already has."""

    @property
    def home(self) -> Path:
        """This cluster's own folder."""
        return self.state / self.name


def from_env(env: Mapping[str, str] = os.environ) -> Settings:
    """Read ``FATHOM_CLUSTER``, ``_CACHE``, ``_STATE``, ``_CLUSTER_PROVIDER`` and ``_KUBECONFIG``.

    Raises:
        ClusterError: a name that cannot name a namespace and a cgroup, or a provider that does not exist.
    """
    name = env.get("FATHOM_CLUSTER") or "fathom"
    if not _NAME.fullmatch(name):
        raise ClusterError(f"FATHOM_CLUSTER={name!r}: use up to 20 of a-z, 0-9 and '-', a letter first")
    provider = env.get("FATHOM_CLUSTER_PROVIDER") or None
    if provider is not None and provider not in PROVIDERS:
        raise ClusterError(f"FATHOM_CLUSTER_PROVIDER={provider!r}: use one of {', '.join(PROVIDERS)}")
    kubeconfig = env.get("FATHOM_KUBECONFIG")
    return Settings(
        name=name,
        cache=Path(env.get("FATHOM_CACHE") or "~/.cache/fathom").expanduser(),
        state=Path(env.get("FATHOM_STATE") or "/var/lib/fathom/clusters"),
        provider=provider,
        kubeconfig=Path(kubeconfig).expanduser() if kubeconfig else None,
    )
