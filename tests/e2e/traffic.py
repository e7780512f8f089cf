"""Requests of people while a rollout goes on, and who answered them: bounded, and by 127.0.0.1 only.

`sending` asks at a steady rate, each request on a connection of its own, and keeps every answer. What is
counted of them is pure: `spans` says from when to when the candidate was to have which share, `shares` how
many of the answers of each span were the candidate's, and `Share.fits` whether that can be.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
from scipy.stats import binom

from demo.kube import Kube

#: Seconds after a change until every proxy has it, and no answer of before is under way.
SETTLE = 5.0
#: The weight while what was asked for is not yet so: such answers count for no weight.
MOVING = -1
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Answer:
    """What became of one request; times are seconds since the epoch."""

    sent: float
    got: float
    #: 0: there was none.
    code: int
    #: What the pod that answered says of itself.
    version: str = ""
    error: str = ""


@dataclass(frozen=True)
class Door:
    """Where requests go: a Service of the cluster, reached by kubectl's port-forward."""

    kube: Kube
    service: str
    namespace: str
    model: str
    #: The host name that an ingress tells models apart by; none where the Service is the model's own.
    host: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Load:
    """Requests at a steady rate, whether or not earlier ones are answered, until stopped."""

    url: str
    path: str
    headers: dict[str, str]
    users: Sequence[str]
    rate: float
    #: Requests in all: a test that hangs does not go on asking.
    most: int
    answers: list[Answer] = field(default_factory=list[Answer])
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, turns: Iterable[int], began: float) -> None:
        """Send the requests whose turns this thread gets, each at its time."""
        with httpx.Client(
            base_url=self.url, headers=self.headers, timeout=_TIMEOUT, trust_env=False
        ) as client:
            for turn in turns:
                late = began + turn / self.rate - time.monotonic()
                if turn >= self.most or self._stop.wait(max(0.0, late)):
                    return
                self.answers.append(self._ask(client, self.users[turn % len(self.users)]))

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()

    def failures(self) -> list[Answer]:
        """Return what was not answered with 200."""
        return [a for a in list(self.answers) if a.code != 200]

    def _ask(self, client: httpx.Client, user: str) -> Answer:
        sent = time.time()
        try:
            response = client.post(self.path, json={"instances": [{"user_id": user, "k": 3}]})
            document: Any = response.json() if response.status_code == 200 else {}
        except (httpx.HTTPError, ValueError) as error:
            return Answer(sent, time.time(), 0, error=f"{type(error).__name__}: {error}")
        said = "" if document else response.text[:200]
        return Answer(sent, time.time(), response.status_code, str(document.get("model_version", "")), said)


@contextmanager
def sending(
    door: Door, users: Sequence[str], *, rate: float = 8, most: int = 12_000, threads: int = 8
) -> Generator[Load]:
    """Yield a load of `rate` requests a second, at most `most`, that stops at the end.

    Each request opens a connection, as those of many people do: proxies share connections out, not requests.
    """
    with door.kube.forward(f"svc/{door.service}", door.namespace, 80) as port:
        headers = {"Connection": "close", **({"Host": door.host} if door.host else {}), **door.headers}
        load = Load(
            f"http://127.0.0.1:{port}", f"/v1/models/{door.model}:predict", headers, users, rate, most
        )
        # One `next` of a counter is atomic, so that each turn is taken once.
        turns, began = itertools.count(), time.monotonic()
        workers = [threading.Thread(target=load.run, args=(turns, began)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield load
        finally:
            load.stop()
            for worker in workers:
                worker.join()


@dataclass(frozen=True)
class Span:
    """From when to when the candidate was to have `weight` percent of the requests."""

    start: float
    end: float
    weight: int


@dataclass(frozen=True)
class Share:
    """How many of the `total` answers of one weight were the candidate's."""

    weight: int
    candidate: int
    total: int

    def fits(self, confidence: float = 0.99) -> bool:
        """Return whether requests that were dealt out at random by this weight give such a number."""
        low, high = binom.interval(confidence, self.total, self.weight / 100)
        return bool(low <= self.candidate <= high)


def spans(changes: Iterable[tuple[float, int]], end: float) -> list[Span]:
    """Return the spans between changes of the weight (time, percent), none while it is MOVING."""
    kept = list[tuple[float, int]]()
    for at, weight in changes:
        if not kept or kept[-1][1] != weight:
            kept.append((at, weight))
    return [Span(a, b, weight) for (a, weight), (b, _) in pairwise([*kept, (end, MOVING)]) if weight >= 0]


def shares(
    answers: Iterable[Answer], during: Sequence[Span], candidate: str, settle: float = SETTLE
) -> list[Share]:
    """Return the candidate's share at each weight, the spans of one weight together.

    Counted is what was sent `settle` seconds after a change or later, and answered before the next.
    """
    total, its = dict[int, int](), dict[int, int]()
    for answer in answers:
        for span in during:
            if answer.code == 200 and span.start + settle <= answer.sent and answer.got < span.end:
                total[span.weight] = total.get(span.weight, 0) + 1
                its[span.weight] = its.get(span.weight, 0) + (answer.version == candidate)
    return [Share(weight, its[weight], count) for weight, count in sorted(total.items())]


def last_of(answers: Iterable[Answer], version: str) -> float | None:
    """Return when the last request was sent that this version answered."""
    return max((a.sent for a in answers if a.version == version), default=None)
