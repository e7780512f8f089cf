"""Manifests: nothing is done until its `_manifest.json` has been renamed into place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pydantic import Field, ValidationError

from fathom.errors import InvalidInputError
from fathom.storage import Location, appearing, digest_files, files
from fathom_api.meta import StatusModel

NAME: Final = "_manifest.json"


class Manifest(StatusModel):
    """What a folder holds, its digest, and what it was made from."""

    kind: str = Field(description="What this is: Captions, Features, Model, Bundle.")
    digest: str = Field(description="`sha256:` over the files' names and contents.")
    files: list[str] = Field(description="Files, relative to the folder.")
    counts: dict[str, int] = Field(default_factory=dict, description="Rows and the like.")
    made_from: dict[str, str] = Field(
        default_factory=dict, description="Digests and parameters of the inputs."
    )


def write(
    folder: Location,
    kind: str,
    *,
    counts: dict[str, int],
    made_from: dict[str, str],
    only: Collection[str] | None = None,
) -> Manifest:
    """Seal `folder`: digest its files (hidden ones aside) and put the manifest in place, last of all.

    Where others may be writing into the same folder, `only` names the files that are ours.
    """
    found = [e for e in files(folder) if e.path.name != NAME and (only is None or e.name in only)]
    manifest = Manifest(
        kind=kind,
        digest=digest_files(folder, (entry.path for entry in found)),
        files=sorted(entry.name for entry in found),
        counts=counts,
        made_from=made_from,
    )
    with appearing(folder / NAME) as path:
        path.write_text(manifest.model_dump_json(by_alias=True, indent=2))
    return manifest


def read(folder: Location) -> Manifest | None:
    """Return the manifest of `folder`, or None where it is not finished.

    Raises:
        InvalidInputError: the manifest cannot be understood.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInputError("InvalidManifest", f"{path}: not a manifest of Fathom's: {error}") from error


def verify(folder: Location) -> Manifest:
    """Return the manifest of `folder` after checking every file against its digest.

    Raises:
        InvalidInputError: the folder is unfinished, or its content has changed.
    """
    manifest = read(folder)
    if manifest is None:
        raise InvalidInputError("Unfinished", f"{folder}: no {NAME}, it was never finished; make it again")
    missing = [f for f in manifest.files if not (folder / f).is_file()]
    if missing:
        raise InvalidInputError("Damaged", f"{folder}: {missing[0]} is missing; make it again")
    if digest_files(folder, (folder / f for f in manifest.files)) != manifest.digest:
        raise InvalidInputError("Damaged", f"{folder}: content differs from its manifest; make it again")
    return manifest


def unchanged(folder: Location, made_from: dict[str, str]) -> Manifest | None:
    """Return the manifest of `folder` if it was made from the same and is whole."""
    try:
        if (found := read(folder)) is not None and found.made_from == made_from:
            return verify(folder)
    except InvalidInputError:
        return None  # Damaged: it is made again, which is what its error would ask for.
    return None
