"""`fathom`, as it is in the captioner's image: without pandas, which pyarrow imports wherever it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(name=fullname)


if __name__ == "__main__":
    sys.meta_path.insert(0, _NoPandas())
    from fathom.cli import app

    app()
