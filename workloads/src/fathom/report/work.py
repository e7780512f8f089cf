"""What the run did, by its plan and the seals of its shards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from fathom.captioning.store import plan
from fathom.captioning.store.views import sealed
from fathom.storage import Location

_THREADS: Final = 16


@dataclass(frozen=True)
class Work:
    """Rows of the source, and items that were captioned before this run."""

    total: int
    reused: int


def read(root: Location) -> Work | None:
    """Return what the current plan below `root` and its finished shards say; None where there is no plan."""
    planned = plan.read(root)
    if planned is None:
        return None

    def reused(shard: int) -> int:
        view = sealed(root, planned.name, shard)
        return view.manifest.counts.get("reused", 0) if view else 0

    with ThreadPoolExecutor(_THREADS) as pool:
        return Work(planned.total, sum(pool.map(reused, range(planned.deal.shards))))
