"""PersistentVolumeClaims named by `pvc://claim/path`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

#: Where pods find their claims.
ROOT: Final = "/volumes"
#: How often a missing claim is looked for again, in seconds.
LOOK_FOR_CLAIM: Final = 10.0
_SCHEME: Final = "pvc://"


def claim_of(uri: str) -> str | None:
    """Return the claim that `uri` names, None if it names none."""
    return uri.removeprefix(_SCHEME).partition("/")[0] if uri.startswith(_SCHEME) else None


def mounted(uri: str) -> str:
    """Return where a pod finds `uri`, a `pvc://` URI."""
    return f"{ROOT}/{uri.removeprefix(_SCHEME).rstrip('/')}"


def claims_in(document: Any) -> frozenset[str]:
    """Return the claims that any string in `document` names."""
    return frozenset(claim for text in _strings(document) if (claim := claim_of(text)))


def join(uri: str, *parts: str) -> str:
    """Return the URI of something below `uri`."""
    return "/".join([uri.rstrip("/"), *parts])


def _strings(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from _strings(value)
    elif isinstance(document, list):
        for value in document:
            yield from _strings(value)
