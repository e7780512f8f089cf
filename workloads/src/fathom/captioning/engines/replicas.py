"""How often a model is opened; told without opening it."""

from __future__ import annotations

from typing import Final

from fathom import cpus, memory
from fathom.captioning.models.identity import Checkpoint
from fathom_api.captioning import CaptionModel

#: Bytes of weights up to which threads gain less than processes: about what lies in a CPU's caches.
_SMALL: Final = 256 * 2**20
#: Bytes that a replica may need, and the share of the free memory that all of them may.
_EACH: Final = 2**30
_SHARE: Final = 0.5


def count(model: CaptionModel, found: Checkpoint) -> int:
    """Return in how many processes to open `found` on CPUs: 1, or for a small model one on each CPU."""
    weights = sum(file.stat().st_size for file in found.path.glob("*.safetensors"))
    if weights > _SMALL or model.compile or model.spread:
        return 1
    return max(1, min(cpus.available(), int(_SHARE * memory.available()) // _EACH))
