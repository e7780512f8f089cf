"""The two programs that build images, behind the few words that differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Engine:
    """`buildah`, which needs root and nothing running, or `docker`."""

    name: str

    def build(self, context: Path, target: str, reference: str, arguments: dict[str, str]) -> None:
        """Build one target of the Containerfile. Layers that are there already are used again.

        Raises:
            subprocess.CalledProcessError: the build failed; the engine has said why.
        """
        command = (
            ["buildah", "bud", "--isolation", "chroot", "--layers", "--quiet"]
            if self.name == "buildah"
            else ["docker", "build", "--progress", "plain"]
        )
        for key, value in arguments.items():
            command += ["--build-arg", f"{key}={value}"]
        for name, path in _secrets(context).items():
            command += ["--secret", f"id={name},src={path}"]
        command += [
            "--file",
            str(context / "Containerfile"),
            "--target",
            target,
            "--tag",
            reference,
            str(context),
        ]
        # What the engine says is progress; standard output is for what scripts read.
        subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "DOCKER_BUILDKIT": "1"})

    def has(self, reference: str) -> bool:
        """Whether the image is here."""
        return self._ask("inspect", "--type", "image", reference).returncode == 0

    def size(self, reference: str) -> int:
        """Return the unpacked size in bytes."""
        if self.name == "docker":
            return int(json.loads(self._ask("inspect", "--type", "image", reference).stdout)[0]["Size"])
        found = json.loads(self._ask("images", "--json", reference).stdout)[0]["size"]
        number, unit = found.split()
        return int(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.upper()])

    def tags(self, repository: str) -> list[str]:
        """Return the names of all images of `repository`, the newest first."""
        wanted = ["--filter", f"reference={repository}"]
        if self.name == "docker":
            return self._ask("images", "--format", "{{.Repository}}:{{.Tag}}", *wanted).stdout.split()
        # Asked for by name buildah knows no image without a tag.
        found = json.loads(self._ask("images", "--json", *wanted).stdout or "[]")
        newest = sorted(found, key=lambda image: image["createdatraw"], reverse=True)
        return [name for image in newest for name in image["names"] or ()]

    def remove(self, reference: str) -> bool:
        """Remove an image and the layers that no other has; return whether it is gone."""
        return self._ask("rmi", reference).returncode == 0

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.name, *words], capture_output=True, text=True, check=False)


def choose(name: str | None = None) -> Engine:
    """Return the engine asked for, else docker where its daemon answers, else buildah.

    Raises:
        LookupError: neither is there.
    """
    if name is not None:
        return Engine(name)
    for candidate, probe in (("docker", ["docker", "info"]), ("buildah", ["buildah", "--version"])):
        if _succeeds(probe):
            return Engine(candidate)
    raise LookupError(
        "no docker daemon answers and buildah is not installed: start docker, or apt-get install buildah"
    )


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def _secrets(context: Path) -> dict[str, Path]:
    """Files that a build step may read and that never become part of an image."""
    settings = context / "uv.toml"
    index = os.environ.get("UV_DEFAULT_INDEX")
    settings.write_text(f'[[index]]\nurl = "{index}"\ndefault = true\n' if index else "")
    authorities = Path(os.environ.get("SSL_CERT_FILE", _AUTHORITIES))
    found = {"uv.toml": settings}
    if authorities.is_file():
        found["ca.crt"] = authorities
    return found
