"""What is said to the engine that builds images is what this engine understands."""

from __future__ import annotations

import io
import subprocess
import tarfile
import uuid
from collections.abc import Iterator

import pytest

from builder import engine
from builder.engine import Engine


@pytest.fixture
def chosen() -> Engine:
    return engine.choose()


@pytest.fixture
def repository(chosen: Engine) -> Iterator[str]:
    """An image's name that nobody else has; what was made of it is removed."""
    name = f"dev.local/fathom-test-{uuid.uuid4().hex[:8]}"
    yield name
    for reference in chosen.tags(name):
        chosen.remove(reference)


def _make(chosen: Engine, reference: str) -> None:
    """Make an image that holds nothing but its own name as a label."""
    label = f"made={reference}"
    if chosen.name == "docker":
        empty = io.BytesIO()
        tarfile.open(fileobj=empty, mode="w").close()
        _run("docker", "import", "--change", f"LABEL {label}", "-", reference, given=empty.getvalue())
        return
    container = _run("buildah", "from", "scratch")
    _run("buildah", "config", "--label", label, container)
    _run("buildah", "commit", "--rm", container, reference)


def _run(*words: str, given: bytes | None = None) -> str:
    return subprocess.run(words, input=given, check=True, capture_output=True).stdout.decode().strip()


def test_builds_of_an_image_are_told_the_newest_first_and_can_be_removed(
    chosen: Engine, repository: str
) -> None:
    assert chosen.tags(repository) == []
    builds = [f"{repository}:{n}" for n in range(3)]
    for reference in builds:
        _make(chosen, reference)

    assert chosen.tags(repository) == builds[::-1]
    assert chosen.remove(builds[0])
    assert chosen.tags(repository) == builds[:0:-1]
    assert not chosen.has(builds[0])
