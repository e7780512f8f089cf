"""What the leader does until it loses the lease or is told to stop: watch, work, listen to pods."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import urlsplit

from fathom_api import GROUP, Labels
from fathom_operator import shell
from fathom_operator.backfill.controller import BackfillController
from fathom_operator.captionjob.controller import CaptionJobController
from fathom_operator.certificates import new_leaf, server_context, shared_ca
from fathom_operator.http_server import listen
from fathom_operator.identify import Identifier
from fathom_operator.interestmap.controller import InterestMapController
from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import KubeError
from fathom_operator.kube.resources import HTTP_ROUTES, INFERENCE_SERVICES, JOB_KINDS, OWN_KINDS, PODS, Obj
from fathom_operator.kube.watch import Watch
from fathom_operator.metrics import Metrics
from fathom_operator.owner import parent_key
from fathom_operator.plan import Key
from fathom_operator.platform import Platform
from fathom_operator.progress_server import ProgressServer
from fathom_operator.queue import Queue
from fathom_operator.recmodel.controller import RecModelController
from fathom_operator.reconciler import Reconciler
from fathom_operator.reports import Reports
from fathom_operator.settings import Settings
from fathom_operator.times import utc_now
from fathom_operator.workers import Dependencies, Reconciles, Workers

_log = logging.getLogger(__name__)
LEADER_LABEL: Final = f"{GROUP}/leader"
#: Pods change in bursts; what comes within this many seconds is one reconcile.
_BURST_SECONDS: Final = 0.2
#: A watch or a reconcile that has not moved for this long hangs.
_HANGS_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 10.0


class Leading:
    """All that runs only where we lead."""

    def __init__(self, kube: Kube, settings: Settings, queue: Queue[Key], metrics: Metrics) -> None:
        """Take a client that may write, and what was set up before we led."""
        self._kube = kube
        self._settings = settings
        self._queue = queue
        self._metrics = metrics
        self._dependencies = Dependencies()
        self._reports = Reports(queue.add_after)
        self._watches: list[Watch] = []
        self._workers: Workers | None = None
        self._stopped = threading.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Lead until `stop` is set or a signal comes."""
        async with AsyncExitStack() as stack:
            ca = await self._listen(stack)
            self._start(self._platform(ca))
            stack.push_async_callback(asyncio.to_thread, self._stop)
            handlers = shell.registry(self._kube, self.changed)
            await shell.run(handlers, self._settings.namespaces, stop, asyncio.Event())

    def problem(self) -> str | None:
        """Return what hangs, None if nothing does."""
        for watch in self._watches:
            if not watch.is_alive() or watch.idle() > _HANGS_SECONDS:
                return f"{watch.name} hangs"
        if self._workers is not None and not self._workers.alive():
            return "a worker has ended"
        slowest = self._queue.longest_work()
        return f"a reconcile has taken {slowest:.0f} s" if slowest > _HANGS_SECONDS else None

    def changed(self, key: Key) -> None:
        """Have a resource reconciled, and those that wait for it."""
        for concerned in (key, *self._dependencies.waiting_for(key)):
            self._queue.add(concerned)

    def child_changed(self, child: Obj) -> None:
        """Have the parent of a Job, Pod or InferenceService reconciled."""
        key = parent_key(child)
        if key is not None and key.kind in OWN_KINDS:
            self._queue.add_after(key, _BURST_SECONDS)

    async def _listen(self, stack: AsyncExitStack) -> str:
        """Serve the progress endpoint, if there shall be one; return the CA certificate that pods need."""
        url = self._settings.progress_url
        if url is None:
            return ""
        namespace, now = self._settings.pod_namespace, utc_now()
        ca = await asyncio.to_thread(shared_ca, self._kube, namespace, self._settings.ca_secret, now)
        tls = server_context(new_leaf(ca, _hosts(url), now))
        server = ProgressServer(Identifier(self._kube), self._reports, self._metrics)
        runner = await listen(server.application(), self._settings.progress_port, tls)
        stack.push_async_callback(runner.cleanup)
        return ca.certificate.decode()

    def _platform(self, ca: str) -> Platform:
        settings = self._settings
        return Platform(
            captioner_image=settings.captioner_image,
            trainer_image=settings.trainer_image,
            ranker_image=settings.ranker_image,
            retriever_image=settings.retriever_image,
            image_pull_policy=settings.image_pull_policy,
            progress_url=settings.progress_url,
            progress_ca=ca,
            prices=settings.prices,
        )

    def _start(self, platform: Platform) -> None:
        reconcilers: dict[str, Reconciles] = {
            "CaptionJob": Reconciler(self._kube, CaptionJobController(platform, self._reports)),
            "RecModel": Reconciler(self._kube, RecModelController(platform, self._reports)),
            "Backfill": Reconciler(self._kube, BackfillController(platform, self._reports)),
            "InterestMap": Reconciler(self._kube, InterestMapController(platform, self._reports)),
        }
        self._workers = Workers(
            self._queue, reconcilers, self._dependencies, self._metrics, self._reports.forget
        )
        self._workers.start(self._settings.workers)
        self._watches = [
            Watch(self._kube, resource, namespace, Labels.KIND, self.child_changed)
            for namespace in self._settings.namespaces or (None,)
            for resource in (*JOB_KINDS.values(), PODS, INFERENCE_SERVICES, HTTP_ROUTES)
        ]
        for watch in self._watches:
            watch.start()
        threading.Thread(target=self._resync, name="resync", daemon=True).start()

    def _stop(self) -> None:
        self._stopped.set()
        for watch in self._watches:
            watch.stop()
        if self._workers is not None:
            self._workers.stop(_STOP_SECONDS)

    def _resync(self) -> None:
        while not self._stopped.wait(self._settings.resync_seconds):
            for namespace in self._settings.namespaces or (None,):
                try:
                    self._add_all(namespace)
                except KubeError as error:
                    _log.warning("resync: %s", error)

    def _add_all(self, namespace: str | None) -> None:
        for kind, resource in OWN_KINDS.items():
            for obj in self._kube.items(resource, namespace):
                self._queue.add(Key(kind, obj["metadata"]["namespace"], obj["metadata"]["name"]))


def _hosts(url: str) -> list[str]:
    host = urlsplit(url).hostname or ""
    return [host, f"{host}.cluster.local"] if host.endswith(".svc") else [host]
