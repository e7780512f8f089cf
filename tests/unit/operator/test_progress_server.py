"""The endpoint that pods post to: what it answers, and that nothing gets further without a name."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fathom_api.progress import Progress
from fathom_operator.identify import Identifier, Identity, UnknownPodError
from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import KubeError
from fathom_operator.metrics import Metrics
from fathom_operator.plan import Key
from fathom_operator.progress_server import ProgressServer
from fathom_operator.reports import Reports

JOB = Key("CaptionJob", "shop", "catalog")
GOOD = Progress(total=10, done=3).model_dump_json(by_alias=True)


class Known(Identifier):
    """Knows one token."""

    def __init__(self) -> None:
        super().__init__(Kube.__new__(Kube))

    def identify(self, token: str) -> Identity:
        if token == "timeout":
            raise KubeError(0, "", "no answer")
        if token != "good":
            raise UnknownPodError("the token was not made for a pod")
        return Identity(JOB, "pod-uid")


class Server:
    """The server with what it keeps."""

    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.reports = Reports(lambda key, _: self.woken.append(key))
        self.metrics = Metrics(lambda: 0, lambda: True)

    def application(self) -> web.Application:
        return ProgressServer(Known(), self.reports, self.metrics).application()

    def posts(self, *requests: tuple[str, str]) -> list[int]:
        """Return the answers to (authorization, body)."""

        async def post() -> list[int]:
            async with TestClient(TestServer(self.application())) as client:
                return [
                    (await client.post("/v1/progress", data=body, headers={"Authorization": who})).status
                    for who, body in requests
                ]

        return asyncio.run(post())


ANSWERS = [
    pytest.param("Bearer good", GOOD, 204, id="a pod of ours: taken"),
    pytest.param("", GOOD, 401, id="no token"),
    pytest.param("Basic good", GOOD, 401, id="another scheme"),
    pytest.param("Bearer stolen", GOOD, 403, id="a token of nobody we expect"),
    pytest.param("Bearer timeout", GOOD, 503, id="the API server does not answer: later"),
    pytest.param("Bearer good", "{", 422, id="no JSON"),
    pytest.param("Bearer good", '{"done": "many"}', 422, id="no progress report"),
    pytest.param("Bearer good", "x" * 20_000, 413, id="more than a report can be"),
]


@pytest.mark.parametrize(("who", "body", "answer"), ANSWERS)
def test_answers(who: str, body: str, answer: int) -> None:
    server = Server()
    assert server.posts((who, body)) == [answer]
    assert (server.woken == [JOB]) == (answer == 204)
    assert (server.reports.of(JOB) != {}) == (answer == 204)
    counted = server.metrics.registry.get_sample_value(
        "fathom_operator_progress_reports_total", {"answer": str(answer)}
    )
    assert counted == 1


def test_a_pod_that_reports_without_pause_is_told_so() -> None:
    assert Server().posts(("Bearer good", GOOD), ("Bearer good", GOOD)) == [204, 429]
