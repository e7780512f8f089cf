"""How the end-to-end tests count who answered: against answers whose number is known."""

from __future__ import annotations

import pytest
from e2e.traffic import MOVING, Answer, Share, last_of, shares, spans
from e2e.witness import State, knative_weights, stables


def answered(version: str, *times: float, code: int = 200) -> list[Answer]:
    return [Answer(at, at + 0.1, code, version) for at in times]


def test_spans_are_between_changes_and_not_while_it_moves() -> None:
    changes = [(0.0, 10), (5.0, 10), (20.0, MOVING), (22.0, 50), (40.0, 0)]
    assert [(s.start, s.end, s.weight) for s in spans(changes, 60.0)] == [
        (0.0, 20.0, 10),
        (22.0, 40.0, 50),
        (40.0, 60.0, 0),
    ]


def test_answers_count_once_the_weight_has_settled_and_until_it_changes() -> None:
    during = spans([(0.0, 10), (30.0, 50)], 60.0)
    answers = [
        *answered("new", 1.0, 4.9, 5.0, 20.0, 29.95, 36.0, 59.95),
        *answered("old", 6.0, 7.0, 40.0),
        *answered("new", 8.0, code=503),
    ]
    assert shares(answers, during, "new") == [Share(10, 2, 4), Share(50, 1, 2)]


def test_spans_of_one_weight_count_together() -> None:
    during = spans([(0.0, 10), (20.0, 0), (40.0, 10)], 60.0)
    answers = answered("new", 10.0, 50.0) + answered("old", 11.0, 30.0)
    assert shares(answers, during, "new") == [Share(0, 0, 1), Share(10, 2, 3)]


@pytest.mark.parametrize(
    ("candidate", "fits"),
    [
        pytest.param(100, True, id="as many as there should be"),
        pytest.param(76, True, id="few, as happens once in a hundred"),
        pytest.param(70, False, id="too few"),
        pytest.param(130, False, id="too many"),
    ],
)
def test_a_share_fits_within_the_binomial_interval(candidate: int, fits: bool) -> None:
    assert Share(10, candidate, 1000).fits() is fits


def test_no_request_may_reach_what_has_no_weight() -> None:
    assert Share(0, 0, 500).fits()
    assert not Share(0, 1, 500).fits()


def test_the_last_request_that_a_version_answered() -> None:
    assert last_of(answered("new", 3.0, 9.0, 4.0) + answered("old", 12.0), "new") == 9.0
    assert last_of([], "new") is None


def test_stable_versions_in_order_with_the_gap_between_them() -> None:
    names = ["v1", "v1", None, "v2"]
    states = [State(0.0, {"status": {"stable": {"name": name} if name else None}}) for name in names]
    assert stables(states) == ["v1", None, "v2"]


def service(run: str, asked: int | None, latest: int, ready: str = "new-2") -> State:
    predictor = {"labels": {"fathom.dev/run": run}}
    if asked is not None:
        predictor |= {"canaryTrafficPercent": asked}  # type: ignore[dict-item]
    traffic = [{"percent": latest, "revisionName": ready}, {"percent": 100 - latest, "revisionName": "old-1"}]
    status = {"latestCreatedRevision": "new-2", "traffic": traffic}
    return State(
        1.0,
        {
            "spec": {"predictor": predictor},
            "status": {"components": {"predictor": status}},
        },
    )


@pytest.mark.parametrize(
    ("state", "weight"),
    [
        pytest.param(service("old", None, 100), 0, id="the template is stable's"),
        pytest.param(service("new", 10, 100), MOVING, id="asked for, and not so yet"),
        pytest.param(service("new", 10, 10, "old-1"), MOVING, id="it is not ready, and the old one has all"),
        pytest.param(service("new", 10, 10), 10, id="as asked for"),
        pytest.param(service("new", None, 100), 100, id="all of it"),
        pytest.param(service("new", 50, 10), MOVING, id="the next step, not there yet"),
    ],
)
def test_the_weight_that_knative_has_given(state: State, weight: int) -> None:
    assert knative_weights([state], "new") == [(1.0, weight)]
