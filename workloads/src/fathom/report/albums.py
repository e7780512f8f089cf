"""The pictures of a report, where they can be had."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fathom.errors import InvalidInputError
from fathom_api.tasks import AnySource

if TYPE_CHECKING:
    # What decodes media is not in every image.
    from fathom.report.pictures import Album

_log = logging.getLogger("fathom")


def album_of(source: AnySource | None) -> Album | None:
    """Return the pictures of the items of `source`; a report without them is better than none."""
    if source is None:
        return None
    try:
        from fathom.report import pictures

        return pictures.open_album(source)
    except (ImportError, InvalidInputError, OSError) as error:
        _log.warning("the report has no pictures: %s", error)
        return None
