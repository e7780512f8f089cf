"""Building many trees does not fill the disk: of each image the last builds stay."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

import build
from builder import context, engine

CPU = context.Variant("debian", "cpu", None)


@dataclass(frozen=True)
class Store(engine.Engine):
    """What an engine has, the newest first."""

    name: str = "docker"
    images: list[str] = field(default_factory=list)

    def has(self, reference: str) -> bool:
        return reference in self.images

    def size(self, reference: str) -> int:
        return 1

    def build(self, context: Path, target: str, reference: str, arguments: dict[str, str]) -> None:
        self.images.insert(0, reference)

    def tags(self, repository: str) -> list[str]:
        return [name for name in self.images if name.startswith(f"{repository}:")]

    def remove(self, reference: str) -> bool:
        self.images.remove(reference)
        return True


@pytest.fixture(autouse=True)
def no_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(context, "lay_out", lambda variant: tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([], ["ranker:now"], id="the first build"),
        pytest.param(["ranker:2", "ranker:1"], ["ranker:now", "ranker:2", "ranker:1"], id="three stay"),
        pytest.param(
            ["ranker:3", "ranker:2", "ranker:1"], ["ranker:now", "ranker:3", "ranker:2"], id="the fourth goes"
        ),
        pytest.param(
            ["ranker:3", "trainer:2", "ranker:1", "ranker:0"],
            ["ranker:now", "ranker:3", "trainer:2", "ranker:1"],
            id="other images are left alone",
        ),
        pytest.param(
            ["ranker:4", "ranker:3", "ranker:2", "ranker:now"],
            ["ranker:4", "ranker:3", "ranker:2", "ranker:now"],
            id="nothing is built, nothing goes",
        ),
    ],
)
def test_a_build_leaves_the_last_three_of_its_image(before: list[str], after: list[str]) -> None:
    store = Store(images=list(before))

    build.build({"ranker": "ranker:now"}, CPU, store)

    assert store.images == after
