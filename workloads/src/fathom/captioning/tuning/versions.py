"""Versions of a fine-tuned model: each in a folder of its own that never changes while others use it.

`MODEL/versions/<12 digits of its digest>/` is a checkpoint in Hugging Face's format, sealed by a manifest;
`MODEL/latest.json` says which one was made last. Nothing removes a version but its owner.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.storage import appearing
from fathom_api.meta import StatusModel

_log = logging.getLogger("fathom")
FOLDER: Final = "versions"
LATEST: Final = "latest.json"
_NEW: Final = ".new-"
#: Seconds after which a folder that nothing was put into is nobody's.
_STALE: Final = 3 * 3600


class _Latest(StatusModel):
    version: str = Field(pattern=r"^[0-9a-f]{12}$", description="Its folder in `versions/`.")


@dataclass(frozen=True)
class Version:
    """A finished model."""

    path: Path
    manifest: manifest.Manifest

    def uri(self, model: str) -> str:
        """Return where this version of the model at the URI `model` lies."""
        return f"{model.rstrip('/')}/{FOLDER}/{self.path.name}"


def find(model: Path, made_from: dict[str, str]) -> Version | None:
    """Return the whole version that was made from the same, if there is one."""
    for path in sorted((model / FOLDER).glob("[!.]*")):
        try:
            found = manifest.read(path)
            if found is not None and found.made_from == made_from:
                return Version(path, manifest.verify(path))
        except InvalidInputError as error:
            _log.warning("%s; it is passed over", error)
    return None


@contextmanager
def folder(model: Path) -> Generator[Path]:
    """Yield a folder to write a version into; what `seal` did not take from there is removed."""
    root = model / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f"{_NEW}*"):
        # Whoever wrote it was killed. A younger one may be that of another pod at work.
        if time.time() - left.stat().st_mtime > _STALE:
            shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=_NEW, dir=root))
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def seal(model: Path, new: Path, *, counts: dict[str, int], made_from: dict[str, str]) -> Version:
    """Make what was written to `new` a version: all at once, under the name of its content."""
    for path in [new, *new.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    sealed = manifest.write(new, "Model", counts=counts, made_from=made_from)
    place = model / FOLDER / sealed.digest.removeprefix("sha256:")[:12]
    if place.exists():
        # It has the same content, or is damaged: nobody can be using what it lacks.
        damaged = Path(tempfile.mkdtemp(prefix=_NEW, dir=model / FOLDER))
        place.rename(damaged / place.name)
        new.rename(place)
        shutil.rmtree(damaged)
    else:
        new.rename(place)
    return Version(place, sealed)


def point(model: Path, version: Version) -> None:
    """Let `latest` return this version."""
    text = _Latest(version=version.path.name).model_dump_json()
    if (model / LATEST).is_file() and (model / LATEST).read_text() == text:
        return
    with appearing(model / LATEST) as path:
        path.write_text(text)


def latest(path: Path) -> Path:
    """Return the folder of the latest version of the model at `path`, or `path` if it has no versions.

    Raises:
        InvalidInputError: the file that names it cannot be understood.
    """
    file = path / LATEST
    if not file.is_file():
        return path
    try:
        return path / FOLDER / _Latest.model_validate_json(file.read_bytes()).version
    except ValidationError as error:
        raise InvalidInputError(
            "InvalidModel", f"{file}: does not name a version: {error.errors()[0]['msg']}; fine-tune again"
        ) from error
