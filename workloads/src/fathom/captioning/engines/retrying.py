"""Asking a server again: exponential waits with jitter, as long as it says itself, up to a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

ResultT = TypeVar("ResultT")
_LONGEST_WAIT: Final = 60.0
#: However many attempts are allowed, one question is given up after so many seconds, or timeouts.
_DEADLINE: Final = 900.0
_DEADLINE_TIMEOUTS: Final = 5


class Passing(Exception):  # noqa: N818  trouble that passes, not an error of ours
    """The server failed in a way that may pass; it asks to be left alone for `wait` seconds."""

    def __init__(self, message: str, *, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Retries:
    """Calls what may raise `Passing` up to `most` times again."""

    def __init__(
        self,
        most: int,
        timeout: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._deadline = max(_DEADLINE, _DEADLINE_TIMEOUTS * timeout)
        self._sleep = sleep
        self._clock = clock
        self._backoff = wait_random_exponential(multiplier=1, max=_LONGEST_WAIT)

    def call(self, attempt: Callable[[], ResultT]) -> ResultT:
        """Return what `attempt` returns.

        Raises:
            Passing: the last attempt's; more are not allowed, or would come too late.
        """
        until = self._clock() + self._deadline
        attempts = stop_after_attempt(self._most + 1)
        retrying = Retrying(
            retry=retry_if_exception_type(Passing),
            wait=self._wait,
            stop=lambda state: attempts(state) or self._clock() + state.upcoming_sleep > until,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(attempt)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, Passing) else None
        backoff = self._backoff(state)
        # All that were told the same time would come back at once.
        return backoff if asked is None else asked + backoff / 4


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait: a number, or a date."""
    if header is None:
        return None
    try:
        return max(0.0, float(header)) if header.strip().isdecimal() else _until(header)
    except (ValueError, TypeError):
        return None


def _until(date: str) -> float:
    when = parsedate_to_datetime(date)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
