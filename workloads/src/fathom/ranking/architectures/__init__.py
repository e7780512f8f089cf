"""What comes after the embeddings, by the name that `spec.model.architecture` says."""

from __future__ import annotations

from typing import Final

from fathom.ranking.architectures.base import Architecture, Layout
from fathom.ranking.architectures.dcnv2 import DCNv2
from fathom.ranking.architectures.deepfm import DeepFM
from fathom.ranking.architectures.din import DIN
from fathom.ranking.architectures.dlrm import DLRM
from fathom.ranking.architectures.finalmlp import FinalMLP
from fathom.ranking.architectures.two_tower import TwoTower
from fathom_api.learning import ArchitectureName, RankerModel

__all__ = ["ARCHITECTURES", "Architecture", "Layout", "make"]

ARCHITECTURES: Final[dict[ArchitectureName, type[Architecture]]] = {
    "DCNv2": DCNv2,
    "DLRM": DLRM,
    "DeepFM": DeepFM,
    "FinalMLP": FinalMLP,
    "DIN": DIN,
    "TwoTower": TwoTower,
}


def make(layout: Layout, config: RankerModel) -> Architecture:
    """Return the architecture that `config` names, for vectors as `layout` says."""
    return ARCHITECTURES[config.architecture](layout, config)
