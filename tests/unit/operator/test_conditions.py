"""Conditions keep the time of their last change, and tools that know kstatus understand them."""

from __future__ import annotations

import pytest
from builders.seen import NOW, later

from fathom_api import Condition
from fathom_operator.conditions import Claim, State, merge, summary
from fathom_operator.notes import changed

START = "2026-01-31T12:00:00Z"


def conditions(
    state: State, reason: str, message: str = "", before: list[Condition] | None = None
) -> list[Condition]:
    return merge(before or [], summary(state, reason, message), 3, later(hours=1) if before else NOW)


@pytest.mark.parametrize(
    ("state", "truths"),
    [
        pytest.param("Ready", ["True", "False", "False"], id="done: Ready"),
        pytest.param("Reconciling", ["False", "True", "False"], id="on its way: Reconciling"),
        pytest.param("Stalled", ["False", "False", "True"], id="needs help: Stalled"),
    ],
)
def test_exactly_one_of_three_holds(state: State, truths: list[str]) -> None:
    out = conditions(state, "Because")
    assert [(c.type, c.status) for c in out] == list(
        zip(["Ready", "Reconciling", "Stalled"], truths, strict=True)
    )
    assert {c.observed_generation for c in out} == {3}


def test_a_new_message_does_not_change_the_time() -> None:
    before = conditions("Reconciling", "Captioning", "1 of 9")
    [ready, *_] = conditions("Reconciling", "Captioning", "2 of 9", before)
    assert (ready.message, ready.last_transition_time) == ("2 of 9", START)


def test_a_new_truth_does() -> None:
    before = conditions("Reconciling", "Captioning")
    ready, _, stalled = conditions("Ready", "Complete", "", before)
    assert ready.last_transition_time == "2026-01-31T13:00:00Z"
    assert stalled.last_transition_time == START


def test_a_message_longer_than_the_api_allows_is_cut() -> None:
    [only] = merge([], [Claim("Ready", "False", "X", "x" * 9000)], 1, NOW)
    assert (len(only.message), only.message[-1]) == (4096, "…")


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        pytest.param(
            None, ("Reconciling", "Captioning"), [("Normal", "Captioning")], id="the first reason is told"
        ),
        pytest.param(
            ("Reconciling", "Captioning"), ("Reconciling", "Captioning"), [], id="the same is not told again"
        ),
        pytest.param(
            ("Reconciling", "Captioning"),
            ("Stalled", "JobFailed"),
            [("Warning", "JobFailed")],
            id="trouble is a warning",
        ),
        pytest.param(
            ("Stalled", "MissingClaim"),
            ("Ready", "Complete"),
            [("Normal", "Complete")],
            id="a happy end is told",
        ),
    ],
)
def test_events(
    before: tuple[State, str] | None, after: tuple[State, str], events: list[tuple[str, str]]
) -> None:
    old = conditions(*before) if before else []
    assert [(note.type, note.reason) for note in changed(old, conditions(*after))] == events
