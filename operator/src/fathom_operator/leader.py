"""Leader election by a coordination Lease: at most one operator writes at any time.

The holder renews its lease every few seconds. Clocks of different machines are not compared: a candidate
takes the lease when it has itself watched it unchanged for the lease's whole duration. The holder stops
writing earlier than that, when it could not renew for two thirds of the duration, and gives up on what it
sent before the rest is over: each write may take as long as `check` says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import ConflictError, KubeError
from fathom_operator.kube.resources import LEASES, Obj
from fathom_operator.times import Clock, utc_now

_log = logging.getLogger(__name__)


class NotLeaderError(Exception):
    """A write was about to happen without a lease."""


class Leader:
    """One contender for the lease."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Clock = utc_now,
    ) -> None:
        """Contend for the Lease `namespace/name`; `clock` measures, `wall_clock` is for people to read."""
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._duration = duration
        self.renew_deadline = duration * 2 / 3
        self.retry_period = duration / 10
        self._clock = clock
        self._wall_clock = wall_clock
        self._renewed_at: float | None = None
        self._seen: tuple[Any, float] | None = None

    def leads(self) -> bool:
        """Return whether we hold the lease and may write."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < self.renew_deadline

    def check(self) -> float:
        """Return how many seconds a write may take that begins now.

        Raises:
            NotLeaderError: we do not hold the lease, or could not renew it in time.
        """
        if self._renewed_at is None or not self.leads():
            raise NotLeaderError(f"{self.identity} does not hold the lease {self._namespace}/{self._name}")
        return self._renewed_at + 0.95 * self._duration - self._clock()

    def contend(self) -> bool:
        """Take or renew the lease if possible; return whether we lead. Called every `retry_period`."""
        asked_at = self._clock()
        try:
            if self._take():
                self._renewed_at = asked_at
        except KubeError as error:
            _log.warning("lease %s/%s: %s", self._namespace, self._name, error)
        return self.leads()

    def release(self) -> None:
        """Give the lease up, so that another need not wait for its end."""
        if not self.leads():
            return
        self._renewed_at = None
        try:
            lease = self._kube.get(LEASES, self._namespace, self._name)
            if lease and lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                self._kube.replace(LEASES, self._namespace, self._name, lease)
        except KubeError as error:
            _log.warning("the lease could not be given up and will run out: %s", error)

    def _take(self) -> bool:
        lease = self._kube.get(LEASES, self._namespace, self._name)
        if lease is None:
            return self._write(self._kube.create, self._namespace, self._lease(None))
        if not self._ours(lease) and not self._expired(lease):
            # Somebody else wrote it: whatever we believed to hold is theirs.
            self._renewed_at = None
            return False
        return self._write(self._kube.replace, self._namespace, self._name, self._lease(lease))

    def _write(self, write: Callable[..., Obj], *arguments: Any) -> bool:
        try:
            write(LEASES, *arguments)
        except ConflictError:
            return False
        return True

    def _ours(self, lease: Obj) -> bool:
        return lease["spec"].get("holderIdentity") == self.identity

    def _expired(self, lease: Obj) -> bool:
        spec = lease["spec"]
        if not spec.get("holderIdentity"):
            return True
        version = lease["metadata"]["resourceVersion"]
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, self._clock())
        return self._clock() - self._seen[1] >= max(self._duration, spec.get("leaseDurationSeconds", 0))

    def _lease(self, old: Obj | None) -> Obj:
        now = _micro(self._wall_clock())
        before: Obj = old["spec"] if old else {}
        ours = old is not None and self._ours(old)
        changes = before.get("leaseTransitions", 0) + (0 if ours or old is None else 1)
        spec: Obj = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, int(self._duration)),
            "acquireTime": before["acquireTime"] if ours and "acquireTime" in before else now,
            "renewTime": now,
            "leaseTransitions": changes,
        }
        meta = old["metadata"] if old else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, "spec": spec}


def _micro(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Keeper(threading.Thread):
    """Renews the lease of a leader; calls `lost` once if that fails for too long."""

    def __init__(self, leader: Leader, lost: Callable[[], None]) -> None:
        """Keep the lease that `leader` holds."""
        super().__init__(name="lease", daemon=True)
        self._leader = leader
        self._lost = lost
        self._stopped = threading.Event()

    def run(self) -> None:
        """Renew until stopped or lost."""
        while not self._stopped.wait(self._leader.retry_period):
            if not self._leader.contend():
                _log.error("the lease is lost")
                self._lost()
                return

    def stop(self) -> None:
        """Stop renewing and give the lease up."""
        self._stopped.set()
        if self.is_alive():
            self.join()
        self._leader.release()
