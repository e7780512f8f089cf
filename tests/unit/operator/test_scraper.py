"""What is read of pods over the network: the server's own metrics, and nothing of pods that misbehave."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from builders.endless import Endless, serving
from builders.seen import pod
from prometheus_client import REGISTRY, generate_latest

from fathom.serving.metrics import Metrics
from fathom.serving.scoring import Scored
from fathom_operator.recmodel.scraper import PodScraper
from fathom_operator.views import PodView

VERSION = "v-5cra9e12"


@cache
def served() -> bytes:
    """Return what a real server says after three requests, one of them an error, and two outcomes."""
    metrics = Metrics("movies", VERSION)
    metrics.scored([Scored(["a", "b", "c"], np.array([0.1, 0.2, 0.9], np.float32), 3, 1, True)])
    for code in (200, 200, 500):
        metrics.answered("v2", code, 0.003)
    metrics.outcomes(np.array([0.2, 0.9]), np.array([0.0, 1.0]))
    return generate_latest(REGISTRY)


class Pod(Endless, BaseHTTPRequestHandler):
    """A pod, well behaved or not."""

    #: How it behaves.
    manner = "well"

    def do_GET(self) -> None:
        if self.manner == "moved":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/metrics")
            self.end_headers()
            return
        self.send_response(503 if self.manner == "ill" else 200)
        self.end_headers()
        if self.manner == "endless":
            self.endlessly(b"# more\n" * 10_000, 0.0)
        elif self.manner == "slow":
            self.endlessly(b"#", 0.05)
        else:
            self.wfile.write(b"<html>" if self.manner == "foreign" else served())


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with serving(Pod) as server:
        yield server


def candidate(ip: str = "127.0.0.1") -> PodView:
    return pod("movies", run=VERSION, ip=ip)


def test_the_metrics_of_the_server_are_those_that_are_judged(server: ThreadingHTTPServer) -> None:
    read = PodScraper(server.server_port)([candidate()])
    counts = read["movies-0-x"].counts
    assert (counts.requests, counts.errors, counts.candidates, counts.unknown) == (3, 1, 3, 1)
    assert (counts.latency.size, counts.scores.size) == (3, 3)
    assert (counts.positives.size, counts.negatives.size) == (1, 1)


@pytest.mark.parametrize("manner", ["moved", "ill", "endless", "slow", "foreign"])
def test_a_pod_that_misbehaves_is_not_read_and_holds_up_nobody(
    manner: str, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pod, "manner", manner)
    started = time.monotonic()
    assert PodScraper(server.server_port, seconds=0.5, most_bytes=100_000)([candidate()]) == {}
    assert time.monotonic() - started < 5


def test_a_pod_that_does_not_listen_hides_no_other(server: ThreadingHTTPServer) -> None:
    there, gone = candidate(), pod("gone", run=VERSION, ip="127.0.0.2")
    scraper = PodScraper(server.server_port, seconds=1)
    assert set(scraper([there, gone])) == {there.name}
    assert scraper([]) == {}
