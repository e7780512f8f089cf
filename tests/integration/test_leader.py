"""Two operators: one works, the other takes over, and never do both write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders.manifests import caption_job
from builders.outcomes import captioned, featurised
from integration.kube import Cluster, Namespace
from integration.operator_process import LEASE_SECONDS, Operator, operator, ready
from integration.relay import Relay, relay
from integration.waiting import until
from integration.world import Resource, submit

#: A standby looks every tenth of the lease; the rest is for a machine that is busy.
TAKEOVER_SECONDS = LEASE_SECONDS * 1.1 + 8.0


@dataclass
class Replica:
    """An operator and its way to the API server."""

    operator: Operator
    relay: Relay


@dataclass
class Pair:
    """A leader and a standby in one namespace."""

    namespace: Namespace
    leader: Replica
    standby: Replica

    def holder(self) -> str:
        [lease] = self.namespace.list("Lease") or [{"spec": {}}]
        return lease["spec"].get("holderIdentity") or ""

    def until_taken_over(self, within: float = TAKEOVER_SECONDS) -> float:
        """Return after how many seconds the standby leads."""
        begun = time.monotonic()
        until("the standby leads", lambda: self.standby.operator.name in self.holder(), within=within)
        return time.monotonic() - begun


@pytest.fixture
def pair(kserve: Cluster, namespace: Namespace, tmp_path: Path) -> Iterator[Pair]:
    """Yield a leader and a standby."""
    with ExitStack() as stack:

        def replica(name: str) -> Replica:
            way = stack.enter_context(relay(kserve, tmp_path / f"{name}.kubeconfig"))
            process = operator(way.kubeconfig, namespace, tmp_path / f"{name}.log", name)
            return Replica(stack.enter_context(process), way)

        leader = replica("operator-0")
        pair = Pair(namespace, leader, leader)
        until("a leader", lambda: "operator-0" in pair.holder())
        ready(leader.operator)
        pair.standby = replica("operator-1")
        ready(pair.standby.operator)
        yield pair


@pytest.fixture
def operators(pair: Pair) -> list[Operator]:
    """Return both, so that a failure shows their logs."""
    return [pair.leader.operator, pair.standby.operator]


def finish(job: Resource) -> None:
    job.planned().nodes.succeed(job.job("caption"), captioned())
    job.nodes.succeed(job.job("featurise"), featurised())
    job.until_stage("Complete")


@pytest.mark.usefixtures("operators")
def test_a_standby_is_ready_and_writes_nothing(pair: Pair) -> None:
    finish(submit(pair.namespace, caption_job()))

    assert pair.leader.relay.changes()
    assert pair.standby.relay.changes() == []
    assert pair.standby.operator.running()


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize(
    ("end", "within"),
    [
        pytest.param(Operator.stop, LEASE_SECONDS, id="a leader that is asked to end gives its lease up"),
        pytest.param(Operator.kill, TAKEOVER_SECONDS, id="that of a killed one runs out"),
    ],
)
def test_the_standby_takes_over(pair: Pair, end: Callable[[Operator], object], within: float) -> None:
    job = submit(pair.namespace, caption_job())
    caption = job.planned().job("caption")

    end(pair.leader.operator)
    pair.until_taken_over(within)

    job.nodes.succeed(caption, captioned())
    finish_features(job)
    assert job.stages() == ["caption", "featurise", "plan"]


def finish_features(job: Resource) -> None:
    job.nodes.succeed(job.job("featurise"), featurised())
    job.until_stage("Complete")


@pytest.mark.usefixtures("operators")
def test_a_frozen_leader_does_not_write_when_it_wakes(pair: Pair) -> None:
    job = submit(pair.namespace, caption_job())
    caption = job.planned().job("caption")
    # A write that is on its way when it is frozen arrives when it wakes: that is another matter.
    job.until_stage("Captioning")
    pair.leader.operator.freeze()
    # Much for a leader to do as soon as it wakes, if it still takes itself for one.
    job.nodes.succeed(caption, captioned())
    pair.until_taken_over()
    featurise = job.job("featurise")

    woken = time.monotonic()
    pair.leader.operator.thaw()
    job.nodes.succeed(featurise, featurised())
    job.until_stage("Complete")
    for number in range(3):
        finish(submit(pair.namespace, caption_job(f"later-{number}")))

    assert pair.leader.relay.changes(since=woken) == []


@pytest.mark.usefixtures("operators")
def test_a_leader_that_is_cut_off_stops_before_the_other_begins(pair: Pair) -> None:
    job = submit(pair.namespace, caption_job())
    caption = job.planned().job("caption")

    pair.leader.relay.cut.set()
    job.nodes.succeed(caption, captioned())
    pair.until_taken_over()
    finish_features(job)
    pair.leader.relay.cut.clear()
    finish(submit(pair.namespace, caption_job("later")))

    last = pair.leader.relay.changes()[-1].at
    first = pair.standby.relay.changes()[0].at
    assert last < first
