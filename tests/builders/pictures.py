"""Pictures and tables of them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    """Return a picture of one colour."""
    return encoded(Image.new("RGB", size, colour))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return `image` in the file format `kind`."""
    data = BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def parquet(path: Path, **columns: list[Any]) -> str:
    """Write a table and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)
