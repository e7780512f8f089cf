"""Requests at a steady rate, measured; runs in a pod with nothing but Python: `python -` reads it.

Its argument is JSON: `ways` (host, port, headers) by name, `path`, `body`, and `turns` (way, seconds, rate,
seed; rate null asks as fast as answers come, over four connections). A line of JSON for each turn: seconds
from when each request was due until it was answered, and errors.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

#: Connections: of a steady rate, and of asking as fast as possible.
STEADY, GREEDY = 16, 4


class Due:
    """When requests are due: a Poisson process, or at once; several threads may take from it."""

    def __init__(self, rate: float | None, seed: int) -> None:
        self._chance, self._rate, self._at = random.Random(seed), rate, time.monotonic()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[float]:
        return self

    def __next__(self) -> float:
        if self._rate is None:
            return time.monotonic()
        with self._lock:
            self._at += self._chance.expovariate(self._rate)
            return self._at


class Turn:
    """Requests by one way for some seconds; each thread has a connection of its own."""

    def __init__(self, told: dict[str, Any], turn: dict[str, Any]) -> None:
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self._way = told["ways"][turn["way"]]
        self._path, self._body = told["path"], told["body"].encode()
        self._count = STEADY if turn["rate"] else GREEDY
        self._due, self._end = Due(turn["rate"], turn["seed"]), time.monotonic() + turn["seconds"]

    def run(self) -> None:
        """Ask until the end."""
        threads = [threading.Thread(target=self._ask) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._way["host"], self._way["port"], timeout=30)
        headers = {"content-type": "application/json", **self._way["headers"]}
        for at in self._due:
            if at >= self._end:
                break
            time.sleep(max(0.0, at - time.monotonic()))
            try:
                connection.request("POST", self._path, self._body, headers)
                response = connection.getresponse()
                content = response.read()
                if response.status != http.HTTPStatus.OK:
                    self.errors.append(f"{response.status} {content[:80]!r}")
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection.close()
            self.seconds.append(time.monotonic() - at)
        connection.close()


def main() -> None:
    """Do all turns."""
    told = json.loads(sys.argv[1])
    for each in told["turns"]:
        turn = Turn(told, each)
        turn.run()
        print(json.dumps({"way": each["way"], "seconds": turn.seconds, "errors": turn.errors}), flush=True)


if __name__ == "__main__":
    main()
