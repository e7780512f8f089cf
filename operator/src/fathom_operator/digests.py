"""Names by content: eight hex digits of what something is made from."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def full(content: Any) -> str:
    """Return `sha256:` and the digest of `content`, any JSON document, whatever the order of keys."""
    return f"sha256:{hashlib.sha256(_canonical(content)).hexdigest()}"


def short(content: Any) -> str:
    """Return the first eight hex digits of the digest of `content`."""
    return hashlib.sha256(_canonical(content)).hexdigest()[:8]


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
