"""`fathom-operator`: waits until it leads, leads until told to stop or the lease is lost, and then ends."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable
from typing import TypeVar

from kubernetes.config import ConfigException
from pydantic import ValidationError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from fathom_operator import log
from fathom_operator.http_server import application, listen
from fathom_operator.kube.client import Kube, connect
from fathom_operator.kube.errors import KubeError
from fathom_operator.kube.resources import OWN_KINDS, PODS
from fathom_operator.leader import Keeper, Leader
from fathom_operator.leading import LEADER_LABEL, Leading
from fathom_operator.metrics import Metrics
from fathom_operator.plan import Key
from fathom_operator.queue import Queue
from fathom_operator.settings import Settings

_log = logging.getLogger("fathom_operator")
_RETRY = retry(
    retry=retry_if_exception_type(KubeError),
    wait=wait_exponential(multiplier=0.5, max=10),
    stop=stop_after_delay(60),
    reraise=True,
)
T = TypeVar("T")


class Operator:
    """One replica."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        """Take a client of the cluster."""
        self._kube = kube
        self._settings = settings
        self._queue: Queue[Key] = Queue()
        self._leader = self._contender()
        self._metrics = Metrics(self._queue.depth, self._leads)
        self._leading: Leading | None = None
        self._lost = False

    async def run(self) -> int:
        """Return the exit code when all is over."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        probes = application(self._metrics.registry, self._problem, self._unready)
        runner = await listen(probes, self._settings.http_port)
        try:
            await self._patiently(self._label, None)
            if await self._win(stop) and await self._find_kinds(stop):
                await self._lead(stop)
        finally:
            await runner.cleanup()
        return 1 if self._lost else 0

    async def _win(self, stop: asyncio.Event) -> bool:
        """Return True once we lead, False if told to stop before."""
        if self._leader is None:
            return True
        _log.info("%s waits for the lease", self._leader.identity)
        while not await asyncio.to_thread(self._leader.contend):
            if await _waited(stop, self._leader.retry_period):
                return False
        _log.info("%s leads", self._leader.identity)
        return True

    async def _find_kinds(self, stop: asyncio.Event) -> bool:
        """Return True once our kinds are there: kopf looks for them only once."""
        while problem := await asyncio.to_thread(self._unready):
            _log.warning("%s", problem)
            # The lease is kept meanwhile: nobody else would find them either.
            if await _waited(stop, self._leader.retry_period if self._leader else 5.0):
                return False
            if self._leader is not None:
                await asyncio.to_thread(self._leader.contend)
        return True

    async def _lead(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()

        def lost() -> None:
            self._lost = True
            loop.call_soon_threadsafe(stop.set)

        kube = self._kube.guarded(self._leader.check) if self._leader else self._kube
        keeper = Keeper(self._leader, lost) if self._leader else None
        if keeper is not None:
            keeper.start()
        self._leading = Leading(kube, self._settings, self._queue, self._metrics)
        try:
            await self._patiently(self._label, "true")
            await self._leading.run(stop)
        finally:
            await self._patiently(self._label, None)
            if keeper is not None:
                await asyncio.to_thread(keeper.stop)

    def _label(self, value: str | None) -> None:
        """Have the Service of the progress server select this pod, or not."""
        name = self._settings.pod_name
        if name is not None:
            labels = {"metadata": {"labels": {LEADER_LABEL: value}}}
            self._kube.patch(PODS, self._settings.pod_namespace, name, labels)

    async def _patiently(self, work: Callable[[T], None], argument: T) -> None:
        await asyncio.to_thread(_RETRY(work), argument)

    def _contender(self) -> Leader | None:
        settings = self._settings
        if not settings.leader_election:
            return None
        # A restarted container of the same pod may take its own lease over at once: its predecessor is dead.
        identity = settings.pod_name or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        namespace = settings.lease_namespace or settings.pod_namespace
        return Leader(self._kube, namespace, settings.lease_name, identity, duration=settings.lease_seconds)

    def _leads(self) -> bool:
        return self._leading is not None and (self._leader is None or self._leader.leads())

    def _problem(self) -> str | None:
        return self._leading.problem() if self._leading else None

    def _unready(self) -> str | None:
        """Return what keeps us from working, None if nothing does."""
        try:
            missing = [kind for kind, resource in OWN_KINDS.items() if not self._kube.served(resource)]
        except KubeError as error:
            return f"the API server does not answer: {error}"
        return (
            f"the CRDs of {', '.join(missing)} are not installed: kubectl apply -k crds/" if missing else None
        )


async def _waited(stop: asyncio.Event, seconds: float) -> bool:
    """Wait `seconds` or until `stop` is set; return whether it is."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


def main() -> None:
    """Run the operator; exits with 1 when the lease was lost, so that it is started again."""
    parser = argparse.ArgumentParser(
        prog="fathom-operator",
        description="Reconciles CaptionJobs, RecModels, Backfills and InterestMaps. "
        "Settings are environment variables, FATHOM_*.",
    )
    parser.add_argument("--kubeconfig", help="the cluster; default: $KUBECONFIG, or else the one we run in")
    arguments = parser.parse_args()
    try:
        settings = Settings.from_environment(os.environ)
    except ValidationError as error:
        sys.exit(f"the environment is not right: {error}")
    log.set_up(settings.log_format, settings.log_level)
    try:
        kube = connect(arguments.kubeconfig or os.environ.get("KUBECONFIG"))
    except ConfigException as error:
        sys.exit(f"no cluster to connect to: run in one, set KUBECONFIG or give --kubeconfig ({error})")
    sys.exit(asyncio.run(Operator(kube, settings).run()))
