"""Images that were loaded long ago do not fill the disk."""

import pytest

from cluster import importing


@pytest.mark.parametrize(
    ("loaded", "running", "stale"),
    [
        pytest.param(["a:1", "a:2", "a:3"], [], [], id="the last three builds of an image stay"),
        pytest.param(["a:1", "a:2", "a:3", "a:4"], [], ["a:1"], id="what has three later builds goes"),
        pytest.param(["a:1", "a:2", "a:3", "a:4"], ["a:1"], [], id="unless it runs"),
        pytest.param(["a:1", "a:2", "b:1", "b:2", "b:3"], [], [], id="each image counts for itself"),
        pytest.param([], [], [], id="nothing was loaded"),
    ],
)
def test_which_images_are_stale(loaded: list[str], running: list[str], stale: list[str]) -> None:
    assert importing.stale(loaded, running) == stale
