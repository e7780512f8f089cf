from pathlib import Path

import numpy as np
import pytest
from builders.trees import ScriptedPlanner, journeys_of, onward, tree

from fathom.serendipity import bulk, gates, measuring, transitions
from fathom.serendipity.answers import Answer
from fathom_api.interests import Gates

CLUSTERS = tree()


def test_the_free_match_rate_is_the_share_of_answers_that_are_names():
    planner = ScriptedPlanner(lambda pair: [Answer("space opera"), Answer("spaceopera")])
    assert measuring.free_match(planner, CLUSTERS, [(2, 3), (3, 4)]) == 0.5
    assert measuring.free_match(ScriptedPlanner(lambda pair: []), CLUSTERS, [(2, 3)]) is None


def test_a_planner_that_answers_in_names_passes_the_gates_end_to_end(tmp_path: Path):
    planner = ScriptedPlanner(onward(CLUSTERS))
    bulk.run(tmp_path, planner, CLUSTERS)
    planned = bulk.collect(tmp_path, planner, CLUSTERS)
    made = planned.table(CLUSTERS)
    found = transitions.journeys(journeys_of(CLUSTERS, [0, 1, 2, 3], [0, 1, 5]), CLUSTERS)
    later = transitions.consecutive(found)
    measured = measuring.measure(made, planned, later, exact_match=1.0, before=made)
    assert measured.recall == pytest.approx(2 / 3)
    assert (measured.novelty, measured.pairs, measured.coverage, measured.churn) == (1.0, 1.0, 1.0, 0.0)
    assert gates.passed(gates.judge(Gates(), measured))


def test_self_repeats_are_counted_among_all_answers(tmp_path: Path):
    names = {c.id: c.name for c in CLUSTERS.finest}
    planner = ScriptedPlanner(lambda pair: [*onward(CLUSTERS)(pair), Answer(names[pair[0]])])
    bulk.run(tmp_path, planner, CLUSTERS)
    planned = bulk.collect(tmp_path, planner, CLUSTERS)
    none = transitions.consecutive(transitions.journeys(journeys_of(CLUSTERS, [0, 1]), CLUSTERS))
    measured = measuring.measure(planned.table(CLUSTERS), planned, none, exact_match=None)
    assert measured.self_repeat == 0.5
    assert measured.recall is None
    verdicts = {v.gate: v.verdict for v in gates.judge(Gates(), measured)}
    assert verdicts["SelfRepeat"] == verdicts["Recall"] == "Fail"


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
