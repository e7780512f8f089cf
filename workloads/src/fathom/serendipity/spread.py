"""A few of many, evenly apart: what is measured or shown where all would be too much."""

from __future__ import annotations


def spread(count: int, most: int) -> list[int]:
    """Return `most` of `count` places, or all if there are fewer."""
    kept = min(count, most)
    return [n * count // kept for n in range(kept)]
