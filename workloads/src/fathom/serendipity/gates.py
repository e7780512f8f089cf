"""Gates: may a planned table be served? Each is a pure function of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fathom.serendipity import naming
from fathom_api.interests import Gates
from fathom_api.progress import Verdict

#: Least share of planned targets that are none of their pair; the rest would lead back.
_MIN_NOVELTY: Final = 1.0
#: Of a verdict's message, which holds names of clusters.
_LONGEST: Final = 512


@dataclass(frozen=True)
class Measured:
    """What a table and its making were measured to be; None where it was not measured.

    Attributes:
        exact_match: share of answers without constraint that are names.
        recall: share of later transitions whose target the table names for their pair.
        novelty: share of the table's targets that are none of their pair.
        self_repeat: share of answers without constraint that are a cluster of their pair.
        coverage: share of clusters that are a target of some pair.
        pairs: share of all ordered pairs of different clusters that lead somewhere.
        churn: change against the table that is served; None if none is.
        targets: names of all targets in the table.
    """

    exact_match: float | None
    recall: float | None
    novelty: float
    self_repeat: float | None
    coverage: float
    pairs: float
    churn: float | None = None
    targets: tuple[str, ...] = ()


Said = Literal["Pass", "Fail", "Halt"]
Gate = Callable[[Gates, Measured], Verdict | None]


def exact_match(asked: Gates, measured: Measured) -> Verdict | None:
    """Halt a planner that does not answer in names."""
    return _least(
        "ExactMatch",
        measured.exact_match,
        asked.min_exact_match,
        "of answers without constraint are names of clusters",
        "train the planner longer, or on more transitions",
        otherwise="Halt",
    )


def recall(asked: Gates, measured: Measured) -> Verdict | None:
    """Fail a table that does not name where users went."""
    return _least(
        "Recall",
        measured.recall,
        asked.min_recall,
        "of users' later moves are in the table",
        "give the planner more interactions, or ask for fewer clusters",
    )


def novelty(_asked: Gates, measured: Measured) -> Verdict | None:
    """Fail a table that leads back."""
    return _least(
        "Novelty",
        measured.novelty,
        _MIN_NOVELTY,
        "of targets differ from their pair",
        "plan again: the answers were not checked",
    )


def self_repeat(asked: Gates, measured: Measured) -> Verdict | None:
    """Fail a planner that says what it was told."""
    return _most(
        "SelfRepeat",
        measured.self_repeat,
        asked.max_self_repeat,
        "of answers without constraint repeat a cluster of their pair",
        "train the planner longer; the prompt must ask for an interest different from both",
    )


def coverage(asked: Gates, measured: Measured) -> Verdict | None:
    """Fail a table that leads everybody to the same few interests."""
    return _least(
        "Coverage",
        measured.coverage,
        asked.min_coverage,
        "of clusters are led to",
        "balance the transitions more (fewer per target), or take more samples",
    )


def pairs(asked: Gates, measured: Measured) -> Verdict | None:
    """Fail a table with holes."""
    return _least(
        "Pairs",
        measured.pairs,
        asked.min_pairs,
        "of pairs lead somewhere",
        "see the rejected outputs for why the others do not",
    )


def churn(asked: Gates, measured: Measured) -> Verdict | None:
    """Fail a table that would change more at once than was allowed; the first table changes nothing."""
    if measured.churn is None or asked.max_churn is None:
        return None
    return _most(
        "Churn",
        measured.churn,
        asked.max_churn,
        "of first targets differ from the table that is served",
        "raise the limit if the change is meant",
    )


def safety(asked: Gates, measured: Measured) -> Verdict | None:
    """Fail a table with a target whose name, or words of it, are on the list."""
    if not asked.banned:
        return None
    found = [name for name in measured.targets if naming.listed(name, asked.banned)]
    if not found:
        return _verdict("Safety", "Pass", 0, 0, "no target is on the safety list")
    message = f"{len(found)} targets are on the safety list, {found[0]!r} first: exclude those clusters"
    return _verdict("Safety", "Fail", len(found), 0, message)


GATES: Final[tuple[Gate, ...]] = (
    exact_match,
    recall,
    novelty,
    self_repeat,
    coverage,
    pairs,
    churn,
    safety,
)


def judge(asked: Gates, measured: Measured) -> list[Verdict]:
    """Return what each gate that was asked for says."""
    return [verdict for gate in GATES if (verdict := gate(asked, measured)) is not None]


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Return whether the table may be served."""
    return all(verdict.verdict == "Pass" for verdict in verdicts)


def _least(  # noqa: PLR0917 (a sentence's parts)
    gate: str, value: float | None, bound: float, what: str, fix: str, otherwise: Said = "Fail"
) -> Verdict:
    said: Said = "Fail" if value is None else "Pass" if value >= bound else otherwise
    message = _words(value, what, f"at least {bound:.1%} asked", "" if said == "Pass" else fix)
    return _verdict(gate, said, value, bound, message)


def _most(gate: str, value: float | None, bound: float, what: str, fix: str) -> Verdict:
    said: Said = "Pass" if value is not None and value <= bound else "Fail"
    message = _words(value, what, f"at most {bound:.1%} allowed", "" if said == "Pass" else fix)
    return _verdict(gate, said, value, bound, message)


def _words(value: float | None, what: str, limit: str, fix: str) -> str:
    measured = "nothing to measure it on" if value is None else f"{value:.1%} {what}"
    return f"{measured}, {limit}" + (f"; {fix}" if fix else "")


def _verdict(gate: str, said: Said, value: float | None, bound: float, message: str) -> Verdict:
    return Verdict(gate=gate, value=value, bound=bound, verdict=said, message=message[:_LONGEST])
