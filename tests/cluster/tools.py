"""The command-line tools that tests and the demo use, built when missing."""

from pathlib import Path

from cluster import build, settings
from cluster.components import HELM, KUBECTL


def kubectl() -> Path:
    """The path of a kubectl of the cluster's own version."""
    return build.ensure([KUBECTL], settings.from_env().cache)["kubectl"].binary("kubectl")


def helm() -> Path:
    """The path of helm."""
    return build.ensure([HELM], settings.from_env().cache)["helm"].binary("helm")
