"""What is wrong with a request."""

from __future__ import annotations


class BadRequestError(Exception):
    """The request cannot be answered as it is; nothing is wrong with the server."""

    def __init__(self, field: str, reason: str, message: str) -> None:
        """Take the `field` at fault (`instances[0].k`), a CamelCase `reason` and a `message` with the fix."""
        super().__init__(f"{field}: {message}")
        self.field = field
        self.reason = reason
