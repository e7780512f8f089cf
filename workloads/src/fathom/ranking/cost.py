"""What training took, and what was tried: files beside a bundle's weights that need not be there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from fathom.ranking.figures import SEARCH, Cost, SearchResult
from fathom.storage import appearing
from fathom_api.meta import StatusModel

M = TypeVar("M", bound=StatusModel)
_log = logging.getLogger("fathom")

#: Hidden, so that manifests leave it out: the same training takes another time each time.
NAME: Final = ".cost.json"


def write(folder: Path, cost: Cost) -> None:
    """Keep what the training of the bundle in `folder` took."""
    with appearing(folder / NAME) as path:
        path.write_text(cost.model_dump_json(by_alias=True, indent=2))


def read(folder: Path) -> Cost | None:
    """Return what the training of the bundle in `folder` took; None where nobody knows."""
    return _read(folder / NAME, Cost)


def read_search(folder: Path) -> SearchResult | None:
    """Return the search that chose the hyper-parameters of the bundle in `folder`; None without one."""
    return _read(folder / SEARCH, SearchResult)


def _read(path: Path, kind: type[M]) -> M | None:
    try:
        return kind.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError as error:
        _log.warning("%s: cannot be understood, the report goes without: %s", path, error)
        return None
