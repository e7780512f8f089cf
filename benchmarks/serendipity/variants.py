"""The planners that are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fathom.serendipity.prompts import Style


@dataclass(frozen=True)
class Variant:
    """A planner to compare.

    Attributes:
        name: in the tables of the page.
        style: how it is asked.
        reach: see `transitions.consecutive`.
        named: whether clusters have names made of words; numbers otherwise: nothing to understand.
    """

    name: str
    style: Style
    reach: int = 1
    named: bool = True

    @property
    def file(self) -> str:
        """Its name in paths."""
        return self.name.replace(", ", "-").replace(" ", "-")


_BRIEF: Final = Style(brief=True, keywords=3)
VARIANTS: Final = (
    Variant("planner", replace(_BRIEF, chain_of_thought=False)),
    Variant("planner, chain of thought", _BRIEF),
    Variant(
        "planner, clusters without words", replace(_BRIEF, chain_of_thought=False, keywords=0), named=False
    ),
)
