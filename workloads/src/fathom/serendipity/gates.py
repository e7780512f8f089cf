"""Gates: may a planned table be served? Each is a pure function of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["Pass", "Fail", "Halt"]


@dataclass(frozen=True)
class Limits:
    """What is asked of a table; a limit that is None is not asked.

    Attributes:
        min_exact_match: least share of answers without constraint that are names, verbatim; below it the
            planning halts: the planner has not learned what it may say.
        min_recall: least recall on later transitions of users.
        min_novelty: least share of planned targets that are none of their pair.
        max_self_repeat: most share of answers that repeat a cluster of their pair.
        min_coverage: least share of clusters that are anybody's target.
        max_churn: most change of the first targets against the table that is served.
        min_pairs: least share of all pairs that lead somewhere.
        banned: names or words of names that nobody is led to.
    """

    min_exact_match: float | None = 0.9
    min_recall: float | None = 0.015
    min_novelty: float | None = 1.0
    max_self_repeat: float | None = 0.1
    min_coverage: float | None = 0.3
    max_churn: float | None = None
    min_pairs: float | None = 0.95
    banned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What a table and its making were measured to be; None where it was not measured.

    Attributes:
        exact_match: share of answers without constraint that are names.
        recall: share of later transitions whose target the table names for their pair.
        novelty: share of the table's targets that are none of their pair.
        self_repeat: share of the planner's answers that repeat a cluster of their pair.
        coverage: share of clusters that are a target of some pair.
        pairs: share of all ordered pairs of different clusters that lead somewhere.
        churn: change against the table that is served; None if none is.
        targets: names of all targets in the table.
    """

    exact_match: float | None
    recall: float | None
    novelty: float
    self_repeat: float
    coverage: float
    pairs: float
    churn: float | None = None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What one gate says.

    Attributes:
        gate: its name, CamelCase.
        outcome: Pass; Fail: this table is not served; Halt: no use in planning further.
        value: what was measured, None if it was not.
        limit: what was asked.
        message: a sentence for people, with what to do where it is not passed.
    """

    gate: str
    outcome: Outcome
    value: float | None
    limit: float | None
    message: str


Gate = Callable[[Limits, Measured], Verdict | None]


def exact_match(limits: Limits, measured: Measured) -> Verdict | None:
    """Halt a planner that does not answer in names."""
    return _least(
        "ExactMatch",
        measured.exact_match,
        limits.min_exact_match,
        "of answers without constraint are names of clusters",
        "train the planner longer, or on more transitions",
        otherwise="Halt",
    )


def recall(limits: Limits, measured: Measured) -> Verdict | None:
    """Fail a table that does not name where users went."""
    return _least(
        "Recall",
        measured.recall,
        limits.min_recall,
        "of users' later moves are in the table",
        "give the planner more interactions, or ask for fewer clusters",
    )


def novelty(limits: Limits, measured: Measured) -> Verdict | None:
    """Fail a table that leads back."""
    return _least(
        "Novelty",
        measured.novelty,
        limits.min_novelty,
        "of targets differ from their pair",
        "plan again: the answers were not checked",
    )


def self_repeat(limits: Limits, measured: Measured) -> Verdict | None:
    """Fail a planner that says what it was told."""
    return _most(
        "SelfRepeat",
        measured.self_repeat,
        limits.max_self_repeat,
        "of answers repeat a cluster of their pair",
        "train the planner longer; the prompt must ask for an interest different from both",
    )


def coverage(limits: Limits, measured: Measured) -> Verdict | None:
    """Fail a table that leads everybody to the same few interests."""
    return _least(
        "Coverage",
        measured.coverage,
        limits.min_coverage,
        "of clusters are led to",
        "balance the transitions more (fewer per target), or take more samples",
    )


def pairs(limits: Limits, measured: Measured) -> Verdict | None:
    """Fail a table with holes."""
    return _least(
        "Pairs",
        measured.pairs,
        limits.min_pairs,
        "of pairs lead somewhere",
        "see the rejected outputs for why the others do not",
    )


def churn(limits: Limits, measured: Measured) -> Verdict | None:
    """Fail a table that would change more at once than was allowed; the first table changes nothing."""
    if measured.churn is None:
        return None
    return _most(
        "Churn",
        measured.churn,
        limits.max_churn,
        "of first targets differ from the table that is served",
        "raise the limit if the change is meant",
    )


def safety(limits: Limits, measured: Measured) -> Verdict | None:
    """Fail a table with a target whose name, or words of it, are on the list."""
    if not limits.banned:
        return None
    listed = [f" {' '.join(word.lower().split())} " for word in limits.banned]
    found = [name for name in measured.targets if any(word in f" {name.lower()} " for word in listed)]
    if not found:
        return Verdict("Safety", "Pass", 0, 0, "no target is on the safety list")
    return Verdict(
        "Safety",
        "Fail",
        len(found),
        0,
        f"{len(found)} targets are on the safety list, {found[0]!r} first: exclude those clusters",
    )


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


def judge(limits: Limits, measured: Measured) -> list[Verdict]:
    """Return what each gate that was asked for says."""
    return [verdict for gate in GATES if (verdict := gate(limits, measured)) is not None]


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Return whether the table may be served."""
    return all(verdict.outcome == "Pass" for verdict in verdicts)


def _least(  # noqa: PLR0917 (a sentence's parts)
    gate: str, value: float | None, limit: float | None, what: str, fix: str, otherwise: Outcome = "Fail"
) -> Verdict | None:
    if limit is None:
        return None
    if value is None:
        return Verdict(
            gate, "Fail", None, limit, f"nothing to measure it on, at least {limit:.1%} asked; {fix}"
        )
    holds = value >= limit
    message = f"{value:.1%} {what}, at least {limit:.1%} asked" + ("" if holds else f"; {fix}")
    return Verdict(gate, "Pass" if holds else otherwise, value, limit, message)


def _most(gate: str, value: float, limit: float | None, what: str, fix: str) -> Verdict | None:
    if limit is None:
        return None
    holds = value <= limit
    message = f"{value:.1%} {what}, at most {limit:.1%} allowed" + ("" if holds else f"; {fix}")
    return Verdict(gate, "Pass" if holds else "Fail", value, limit, message)
