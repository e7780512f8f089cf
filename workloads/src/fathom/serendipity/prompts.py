"""What a planner is asked about a pair of clusters, and what one that is taught learns to answer.

A chain of thought: what the two show, what connects them, then one interest that is different from both
(arXiv 2506.08283; the words are ours, the paper's are not published).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from fathom.errors import InvalidInputError
from fathom.serendipity.clusters import Cluster

#: What comes before the name in an answer.
MARK: Final = "Interest:"
_ASK: Final = (
    "A user recently enjoyed two interests.\n"
    "A: {first}\n"
    "B: {second}\n"
    "{recent}"
    "{think}Name exactly one interest that is different from A and B, copied verbatim from the catalogue's "
    f"names, on a last line that begins with '{MARK}'."
)
_THINK: Final = "Say what A and B show, then what connects them. "
_RECENT: Final = "Users like this one recently moved on to: {name}\n"


@dataclass(frozen=True)
class Style:
    """How a planner is asked.

    Attributes:
        chain_of_thought: whether it says what it sees and what connects it before it names an interest.
        keywords: words of each cluster that it is told, besides its name.
        summaries: whether it is told what a multimodal model saw in each cluster's media.
        brief: without sentences around it, for a small model of ours that would have to learn them.
    """

    chain_of_thought: bool = True
    keywords: int = 5
    summaries: bool = True
    brief: bool = False

    def __post_init__(self) -> None:
        if self.keywords < 0:
            raise InvalidInputError("BadPrompt", f"keywords must be 0 or more, they are {self.keywords}")

    def identity(self) -> dict[str, Any]:
        """Return what tells this style from others, with the version of the words."""
        return {**asdict(self), "words": _ASK + _THINK + _RECENT, "version": 1}


def question(style: Style, first: Cluster, second: Cluster, recent: str | None = None) -> str:
    """Return what is asked about a pair; `recent` is the name of where users of the pair went lately."""
    told = _described(style, first), _described(style, second)
    if style.brief:
        return f"A: {told[0]}\nB: {told[1]}\n" + (f"Recently: {recent}\n" if recent else "")
    return _ASK.format(
        first=told[0],
        second=told[1],
        recent=_RECENT.format(name=recent) if recent else "",
        think=_THINK if style.chain_of_thought else "",
    )


def reasoning(style: Style, first: Cluster, second: Cluster) -> str:
    """Return the thought that a taught planner learns to write before `MARK`; empty without chain of thought.

    It is made of what sets the clusters apart, so it says nothing about the answer: at inference the same
    thought is open to the model.
    """
    if not style.chain_of_thought:
        return ""
    a, b = first.keywords[: style.keywords], second.keywords[: style.keywords]
    shared = [word for word in a if word in b]
    between = f"Both show {_listed(shared)}." if shared else "They share no word."
    return f"A shows {_listed(a)}. B shows {_listed(b)}. {between}\n"


def _described(style: Style, cluster: Cluster) -> str:
    words = cluster.keywords[: style.keywords]
    parts = [cluster.name]
    if words:
        parts.append(f"({', '.join(words)})")
    if style.summaries and cluster.summary:
        parts.append(f"- {' '.join(cluster.summary.split())}")
    return " ".join(parts)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) if words else "nothing named"
