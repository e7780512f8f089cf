"""Nodes that train together: how they know of each other."""

from __future__ import annotations

import re

import pytest

from fathom.errors import InvalidInputError
from fathom.ranking.nodes import Nodes, nodes

MET = {"PET_NNODES": "3", "PET_RDZV_ENDPOINT": "movies-0.movies:29400"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, Nodes(), id="nobody says anything: this one alone"),
        pytest.param({"JOB_COMPLETION_INDEX": "2"}, Nodes(), id="an index alone is that of something else"),
        pytest.param(
            MET | {"JOB_COMPLETION_INDEX": "2"},
            Nodes(3, 2, "movies-0.movies:29400"),
            id="an Indexed Job's pod",
        ),
        pytest.param(
            {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "a.b", "PET_MASTER_PORT": "29500"},
            Nodes(2, 1, "a.b:29500"),
            id="a pod of a torch runtime",
        ),
    ],
)
def test_a_node_knows_its_place(environment: dict[str, str], expected: Nodes) -> None:
    assert nodes(environment) == expected


@pytest.mark.parametrize(
    ("environment", "fix"),
    [
        pytest.param(MET, "JOB_COMPLETION_INDEX or PET_NODE_RANK is ''", id="which of them is not told"),
        pytest.param(
            MET | {"PET_NODE_RANK": "3"}, "node 3 of 3: nodes are numbered from 0", id="beyond the last"
        ),
        pytest.param({"PET_NNODES": "1:4"}, "PET_NNODES is '1:4': set it to a whole number", id="a range"),
        pytest.param(
            {"PET_NNODES": "2", "PET_NODE_RANK": "0"},
            "set PET_RDZV_ENDPOINT to host:port",
            id="nowhere to meet",
        ),
    ],
)
def test_half_of_the_story_is_refused_with_its_fix(environment: dict[str, str], fix: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(fix)):
        nodes(environment)


def test_the_first_node_hosts_the_meeting_and_the_others_are_told_not_to() -> None:
    first, second = (Nodes(2, index, "a.b:1").torchrun() for index in (0, 1))
    assert first[:3] == second[:3] == ["--nnodes=2", "--rdzv-backend=c10d", "--rdzv-endpoint=a.b:1"]
    assert "is_host=1" in first[3]
    assert "is_host=0" in second[3]
    assert Nodes().torchrun() == ["--standalone"]
