from dataclasses import replace

import pytest

from fathom.serendipity import gates
from fathom.serendipity.gates import Measured
from fathom_api.interests import Gates

GOOD = Measured(
    exact_match=0.98,
    recall=0.2,
    novelty=1.0,
    self_repeat=0.01,
    coverage=0.8,
    pairs=1.0,
    churn=0.1,
    targets=("crime drama", "space opera"),
)


def outcomes(asked: Gates, measured: Measured) -> dict[str, str]:
    return {verdict.gate: verdict.verdict for verdict in gates.judge(asked, measured)}


def test_a_good_table_passes_every_gate_that_was_asked_for():
    found = gates.judge(Gates(max_churn=0.5, banned=["gore"]), GOOD)
    assert gates.passed(found)
    assert {v.gate for v in found} == {
        "ExactMatch", "Recall", "Novelty", "SelfRepeat", "Coverage", "Pairs", "Churn", "Safety",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "gate", "outcome", "says"),
    [
        ({"exact_match": 0.89}, "ExactMatch", "Halt", "train the planner longer"),
        ({"exact_match": None}, "ExactMatch", "Fail", "nothing to measure it on"),
        ({"recall": 0.01}, "Recall", "Fail", "fewer clusters"),
        ({"recall": None}, "Recall", "Fail", "nothing to measure it on"),
        ({"novelty": 0.999}, "Novelty", "Fail", "not checked"),
        ({"self_repeat": 0.2}, "SelfRepeat", "Fail", "at most 10.0% allowed"),
        ({"self_repeat": None}, "SelfRepeat", "Fail", "nothing to measure it on"),
        ({"coverage": 0.1}, "Coverage", "Fail", "fewer per target"),
        ({"pairs": 0.5}, "Pairs", "Fail", "rejected outputs"),
        ({"churn": 0.9}, "Churn", "Fail", "raise the limit"),
        ({"targets": ("Gore and blood",)}, "Safety", "Fail", "'Gore and blood'"),
    ],
)
def test_one_thing_wrong_fails_one_gate_and_the_message_says_what_to_do(
    wrong: dict[str, object], gate: str, outcome: str, says: str
):
    asked = Gates(max_churn=0.5, banned=["gore"])
    found = gates.judge(asked, replace(GOOD, **wrong))
    assert [(v.gate, v.verdict) for v in found if v.verdict != "Pass"] == [(gate, outcome)]
    assert says in next(v.message for v in found if v.gate == gate)
    assert not gates.passed(found)


@pytest.mark.parametrize(("value", "outcome"), [(0.9, "Pass"), (0.8999, "Halt")])
def test_the_limit_itself_passes(value: float, outcome: str):
    assert outcomes(Gates(), replace(GOOD, exact_match=value))["ExactMatch"] == outcome


def test_a_gate_without_a_limit_is_not_asked():
    assert "Churn" not in outcomes(Gates(max_churn=None), replace(GOOD, churn=1.0))


def test_a_first_table_has_no_churn():
    assert "Churn" not in outcomes(Gates(max_churn=0.0), replace(GOOD, churn=None))


@pytest.mark.parametrize(("word", "outcome"), [("war", "Pass"), ("crime", "Fail"), ("Crime  Drama", "Fail")])
def test_the_safety_list_means_whole_words(word: str, outcome: str):
    measured = replace(GOOD, targets=("crime drama", "warm kitchens"))
    assert outcomes(Gates(banned=[word]), measured)["Safety"] == outcome
