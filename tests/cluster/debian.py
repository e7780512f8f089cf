"""What Debian and Ubuntu bring: packages for the node, and the base file system of our images."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cluster.console import ClusterError, say, step
from cluster.shell import attempt, run

SUITE = "bookworm"
INCLUDE = ("python3", "ca-certificates")

# A program each package brings → the package.
NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
IMAGES = {"buildah": "buildah", "skopeo": "skopeo", "debootstrap": "debootstrap"}

# Useless in an image, or only true of the machine that built it.
PRUNED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
)
PRUNED_FILES = ("etc/resolv.conf", "etc/hostname", "etc/machine-id", "var/lib/dbus/machine-id")


def missing(programs: dict[str, str]) -> list[str]:
    """The packages whose program is not here."""
    search = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return [package for program, package in programs.items() if shutil.which(program, path=search) is None]


def require(programs: dict[str, str]) -> None:
    """Install the packages that are missing.

    Raises:
        ClusterError: not root, not a Debian, or the installation failed.
    """
    packages = missing(programs)
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(f"missing {', '.join(packages)}: install them (this is no Debian or Ubuntu)")
    require_root(f"install {' '.join(packages)}")
    with step(f"Installing {', '.join(packages)} from Debian"):
        _install(packages)


def _install(packages: Iterable[str]) -> None:
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    if attempt(install, env=quiet).returncode == 0:
        return
    run(["apt-get", "update", "-qq"])  # the lists may be missing or old
    run(install, env=quiet)


def require_root(purpose: str) -> None:
    """Raise unless this process is root."""
    if os.geteuid() != 0:
        raise ClusterError(f"root is needed to {purpose}: use sudo, or name a cluster with FATHOM_KUBECONFIG")


def root_filesystem_tar(target: Path) -> None:
    """Write the base file system as an uncompressed tar.

    Only Debian's own certificates are in it: those of this machine's network never are.
    """
    require({program: IMAGES[program] for program in ("debootstrap",)})
    require_root("make the base image with debootstrap")
    with tempfile.TemporaryDirectory(prefix="fathom-debian-") as folder, step("Making the Debian base image"):
        tree = Path(folder) / "tree"
        run(["debootstrap", "--variant=minbase", f"--include={','.join(INCLUDE)}", SUITE, tree])
        _prune(tree)
        say("packing it")
        fixed = ["--sort=name", "--numeric-owner", "--mtime=@0", "--one-file-system"]
        run(["tar", *fixed, "-C", tree, "-cf", target, "."])


def _prune(tree: Path) -> None:
    for folder in PRUNED:
        for entry in (tree / folder).glob("*"):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    for file in PRUNED_FILES:
        (tree / file).unlink(missing_ok=True)
