"""The plain model in LitServe, which starts workers that must find its class by name.

LitServe makes its endpoint of the annotation of `decode_request`: it must be a type, not its name.
"""

from pathlib import Path
from typing import Any

import litserve as ls

from benchmarks.serving_peers import Plain


class Api(ls.LitAPI):
    """Scores `items` for `user`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def setup(self, device: str) -> None:
        """Open the model, in the worker."""
        self.plain = Plain(self._folder)

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Return user and items."""
        return request["user"], request["items"]

    def predict(self, x: Any) -> Any:
        """Return the scores."""
        return self.plain.score(*x)

    def encode_response(self, output: Any) -> Any:
        """Return the body."""
        return {"scores": output.tolist()}
