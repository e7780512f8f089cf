"""Fast hashes of many strings at once, for finding what is the same; never for what must not be forged.

The seed is drawn anew for each use, so that nobody can prepare ids that collide. What a match decides is
checked against the strings themselves, or against a second hash.
"""

from __future__ import annotations

import secrets
from itertools import repeat
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
import xxhash
from numpy.typing import NDArray

pc: Any = pyarrow.compute
Hashes: TypeAlias = NDArray[np.uint64]


def new_seed() -> int:
    """Return a seed that nobody can guess."""
    return secrets.randbits(64)


def hashes(texts: pa.Array, seed: int) -> Hashes:
    """Return a 64-bit hash of each of `texts` (strings without nulls) [n]."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, _bytes(texts), repeat(seed)), np.uint64, len(texts))


def identities(rows: pa.RecordBatch, seed: int) -> Hashes:
    """Return a 128-bit hash of each row's item, aspect and key, as two numbers [n, 2]."""
    joined = pc.binary_join_element_wise(rows["item_id"], rows["aspect"], rows["key"], "\0")
    data = b"".join(map(xxhash.xxh3_128_digest, _bytes(joined), repeat(seed)))
    return np.frombuffer(data, ">u8").reshape(-1, 2).astype(np.uint64)


def identity(item_id: str, aspect: str, key: str, seed: int) -> tuple[int, int]:
    """Return what `identities` returns for one row."""
    digest = xxhash.xxh3_128_digest(f"{item_id}\0{aspect}\0{key}".encode(), seed)
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:])


def _bytes(texts: pa.Array) -> list[bytes]:
    return texts.cast(pa.binary()).to_pylist()
