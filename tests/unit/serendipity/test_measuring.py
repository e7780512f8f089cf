from pathlib import Path

import numpy as np
import pytest
from builders.trees import ScriptedPlanner, journeys_of, onward, tree

from fathom.serendipity import bulk, gates, measuring, transitions
from fathom.serendipity.answers import Answer
from fathom.serendipity.measuring import Freely
from fathom_api.interests import Gates

CLUSTERS = tree()


@pytest.mark.parametrize(
    ("said", "names", "repeats"),
    [
        pytest.param("space opera", 1.0, 0.0, id="the name of another cluster"),
        pytest.param("spaceopera", 0.0, 0.0, id="nearly a name"),
        pytest.param("THE FIRST", 1.0, 1.0, id="a cluster of the pair"),
    ],
)
def test_free_answers_are_names_or_not_and_repeat_the_pair_or_not(said: str, names: float, repeats: float):
    own = {c.id: c.name for c in CLUSTERS.finest}
    planner = ScriptedPlanner(lambda pair: [Answer(own[pair[0]] if said == "THE FIRST" else said)])
    assert measuring.freely(planner, CLUSTERS, [(2, 3), (3, 4)]) == Freely(names, repeats)


def test_of_a_planner_that_says_nothing_nothing_is_known():
    assert measuring.freely(ScriptedPlanner(lambda pair: []), CLUSTERS, [(2, 3)]) is None


def test_a_planner_that_answers_in_names_passes_the_gates_end_to_end(tmp_path: Path):
    planner = ScriptedPlanner(onward(CLUSTERS))
    bulk.run(tmp_path, planner, CLUSTERS)
    planned = bulk.collect(tmp_path, planner, CLUSTERS)
    made = planned.table(CLUSTERS)
    found = transitions.journeys(journeys_of(CLUSTERS, [0, 1, 2, 3], [0, 1, 5]), CLUSTERS)
    later = transitions.consecutive(found)
    measured = measuring.measure(made, later, Freely(1.0, 0.0), before=made)
    assert measured.recall == pytest.approx(2 / 3)
    assert (measured.novelty, measured.pairs, measured.coverage, measured.churn) == (1.0, 1.0, 1.0, 0.0)
    assert gates.passed(gates.judge(Gates(), measured))


def test_names_of_the_pair_that_a_trie_leaves_no_way_around_are_not_held_against_a_planner(tmp_path: Path):
    names = {c.id: c.name for c in CLUSTERS.finest}
    planner = ScriptedPlanner(lambda pair: [*onward(CLUSTERS)(pair), Answer(names[pair[0]])])
    bulk.run(tmp_path, planner, CLUSTERS)
    planned = bulk.collect(tmp_path, planner, CLUSTERS)
    none = transitions.consecutive(transitions.journeys(journeys_of(CLUSTERS, [0, 1]), CLUSTERS))
    measured = measuring.measure(planned.table(CLUSTERS), none, Freely(1.0, 0.0))
    verdicts = {v.gate: v.verdict for v in gates.judge(Gates(), measured)}
    assert planned.rejected == {"SelfRepeat": planned.pairs}
    assert (verdicts["SelfRepeat"], verdicts["Novelty"]) == ("Pass", "Pass")


def test_what_could_not_be_measured_fails():
    none = transitions.consecutive(transitions.journeys(journeys_of(CLUSTERS, [0, 1]), CLUSTERS))
    measured = measuring.measure(bulk_table(), none, None)
    verdicts = {v.gate: v.verdict for v in gates.judge(Gates(), measured)}
    assert verdicts["SelfRepeat"] == verdicts["Recall"] == verdicts["ExactMatch"] == "Fail"


def test_hits_look_at_the_first_targets_only():
    made = bulk_table()
    later = transitions.consecutive(
        transitions.journeys(journeys_of(CLUSTERS, [0, 1, 3], [0, 1, 2]), CLUSTERS)
    )
    assert measuring.hits(made, later, top=1).tolist() == [False, True]
    assert measuring.hits(made, later, top=2).tolist() == [True, True]


def bulk_table():
    from fathom.serendipity import table

    return table.build(CLUSTERS, np.array([0, 0]), np.array([1, 1]), np.array([2, 3]), np.array([0.7, 0.3]))
