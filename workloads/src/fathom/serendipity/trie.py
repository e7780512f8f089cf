"""A trie of token sequences: which token may come next, so that a model can say names and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from fathom.errors import InvalidInputError

_Node: TypeAlias = dict[int, Any]


class Trie:
    """Sequences of token ids, each ended by `end`."""

    def __init__(self, sequences: Sequence[Sequence[int]], end: int) -> None:
        """Take the sequences.

        Raises:
            InvalidInputError: two are the same, one is empty or holds `end`: an answer would mean two things.
        """
        self.end = end
        self.longest = max((len(s) for s in sequences), default=0) + 1
        self._root: _Node = {}
        seen: dict[tuple[int, ...], int] = {}
        for place, sequence in enumerate(sequences):
            tokens = tuple(sequence)
            if not tokens or end in tokens:
                raise InvalidInputError(
                    "BadName",
                    f"name {place} has no tokens, or the one that ends an answer; give it another name",
                )
            if tokens in seen:
                raise InvalidInputError(
                    "SameTokens",
                    f"names {seen[tokens]} and {place} are the same to the planner's tokenizer; rename one",
                )
            seen[tokens] = place
            node = self._root
            for token in tokens:
                node = node.setdefault(token, {})
            node[end] = {}

    def next(self, prefix: Sequence[int]) -> list[int]:
        """Return the tokens that may follow `prefix`, `end` where a name is complete and after it."""
        node = self._root
        for token in prefix:
            if token == self.end:
                return [self.end]
            found = node.get(token)
            if found is None:
                return [self.end]  # A beam that is dead already: it must end somehow, and scores -inf.
            node = found
        return list(node) or [self.end]
