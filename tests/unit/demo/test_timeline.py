"""The timeline: a moment for each change of what is served, and none for anything else."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.timeline import Timeline
from fathom_api.recmodel import RecModelStatus


class Clock:
    """A minute later at each look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def status(stable: str = "", candidate: str = "", weight: int | None = None) -> RecModelStatus:
    document: dict[str, Any] = {"stage": "Serving"}
    if stable:
        document["stable"] = {"name": stable}
    if candidate:
        document["candidate"] = {"name": candidate}
    if weight is not None:
        document["rollout"] = {"phase": "Stepping", "weight": weight}
    return RecModelStatus.model_validate(document)


def seen(timeline: Timeline) -> list[tuple[str, str, int]]:
    return [(m.stable, m.candidate, m.weight) for m in timeline.moments]


def test_changes_of_what_is_served_are_kept(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path / "t.json", "uid", Clock())
    steps = [("", "v-1", None), ("v-1", "", None), ("v-1", "", None), ("v-1", "v-2", None)]
    steps += [("v-1", "v-2", 10), ("v-1", "v-2", 10), ("v-1", "v-2", 50), ("v-2", "", None)]
    for step in steps:
        timeline.note(status(*step))
    assert seen(timeline) == [("v-1", "", 0), ("v-1", "v-2", 10), ("v-1", "v-2", 50), ("v-2", "", 0)]


def test_it_goes_on_where_the_last_run_stopped(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    Timeline(file, "uid", Clock()).note(status("v-1"))
    again = Timeline(file, "uid", Clock())
    again.note(status("v-1"))
    again.note(status("v-2"))
    assert seen(again) == [("v-1", "", 0), ("v-2", "", 0)]


def test_another_resource_has_another_timeline(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    Timeline(file, "uid", Clock()).note(status("v-1"))
    other = Timeline(file, "other", Clock())
    assert other.moments == []
    other.note(status("v-9"))
    assert json.loads(file.read_text())["uid"] == "other"
