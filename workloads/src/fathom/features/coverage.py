"""How well the tokens cover the items: `coverage.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import Field

from fathom.features.encoding import Encoded
from fathom.features.grams import Found
from fathom.features.vocabulary import Vocabulary
from fathom_api.meta import StatusModel

NAME: Final = "coverage.json"
_TOP: Final = 50


class TopToken(StatusModel):
    """A frequent token."""

    id: int = Field(description="Its id.")
    token: str = Field(description="What it stands for.")
    count: int = Field(description="Captions it occurs in.")


class Coverage(StatusModel):
    """How well the tokens of one aspect cover the items."""

    tokenizer: dict[str, str] = Field(description="The strategy, and all that decides what it makes.")
    vocabulary: str = Field(description="The vocabulary's id; while it stays, ids keep their meaning.")
    vocabulary_version: int = Field(description="From 1; one more whenever tokens were added.")
    vocabulary_size: int = Field(description="Ids there may be, those that are no token included.")
    tokens_in_use: int = Field(description="Tokens that occur in a caption.")
    items: int = Field(description="Items with a caption.")
    items_with_tokens: int = Field(description="Items with at least one token.")
    coverage: float = Field(description="Share of the items with at least one token.")
    tokens_per_item: float = Field(description="Mean number of tokens of an item.")
    unknown_share: float = Field(description="Share of the n-grams in captions that have no id.")
    top_tokens: list[TopToken] = Field(description="The most frequent.")


@dataclass
class Tally:
    """Counts while items are encoded."""

    items: int = 0
    covered: int = 0
    tokens: int = 0
    occurrences: int = 0
    unknown: int = 0

    def add(self, found: Found, encoded: Encoded) -> None:
        """Count some items: what was found in their captions, and the tokens that made."""
        items = len(encoded.offsets) - 1
        self.items += items
        self.covered += encoded.known
        self.tokens += len(encoded.ids) - encoded.unknown
        self.occurrences += found.occurrences
        self.unknown += found.unknown

    def coverage(self, identity: dict[str, str], vocabulary: Vocabulary) -> Coverage:
        """Return the report."""
        top = np.lexsort((vocabulary.ids, -vocabulary.counts))[:_TOP].tolist()
        return Coverage(
            tokenizer=identity,
            vocabulary=vocabulary.id,
            vocabulary_version=vocabulary.version,
            vocabulary_size=vocabulary.size,
            tokens_in_use=int((vocabulary.counts > 0).sum()),
            items=self.items,
            items_with_tokens=self.covered,
            coverage=self.covered / max(self.items, 1),
            tokens_per_item=self.tokens / max(self.items, 1),
            unknown_share=self.unknown / max(self.occurrences, 1),
            top_tokens=[
                TopToken(
                    id=int(vocabulary.ids[at]), token=vocabulary.tokens[at], count=int(vocabulary.counts[at])
                )
                for at in top
                if vocabulary.counts[at]
            ],
        )
