"""`kubectl fathom` against an API server of our own that holds one RecModel."""

from __future__ import annotations

import io
from typing import Any

import pytest
from builders.manifests import steps
from builders.seen import NOW, later, ranking

from fathom_operator.kube.resources import Obj, Resource
from fathom_operator.kubectl.main import Plugin, RefusedError, parser
from fathom_operator.times import text

ROLLOUT = {"steps": steps(10, 50), "analysis": [{"name": "errors", "metric": "ErrorRate"}]}
RESULT = {
    "metric": "errors", "stable": 0.01, "candidate": 0.03, "delta": 0.02, "margin": 0.002, "samples": 2000,
    "interval": {"low": 0.005, "high": 0.04}, "verdict": "Fail", "time": text(NOW), "message": "worse",
}  # fmt: skip
ROLLING: Obj = {
    "stage": "RollingOut",
    "stable": {"name": "v-old", "promotedAt": text(NOW)},
    "candidate": {"name": "v-new"},
    "rollout": {
        "phase": "Stepping",
        "step": 1,
        "weight": 50,
        "startedAt": text(NOW),
        "stepStartedAt": text(NOW),
        "message": "so",
    },
    "analysis": [RESULT],
}
PAUSED = ROLLING | {"rollout": ROLLING["rollout"] | {"phase": "Paused", "pausedBy": "User"}}
SERVING: Obj = {
    "stage": "Serving",
    "stable": {"name": "v-new"},
    "history": [
        {"name": "v-new", "promotedAt": text(later(hours=2)), "auc": 0.71},
        {"name": "v-old", "promotedAt": text(NOW), "auc": 0.7},
    ],
    "rejected": [
        {"name": "v-bad", "reason": "AnalysisFailed", "message": "errors", "at": text(later(hours=1))}
    ],
}
REJECTED = SERVING | {"stage": "Rejected"}


class Api:
    """Holds one RecModel that has one status after the other."""

    def __init__(self, *statuses: Obj) -> None:
        self.statuses = list(statuses)
        self.patches: list[tuple[str, Obj, str]] = []

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        if (resource.kind, namespace, name) != ("RecModel", "shop", "movies"):
            return None
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return ranking(status, spec__serving={"rollout": ROLLOUT}).obj

    def patch(self, resource: Resource, namespace: str, name: str, changes: Obj, *, manager: str) -> Obj:
        self.patches.append((name, changes, manager))
        return {}


class Terminal(io.StringIO):
    """A terminal that remembers what was drawn."""

    def isatty(self) -> bool:
        return True


