"""Reads `/metrics` of pods over the pod network: many at once, bounded in time and size."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import aiohttp

from fathom_operator.analysis.counts import Scrape
from fathom_operator.analysis.scrape import UnreadableMetricsError, read
from fathom_operator.recmodel.predictor import PORT
from fathom_operator.views import PodView

#: Reads pods: their counters by name. A pod that cannot be read is left out.
Scraper = Callable[[Iterable[PodView]], dict[str, Scrape]]

_SECONDS: Final = 2.0
#: Some hundred kB are usual.
_MOST_BYTES: Final = 4 * 2**20
_AT_ONCE: Final = 32


class PodScraper:
    """Asks pods themselves: no proxy, no redirect, no second try before the next look."""

    def __init__(self, port: int = PORT, *, seconds: float = _SECONDS, most_bytes: int = _MOST_BYTES) -> None:
        """Take where pods listen, and what an answer may take: all of it, however slowly it comes."""
        self._port = port
        self._most_bytes = most_bytes
        self._timeout = aiohttp.ClientTimeout(total=seconds)

    def __call__(self, pods: Iterable[PodView]) -> dict[str, Scrape]:
        """Return what each pod has counted, by name."""
        asked = list(pods)
        answers = asyncio.run(self._ask_all(asked)) if asked else []
        out = dict[str, Scrape]()
        for pod, text in zip(asked, answers, strict=True):
            try:
                if text is not None:
                    out[pod.name] = read(text, pod.run)
            except UnreadableMetricsError:
                continue
        return out

    async def _ask_all(self, pods: list[PodView]) -> list[str | None]:
        turns = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession(timeout=self._timeout, auto_decompress=False) as session:

            async def ask(pod: PodView) -> str | None:
                async with turns:
                    return await self._ask(session, pod)

            return await asyncio.gather(*map(ask, pods))

    async def _ask(self, session: aiohttp.ClientSession, pod: PodView) -> str | None:
        body = bytearray()
        try:
            async with session.get(
                f"http://{pod.host}:{self._port}/metrics", allow_redirects=False
            ) as answer:
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > self._most_bytes:
                        return None
                return body.decode() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
