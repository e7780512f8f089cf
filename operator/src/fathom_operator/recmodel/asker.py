"""Asks Prometheus servers and webhooks: all at once, bounded in time and size, and never twice a look."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from fathom_api.analysis import SecretKey
from fathom_operator.analysis.questions import SECONDS, Answer, Question, QuestionKey

#: One number or one verdict is asked for.
_MOST_BYTES: Final = 256 * 2**10
_AT_ONCE: Final = 16


class TokenError(Exception):
    """A bearer token cannot be had; the message says why and what to do."""


#: Returns a bearer token; raises TokenError.
Tokens = Callable[[SecretKey], str]
#: Asks, and answers each question: a body, or why there is none.
Asker = Callable[[Mapping[QuestionKey, Question], Tokens], dict[QuestionKey, Answer]]


class HttpAsker:
    """Asks over HTTP: no redirect, no second try before the next look."""

    def __init__(self, *, seconds: float = SECONDS, most_bytes: int = _MOST_BYTES) -> None:
        """Take what an answer may take: all of it, however slowly it comes, and the name's look-up too."""
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, asked: Mapping[QuestionKey, Question], tokens: Tokens) -> dict[QuestionKey, Answer]:
        """Return the answers."""
        out, going = dict[QuestionKey, Answer](), dict[QuestionKey, tuple[Question, str | None]]()
        for key, question in asked.items():
            try:
                going[key] = question, tokens(question.token) if question.token else None
            except TokenError as error:
                out[key] = Answer(why=str(error))
        return out | (self._run(self._ask_all(going)) if going else {})

    def _run(self, work: Coroutine[Any, Any, dict[QuestionKey, Answer]]) -> dict[QuestionKey, Answer]:
        """Run `work` on a loop of our own that never ends: one that ends waits for names still looked up."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="asker", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _ask_all(
        self, asked: Mapping[QuestionKey, tuple[Question, str | None]]
    ) -> dict[QuestionKey, Answer]:
        turns = asyncio.Semaphore(_AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=self._seconds)
        async with aiohttp.ClientSession(timeout=timeout) as session:

            async def ask(question: Question, token: str | None) -> Answer:
                async with turns:
                    return await self._ask(session, question, token)

            answers = await asyncio.gather(*(ask(*each) for each in asked.values()))
        return dict(zip(asked, answers, strict=True))

    async def _ask(self, session: aiohttp.ClientSession, question: Question, token: str | None) -> Answer:
        host = urlsplit(question.url).netloc
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with session.post(
                question.url,
                data=question.form,
                json=question.document,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > self._most_bytes:
                        return Answer(why=f"{host} answers with more than {self._most_bytes} bytes")
                return _read(host, answer.status, bytes(body))
        except TimeoutError:
            return Answer(why=f"{host} gives no answer within {self._seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(why=f"{host} does not answer: {type(error).__name__}: {error}"[:300])


def _read(host: str, status: int, body: bytes) -> Answer:
    try:
        parsed = json.loads(body)
    except ValueError:
        what = "no JSON" if status == 200 else f"HTTP {status}"
        return Answer(why=f"{host} answers with {what}")
    # Prometheus says in JSON what is wrong with a query, under 400 and 422.
    if status == 200 or (status in {400, 422} and isinstance(parsed, dict)):
        return Answer(parsed)
    return Answer(why=f"{host} answers with HTTP {status}")