def run(api: Api, verb: str, name: str = "movies", out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    fake: Any = api
    Plugin(fake, "shop", out, lambda: later(hours=3), lambda _: None).run(verb, name)
    return out.getvalue()


def test_status_tells_the_rollout_and_what_was_measured() -> None:
    said = run(Api(ROLLING), "status")
    for words in (
        "movies  RollingOut",
        "stable     v-old  promoted 3h ago",
        "candidate  v-new",
        "██████████░░░░░░░░░░ 50 % of the requests, Stepping for 3h",
        "✓ 10 %   ▸ 50 %   · 100 %",
        "errors  Fail     0.01    0.03       +0.02  +0.005 … +0.04  0.002   2,000",
        "errors: worse",
    ):
        assert words in said
    assert "\033" not in said


def test_status_of_what_only_serves_is_short() -> None:
    assert run(Api({"stage": "Serving", "stable": {"name": "v-1"}}), "status") == (
        "movies  Serving\n  stable     v-1\n"
    )


def test_watch_draws_until_the_rollout_is_over() -> None:
    drawn = run(Api(ROLLING, ROLLING, PAUSED, SERVING), "watch", out=Terminal())
    start, *frames = drawn.split("\033[H")
    assert [frame.split()[1].removesuffix("\033[K") for frame in frames[1:]] == ["RollingOut"] * 3 + [
        "Serving"
    ]
    assert "\033[31mFail\033[0m" in frames[1]
    assert (start, drawn[-6:]) == ("\033[?25l", "\033[?25h"), (
        "the cursor is hidden meanwhile, and shown again"
    )


def test_watch_shows_the_cursor_again_where_it_is_interrupted() -> None:
    out = Terminal()
    with pytest.raises(RefusedError):
        run(Api(ROLLING), "watch", "films", out=out)
    assert out.getvalue().endswith("\033[?25h")


def test_watch_shows_how_each_check_went_and_what_to_say_next() -> None:
    after = RESULT | {"time": text(later(seconds=30)), "delta": 0.0005, "verdict": "Pass"}
    drawn = run(Api(ROLLING, ROLLING | {"analysis": [after]}, SERVING), "watch")
    assert "HARM SO FAR" in drawn
    assert "█▃" in drawn.replace(" ", "")
    assert "kubectl fathom pause|promote|abort movies" in drawn
    assert "promoted in 0 min at the soonest" in drawn


def test_colours_are_left_out_where_people_want_none() -> None:
    out, api = Terminal(), Api(ROLLING)
    fake: Any = api
    Plugin(fake, "shop", out, lambda: later(hours=3), lambda _: None, no_colour=True).run("status", "movies")
    assert "\033" not in out.getvalue()


def test_watch_into_a_file_prints_what_changes_once() -> None:
    said = run(Api(ROLLING, ROLLING, ROLLING, SERVING), "watch")
    assert said.count("movies  RollingOut") == 1
    assert said.count("movies  Serving") == 1


def test_watch_ends_where_nothing_rolls_out() -> None:
    assert run(Api(SERVING), "watch").count("movies  Serving") == 1


def test_history_is_of_served_and_rejected_versions_latest_first() -> None:
    lines = run(Api(SERVING), "history").splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["v-new", "serving", "1h"],
        ["v-bad", "rejected", "2h"],
        ["v-old", "served", "3h"],
    ]
    assert "AnalysisFailed: errors" in lines[2]


TOLD = [
    pytest.param("promote", ROLLING, id="promote what rolls out"),
    pytest.param("pause", ROLLING, id="pause it"),
    pytest.param("resume", PAUSED, id="resume what is paused"),
    pytest.param("abort", PAUSED, id="abort it"),
    pytest.param("retry", REJECTED, id="retry what was rejected"),
]


@pytest.mark.parametrize(("verb", "status"), TOLD)
def test_a_command_is_an_annotation_with_the_time(verb: str, status: Obj) -> None:
    api = Api(status)
    said = run(api, verb)
    annotation = {f"fathom.dev/{verb}": "2026-01-31T15:00:00.000+00:00"}
    assert api.patches == [("movies", {"metadata": {"annotations": annotation}}, "kubectl-fathom")]
    assert f"told to {verb}" in said


REFUSED = [
    pytest.param(
        "promote", SERVING, "movies has no rollout to promote: its stage is Serving", id="no rollout"
    ),
    pytest.param("abort", SERVING, "no rollout to abort", id="nothing to abort"),
    pytest.param("resume", ROLLING, "is not paused: its rollout is Stepping", id="not paused"),
    pytest.param("retry", ROLLING, "has nothing to try again", id="nothing failed"),
]


@pytest.mark.parametrize(("verb", "status", "words"), REFUSED)
def test_a_command_that_makes_no_sense_is_refused_and_changes_nothing(
    verb: str, status: Obj, words: str
) -> None:
    api = Api(status)
    with pytest.raises(RefusedError, match=words):
        run(api, verb)
    assert api.patches == []


@pytest.mark.parametrize("verb", ["status", "watch", "history", "abort"])
def test_a_resource_that_is_not_there_is_named(verb: str) -> None:
    with pytest.raises(RefusedError, match="no RecModel films in namespace shop"):
        run(Api(SERVING), verb, "films")


def test_the_command_line() -> None:
    given = parser().parse_args(["pause", "movies", "-n", "shop", "--context", "kind"])
    assert (given.verb, given.name, given.namespace, given.context) == ("pause", "movies", "shop", "kind")
