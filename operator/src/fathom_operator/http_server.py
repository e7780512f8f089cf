"""Liveness, readiness and metrics over HTTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

#: Returns what is wrong, None if nothing is.
Check = Callable[[], str | None]


def application(registry: CollectorRegistry, alive: Check, ready: Check) -> web.Application:
    """Return `/healthz`, `/readyz` and `/metrics`."""

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/healthz", _probe(alive))
    application.router.add_get("/readyz", _probe(ready))
    application.router.add_get("/metrics", metrics)
    return application


async def listen(application: web.Application, port: int, tls: ssl.SSLContext | None = None) -> web.AppRunner:
    """Serve `application` on all addresses until the returned runner is cleaned up."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port, ssl_context=tls).start()
    return runner


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        problem = await asyncio.to_thread(check)
        return web.Response(status=503 if problem else 200, text=f"{problem or 'ok'}\n")

    return handle
