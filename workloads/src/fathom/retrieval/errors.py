"""Errors of galleries and of searching them."""

from __future__ import annotations

from fathom.errors import InvalidInputError


class MixedModelsError(InvalidInputError):
    """Vectors of one model were about to be compared with another's, which fails silently."""

    def __init__(self, message: str) -> None:
        """Take a `message` that names both models and what to do."""
        super().__init__("MixedModels", message)
