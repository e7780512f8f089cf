"""Watching children through breaks: from where it stopped, or anew where that is too old."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import GoneError, KubeError
from fathom_operator.kube.resources import JOBS, Obj, Resource
from fathom_operator.kube.watch import Watch


def job(name: str, version: int) -> Obj:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> Obj:
    return {"type": kind, "object": job(name, version)}


class Server(Kube):
    """An API server that says what it was given to say, stream by stream."""

    def __init__(self, *streams: list[Any]) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []
        self.lists = 0

    def list(self, resource: Resource, namespace: str | None, selector: str = "") -> Obj:
        self.lists += 1
        return {"items": [job("old", 1)], "metadata": {"resourceVersion": "5"}}

    def watch(
        self, resource: Resource, namespace: str | None, selector: str, since: str, seconds: int
    ) -> Iterator[Obj]:
        self.asked.append(since)
        for said in self.streams.pop(0):
            if isinstance(said, Exception):
                raise said
            yield said


class EndedError(Exception):
    """The script is over."""


def watching(*streams: list[Any]) -> tuple[Watch, Server, list[str]]:
    server, seen = Server(*streams), list[str]()
    watch = Watch(server, JOBS, None, "fathom.dev/kind", lambda obj: seen.append(obj["metadata"]["name"]))
    return watch, server, seen


def test_what_is_there_first_then_what_changes() -> None:
    watch, _, seen = watching([event("ADDED", "new", 6), event("DELETED", "old", 7), EndedError()])
    with pytest.raises(EndedError):
        watch.follow(watch.list())
    assert seen == ["old", "new", "old"]


def test_after_a_stream_ends_it_goes_on_from_the_last_version() -> None:
    watch, server, _ = watching([event("ADDED", "new", 6)], [event("BOOKMARK", "", 9)], [EndedError()])
    with pytest.raises(EndedError):
        watch.follow(watch.list())
    assert server.asked == ["5", "6", "9"]
    assert server.lists == 1


def test_bookmarks_are_no_news() -> None:
    watch, _, seen = watching([event("BOOKMARK", "x", 9), EndedError()])
    with pytest.raises(EndedError):
        watch.follow("5")
    assert seen == []


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(GoneError(410, "Expired", "too old resource version"), id="the version is too old"),
        pytest.param(KubeError(0, "", "connection reset"), id="the connection breaks"),
    ],
)
def test_after_trouble_everything_is_listed_again(
    trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, server, seen = watching([trouble], [EndedError()])
    monkeypatch.setattr(watch, "_stopped", NeverWaits())
    with pytest.raises(EndedError):
        watch.run()
    assert server.lists == 2
    assert seen == ["old", "old"]


class NeverWaits:
    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        return False
