"""What is asked of others over the network, and what is made of those that misbehave."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest
from builders.endless import Endless, serving

from fathom_api.analysis import SecretKey
from fathom_operator.analysis.questions import Answer, Question
from fathom_operator.kube.errors import KubeError
from fathom_operator.recmodel.asker import HttpAsker, TokenError
from fathom_operator.recmodel.secrets import tokens

KEY = ("p", "Both")


class Other(Endless, BaseHTTPRequestHandler):
    """A server, well behaved or not."""

    #: Status and body of its answer.
    answer: tuple[int, bytes] = (200, b'{"verdict": "Pass"}')
    manner = "well"
    heard: ClassVar[list[tuple[str, str | None]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.heard.append((body, self.headers.get("Authorization")))
        status, answer = self.answer
        self.send_response(302 if self.manner == "moved" else status)
        if self.manner == "moved":
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        if self.manner == "slow":
            self.endlessly(b" ", 0.02)
        elif self.manner == "endless":
            self.endlessly(b" " * 10_000, 0.0)
        else:
            self.wfile.write(answer)


@pytest.fixture
def other() -> Iterator[type[Other]]:
    class Here(Other):
        heard: ClassVar[list[tuple[str, str | None]]] = []
        url = ""

    with serving(Here) as server:
        Here.url = f"http://127.0.0.1:{server.server_port}/"
        yield Here


def no_tokens(key: SecretKey) -> str:
    raise TokenError("no Secret")


def ask(url: str, asker: HttpAsker | None = None, **question: Any) -> Answer:
    asked = Question(url, **({"document": {"a": 1}} | question))
    return (asker or HttpAsker())({KEY: asked}, lambda key: f"token of {key.name}")[KEY]


def test_a_webhook_gets_json_and_its_token(other: Any) -> None:
    answer = ask(other.url, document={"step": 1}, token=SecretKey(name="judge"))
    assert answer == Answer({"verdict": "Pass"})
    assert other.heard == [('{"step": 1}', "Bearer token of judge")]


def test_prometheus_gets_a_form(other: Any) -> None:
    ask(other.url, document=None, form={"query": "up{a='b'}"})
    assert other.heard == [("query=up%7Ba%3D%27b%27%7D", None)]


def test_what_prometheus_says_of_a_bad_query_is_read(other: Any) -> None:
    other.answer = (400, json.dumps({"status": "error", "error": "parse error"}).encode())
    assert ask(other.url).body == {"status": "error", "error": "parse error"}


@pytest.mark.parametrize(
    ("manner", "answer", "why"),
    [
        pytest.param("well", (500, b"{}"), "answers with HTTP 500", id="ill"),
        pytest.param("well", (503, b"<html>"), "answers with HTTP 503", id="ill, in HTML"),
        pytest.param("well", (200, b"<html>"), "answers with no JSON", id="foreign"),
        pytest.param("moved", (302, b"{}"), "answers with HTTP 302", id="moved: whither is anybody's guess"),
        pytest.param("slow", (200, b""), "gives no answer within 0.3 s", id="slow"),
        pytest.param("endless", (200, b""), "answers with more than 50000 bytes", id="endless"),
    ],
)
def test_who_misbehaves_says_nothing(other: Any, manner: str, answer: tuple[int, bytes], why: str) -> None:
    other.manner, other.answer = manner, answer
    asker = HttpAsker(seconds=0.3 if manner == "slow" else 5, most_bytes=50_000)
    found = ask(other.url, asker)
    assert found.body is None
    assert why in found.why


def test_nobody_there_is_no_answer() -> None:
    assert "does not answer" in ask("http://127.0.0.1:1/").why


def test_the_slow_do_not_keep_the_others_waiting(other: Any) -> None:
    other.manner = "slow"
    asker = HttpAsker(seconds=0.3)
    asked = {(f"m{n}", "Both"): Question(other.url, document={}) for n in range(8)}
    began = time.monotonic()
    assert len(asker(asked, no_tokens)) == 8  # type: ignore[arg-type]
    assert time.monotonic() - began < 2


def test_without_its_token_nothing_is_sent(other: Any) -> None:
    asked = {KEY: Question(other.url, document={}, token=SecretKey(name="judge"))}
    assert HttpAsker()(asked, no_tokens)[KEY].why == "no Secret"  # type: ignore[arg-type]
    assert other.heard == []


class Secrets:
    """An API server that has, or has not, one Secret."""

    def __init__(self, answer: dict[str, Any] | KubeError | None) -> None:
        self.answer = answer

    def get(self, resource: object, namespace: str, name: str) -> dict[str, Any] | None:
        assert (namespace, name) == ("shop", "judge")
        if isinstance(self.answer, KubeError):
            raise self.answer
        return self.answer


def token(answer: Any, key: str = "token") -> str:
    return tokens(Secrets(answer), "shop")(SecretKey(name="judge", key=key))  # type: ignore[arg-type]


def test_a_token_is_an_entry_of_a_secret() -> None:
    assert token({"data": {"token": "czNjcjN0Cg=="}}) == "s3cr3t"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(None, "no Secret judge in namespace shop: create it", id="no Secret"),
        pytest.param({"data": {}}, "has no token: add it", id="another entry"),
        pytest.param({"data": {"token": "/w=="}}, "is no token", id="no text"),
        pytest.param(KubeError(403, "Forbidden", "no"), "rbac.readTokens=true", id="it may not be read"),
        pytest.param(KubeError(0, "", "timed out"), "cannot be read now", id="no answer"),
    ],
)
def test_a_token_that_cannot_be_had_says_why(answer: Any, why: str) -> None:
    with pytest.raises(TokenError, match=why):
        token(answer)
