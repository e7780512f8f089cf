"""What decisions know of the installation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fathom_operator.prices import Prices


@dataclass(frozen=True)
class Platform:
    """Default images and where pods post their progress."""

    captioner_image: str
    trainer_image: str
    ranker_image: str
    retriever_image: str
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    progress_url: str | None = None
    #: CA certificate (PEM) of the progress server.
    progress_ca: str = ""
    prices: Prices = field(default_factory=Prices)
