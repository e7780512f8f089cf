"""Where pods post their progress: HTTPS, by token, never trusted further than the numbers it shows.

The server never makes a pod fail: a report that is refused is lost, the next one replaces it.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web
from pydantic import ValidationError

from fathom_api.progress import Progress
from fathom_operator.identify import Identifier, UnknownPodError
from fathom_operator.kube.errors import KubeError
from fathom_operator.metrics import Metrics
from fathom_operator.reports import Reports

_log = logging.getLogger(__name__)
_MOST_BYTES = 16 * 1024


class ProgressServer:
    """The HTTP application; `POST` anywhere takes a Progress document."""

    def __init__(self, identifier: Identifier, reports: Reports, metrics: Metrics) -> None:
        """Take who identifies pods and who keeps what they say."""
        self._identifier = identifier
        self._reports = reports
        self._metrics = metrics

    def application(self) -> web.Application:
        """Return the application."""
        application = web.Application(client_max_size=_MOST_BYTES)
        application.router.add_post("/{path:.*}", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.Response:
        """Take a report and answer 204, or say why not."""
        try:
            answer = await self._take(request)
        except web.HTTPException as error:
            self._metrics.reported(error.status)
            raise
        self._metrics.reported(answer.status)
        return answer

    async def _take(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return web.Response(status=401, text="a bearer token is needed\n")
        try:
            identity = await asyncio.to_thread(self._identifier.identify, token)
        except UnknownPodError as error:
            return web.Response(status=403, text=f"{error}\n")
        except KubeError as error:
            _log.warning("a progress report could not be checked: %s", error)
            return web.Response(status=503, text="the token could not be checked; report again later\n")
        if self._reports.too_soon(identity.pod_uid):
            return web.Response(status=429, text="once a second is enough\n")
        try:
            progress = Progress.model_validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=422, text=f"not a progress report: {error}\n")
        self._reports.add(identity.parent, identity.pod_uid, progress)
        return web.Response(status=204)
