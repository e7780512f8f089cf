"""The lease: one holder, and never two that write."""

from __future__ import annotations

import copy

import pytest

from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import ConflictError, KubeError
from fathom_operator.kube.resources import Obj, Resource
from fathom_operator.leader import Leader, NotLeaderError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Leases(Kube):
    """An API server with room for one Lease."""

    def __init__(self) -> None:
        self.lease: Obj | None = None
        self.version = 0
        self.down = False

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        self._answer()
        return copy.deepcopy(self.lease)

    def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        self._answer()
        if self.lease is not None:
            raise ConflictError(409, "AlreadyExists", "")
        return self._store(obj)

    def replace(self, resource: Resource, namespace: str | None, name: str, obj: Obj) -> Obj:
        self._answer()
        if (
            self.lease is None
            or obj["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]
        ):
            raise ConflictError(409, "Conflict", "")
        return self._store(obj)

    def _store(self, obj: Obj) -> Obj:
        self.version += 1
        self.lease = copy.deepcopy(obj)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return self.lease

    def _answer(self) -> None:
        if self.down:
            raise KubeError(0, "", "no answer")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases() -> Leases:
    return Leases()


def leader(leases: Leases, clock: Clock, name: str) -> Leader:
    return Leader(leases, "fathom", "operator", name, duration=30, clock=clock)


def test_the_first_to_ask_leads_and_the_second_waits(leases: Leases, clock: Clock) -> None:
    first, second = leader(leases, clock, "a"), leader(leases, clock, "b")
    assert first.contend()
    assert not second.contend()
    with pytest.raises(NotLeaderError, match="b does not hold the lease fathom/operator"):
        second.check()


def test_a_holder_that_renews_keeps_it(leases: Leases, clock: Clock) -> None:
    first, second = leader(leases, clock, "a"), leader(leases, clock, "b")
    for clock.now in range(0, 300, 3):
        assert first.contend()
        assert not second.contend()


def test_a_dead_holder_is_followed_after_the_lease_and_not_before(leases: Leases, clock: Clock) -> None:
    first, second = leader(leases, clock, "a"), leader(leases, clock, "b")
    first.contend()
    second.contend()
    clock.now = 29.9
    assert not second.contend()
    clock.now = 30
    assert second.contend()
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


def test_a_holder_cut_off_stops_writing_before_another_starts(leases: Leases, clock: Clock) -> None:
    first, second = leader(leases, clock, "a"), leader(leases, clock, "b")
    first.contend()
    second.contend()
    leases.down = True
    stopped_at = next(t for t in range(31) if not _writes(first, clock, t))
    assert stopped_at == 20
    leases.down = False
    clock.now = 29
    assert not second.contend()


def _writes(contender: Leader, clock: Clock, at: float) -> bool:
    clock.now = at
    return contender.contend()


@pytest.mark.parametrize("age", [0.0, 10.0, 19.9])
def test_no_write_outlives_the_lease(leases: Leases, clock: Clock, age: float) -> None:
    first = leader(leases, clock, "a")
    first.contend()
    clock.now = age
    assert clock.now + first.check() < 30


def test_a_frozen_holder_wakes_up_without_the_right_to_write(leases: Leases, clock: Clock) -> None:
    first, second = leader(leases, clock, "a"), leader(leases, clock, "b")
    first.contend()
    second.contend()
    clock.now = 1000
    assert second.contend()
    with pytest.raises(NotLeaderError):
        first.check()
    assert not first.contend()


def test_a_lease_given_up_is_taken_at_once(leases: Leases, clock: Clock) -> None:
    first, second = leader(leases, clock, "a"), leader(leases, clock, "b")
    first.contend()
    first.release()
    assert not first.leads()
    assert second.contend()


def test_two_that_see_it_free_at_once_do_not_both_get_it(leases: Leases, clock: Clock) -> None:
    first, second = leader(leases, clock, "a"), leader(leases, clock, "b")
    first.contend()
    first.release()
    stale = leases.get
    seen = leases.get(*("ignored",) * 3)  # type: ignore[arg-type]
    leases.get = lambda *_: copy.deepcopy(seen)  # type: ignore[method-assign]
    assert first.contend()
    assert not second.contend()
    leases.get = stale  # type: ignore[method-assign]


def test_a_restarted_container_takes_its_own_lease_over_at_once(leases: Leases, clock: Clock) -> None:
    leader(leases, clock, "pod-0").contend()
    assert leader(leases, clock, "pod-0").contend()
