"""What an image is made from: the build context, and the digests that say whether it has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "images"
CONTEXT = ROOT / "build" / "images"
#: Name of the image → the distribution whose code it holds.
IMAGES = {
    "operator": "operator",
    "captioner": "workloads",
    "trainer": "workloads",
    "ranker": "workloads",
    "retriever": "workloads",
}
_LOCKED = ("requirements.lock", "images/Containerfile", "images/install.sh")


@dataclass(frozen=True)
class Variant:
    """What distinguishes two builds of the same checkout."""

    base: str
    torch: str
    wheels: Path | None

    def wheel(self) -> Path | None:
        """The torch wheel to install instead of the index's, for CPU builds."""
        if self.wheels is None or self.torch != "cpu":
            return None
        return next(iter(sorted(self.wheels.glob(f"torch-{torch_version()}+cpu-*.whl"))), None)


def torch_version() -> str:
    """Return the version that the workloads pin."""
    extras = _project(ROOT / "workloads" / "pyproject.toml")["optional-dependencies"]
    pin = next(requirement for requirement in extras["train"] if requirement.startswith("torch=="))
    return pin.removeprefix("torch==")


def dependencies_digest(variant: Variant) -> str:
    """Digest of all that decides third-party layers; one for all images, for they share layers."""
    wheel = variant.wheel()
    digest = hashlib.sha256(f"{variant.base}\n{variant.torch}\n{wheel.name if wheel else ''}\n".encode())
    for path in _LOCKED:
        digest.update((ROOT / path).read_bytes())
    for name in ("crds", "operator", "workloads"):
        digest.update(repr(_needs(name)).encode())
    return digest.hexdigest()[:12]


def source_digest(distribution: str) -> str:
    """Digest of our own code in an image."""
    digest = hashlib.sha256()
    for package in ("crds", distribution):
        digest.update((ROOT / package / "pyproject.toml").read_bytes())
        for path in _sources(package):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def tag(image: str, variant: Variant) -> str:
    """Return the tag: the same sources and options have the same tag on every machine."""
    parts = dependencies_digest(variant) + source_digest(IMAGES[image])
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def lay_out(variant: Variant) -> Path:
    """Write the build context below build/images and return it."""
    CONTEXT.mkdir(parents=True, exist_ok=True)
    for path in _LOCKED:
        shutil.copy2(ROOT / path, CONTEXT)
    for name in ("crds", "operator", "workloads"):
        (CONTEXT / name).mkdir(exist_ok=True)
        shutil.copy2(ROOT / name / "pyproject.toml", CONTEXT / name)
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["torch-needs"]
    (CONTEXT / "torch-needs.txt").write_text("\n".join(needs) + "\n")
    (CONTEXT / "torch.txt").write_text(f"torch=={torch_version()}\n")
    (CONTEXT / "kernels.txt").write_text(kernels(variant) + "\n")
    (CONTEXT / "excludes.txt").write_text("torch\nfbgemm-gpu\nfathom-api\n")
    shutil.copy2(Path(sys.executable).parent / "uv", CONTEXT / "uv")
    _lay_out_wheel(variant.wheel())
    _build_distributions()
    return CONTEXT


def kernels(variant: Variant) -> str:
    """Return the distribution of fbgemm's kernels for what torch is built for."""
    shard = _project(ROOT / "workloads" / "pyproject.toml")["optional-dependencies"]["shard"]
    pin = next(
        requirement.partition(";")[0] for requirement in shard if requirement.startswith("fbgemm-gpu==")
    )
    return pin.replace("fbgemm-gpu", "fbgemm-gpu-cpu") if variant.torch == "cpu" else pin


def _lay_out_wheel(wheel: Path | None) -> None:
    folder = CONTEXT / "wheels"
    folder.mkdir(exist_ok=True)
    for stale in folder.iterdir():
        if wheel is None or stale.name != wheel.name:
            stale.unlink()
    if wheel is not None and not (folder / wheel.name).exists():
        shutil.copy2(wheel, folder)


def _build_distributions() -> None:
    """Build our wheels, reproducibly, unless those of the same sources are there."""
    digest = source_digest("operator") + source_digest("workloads")
    built = CONTEXT / "dist" / digest
    if not built.exists():
        shutil.rmtree(CONTEXT / "dist", ignore_errors=True)
        command = [CONTEXT / "uv", "build", "--quiet", "--wheel", "--no-build-isolation"]
        command += ["--out-dir", CONTEXT / "dist"]
        for name in ("crds", "operator", "workloads"):
            subprocess.run(
                [*command, ROOT / name],
                check=True,
                env={**os.environ, "VIRTUAL_ENV": str(ROOT / ".venv"), "SOURCE_DATE_EPOCH": "1767225600"},
            )
        built.touch()


def _sources(package: str) -> list[Path]:
    found = (ROOT / package / "src").rglob("*")
    return sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts)


def _needs(package: str) -> object:
    project = _project(ROOT / package / "pyproject.toml")
    return project["dependencies"], project.get("optional-dependencies")


def _project(path: Path) -> dict[str, dict[str, list[str]]]:
    project = tomllib.loads(path.read_text())["project"]
    return {key: project[key] for key in ("dependencies", "optional-dependencies") if key in project}
