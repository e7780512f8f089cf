"""Names are found by the thousand, whatever letters they have."""

import pyarrow as pa
import pytest

from fathom.ranking.names import Names


@pytest.mark.parametrize(
    ("names", "asked", "rows"),
    [
        pytest.param([], ["a"], [0], id="there are none"),
        pytest.param(["a", "b"], [], [], id="nothing is asked"),
        pytest.param(["a", "b"], ["b", "c", "a", "b"], [2, 0, 1, 2], id="known and unknown ones"),
        pytest.param(["", "é", "日本"], ["日本", "", "é", "e"], [3, 1, 2, 0], id="no letters, and others'"),
        pytest.param([str(n) for n in range(100_000)], ["99999", "x", "0"], [100_000, 0, 1], id="many"),
    ],
)
def test_a_name_has_its_row_and_an_unknown_one_zero(
    names: list[str], asked: list[str], rows: list[int]
) -> None:
    found = Names(pa.array(names, pa.string()))
    assert found.rows(asked).tolist() == rows
    assert found.take(found.rows([n for n in asked if n in names])) == [n for n in asked if n in names]
