"""What a planner says, checked: only the verbatim name of another cluster gets any further."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from fathom.serendipity import naming
from fathom.serendipity.clusters import Clusters

Reason = Literal["Malformed", "TooLong", "NotAName", "SelfRepeat", "Unsafe"]
#: No name is longer; an answer that is will not be read to its end.
LONGEST: Final = 512
#: Of a rejected answer, so much is kept for people to see.
SHOWN: Final = 200


@dataclass(frozen=True)
class Answer:
    """One thing a planner said: the text after its reasoning, and how likely it was, 0 to 1."""

    text: str
    score: float = 1.0


@dataclass(frozen=True)
class Accepted:
    """The id of the cluster that was named."""

    target: int


@dataclass(frozen=True)
class Rejected:
    """Why an answer is not used, and what of it people may see: printable, cut."""

    reason: Reason
    shown: str


class Checker:
    """Checks answers against the names of `clusters` and a list of names or words nobody is led to."""

    def __init__(self, clusters: Clusters, banned: Iterable[str] = ()) -> None:
        self._ids = clusters.by_name
        words = tuple(banned)
        self._banned = {cluster for name, cluster in self._ids.items() if naming.listed(name, words)}

    def check(self, text: str, first: int, second: int) -> Accepted | Rejected:
        """Return what `text` means as an answer about the clusters with the ids `first` and `second`.

        Whitespace at its ends aside, nothing is repaired: an answer that is nearly a name is no name.
        """
        if len(text) > LONGEST:
            return Rejected("TooLong", printable(text))
        said = text.strip()
        if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"} for c in said):
            return Rejected("Malformed", printable(text))
        target = self._ids.get(said)
        if target is None:
            return Rejected("NotAName", printable(text))
        if target in {first, second}:
            return Rejected("SelfRepeat", printable(text))
        if target in self._banned:
            return Rejected("Unsafe", printable(text))
        return Accepted(target)


def printable(text: str) -> str:
    """Return the beginning of `text` with all that does not print replaced, to be stored and shown."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:SHOWN])
