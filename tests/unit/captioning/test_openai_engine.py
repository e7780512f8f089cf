"""The engine that asks a server, against one that misbehaves as planned."""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from builders.chat_server import (
    Reply,
    Together,
    dribbles,
    hangs_up,
    repeats_the_key,
    says,
    sends,
    serving,
)
from PIL import Image

from fathom.captioning.engines import Answer, Question, UnansweredError, open_engine
from fathom.captioning.engines.openai_engine import ENV_KEY, LONGEST_EDGE, OpenAIEngine, as_data_url
from fathom.captioning.engines.retrying import Passing, Retries, retry_after
from fathom.captioning.media import Clip
from fathom.errors import InvalidInputError
from fathom_api.captioning import Endpoint
from fathom_api.tasks import AnyModel

KEY = "sk-very-secret-0123456789"
RED = Image.new("RGB", (40, 30), "red")
SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
UNREACHABLE = "http://127.0.0.1:9/v1"


class Waits:
    """Waits that take no time, and how long they would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def engine(url: str, waits: Waits | None = None, key: str | None = KEY, **fields: Any) -> OpenAIEngine:
    endpoint = Endpoint.model_validate({"url": url, "model": "acme/vlm", "timeout": "2s", **fields})
    return OpenAIEngine(endpoint, key, sleep=waits or Waits())


def ask(picture: Image.Image = RED, **fields: Any) -> Question:
    return Question("caption", "What is it?", Clip((picture,), ()), **{"max_new_tokens": 6, **fields})


def test_a_request_holds_picture_prompt_and_key() -> None:
    with serving(says("a red\n square")) as server:
        [answer] = engine(server.url).answer([ask()])
    assert isinstance(answer, Answer)
    assert (answer.text, answer.tokens, answer.finish) == ("a red square", 3, "Stop")
    [request] = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert (request.body["model"], request.body["max_tokens"], request.body["temperature"]) == (
        "acme/vlm",
        6,
        0,
    )
    picture, text = request.body["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    jpeg = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(jpeg)).size == RED.size


def test_without_a_key_none_is_sent() -> None:
    with serving(says("a")) as server:
        engine(server.url, key=None).answer([ask()])
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize("size", [(5000, 100), (100, 5000), (LONGEST_EDGE + 1, LONGEST_EDGE)])
def test_large_pictures_are_sent_small_and_always_the_same(size: tuple[int, int]) -> None:
    picture = Image.effect_noise(size, 60).convert("RGB")
    url = as_data_url(picture)
    assert url == as_data_url(picture.copy())
    sent = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert max(sent.size) == LONGEST_EDGE
    assert picture.size == size, "the caller's picture is left alone"


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(sends({"error": "busy"}, 429), id="too many requests"),
        pytest.param(sends({"error": "oops"}, 500), id="a server error"),
        pytest.param(sends(b"<html>Bad gateway</html>", 502), id="a proxy's page"),
        pytest.param(sends({"error": "starting"}, 503), id="not ready"),
        pytest.param(sends({"error": "slow"}, 408), id="a timeout of the server's"),
        pytest.param(sends(b'{"choices": [{"mess'), id="JSON that was cut off"),
        pytest.param(sends(b"<html>Welcome</html>"), id="no JSON at all"),
        pytest.param(sends({"choices": []}), id="no choices"),
        pytest.param(sends({"choices": [{"text": "old"}]}), id="another schema"),
        pytest.param(sends(["a"]), id="a list"),
        pytest.param(sends(b" " * (2 << 20)), id="an endless answer"),
        pytest.param(hangs_up, id="a closed connection"),
        pytest.param(dribbles, id="an answer a byte at a time"),
    ],
)
def test_what_may_pass_is_tried_again(failure: Reply) -> None:
    waits = Waits()
    with serving(failure, failure, says("at last")) as server:
        [answer] = engine(server.url, waits, timeout="300ms").answer([ask()])
    assert isinstance(answer, Answer), answer
    assert answer.text == "at last"
    assert len(waits.seconds) == 2
    assert len(server.requests) == 3


def test_waits_grow_and_differ() -> None:
    def fail() -> None:
        raise Passing("busy")

    last: list[float] = []
    for _ in range(20):
        waits = Waits()
        with pytest.raises(Passing):
            Retries(5, 1.0, waits).call(fail)
        assert all(0 <= wait <= 2**n for n, wait in enumerate(waits.seconds))
        last.append(waits.seconds[-1])
    assert max(last) > 4
    assert len(set(last)) == len(last), "clients that failed together do not come back together"


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_says_how_long_to_wait(status: int) -> None:
    waits = Waits()
    with serving(sends({}, status, Retry_After="17"), says("now")) as server:
        engine(server.url, waits).answer([ask()])
    assert 17 <= waits.seconds[0] < 18


def test_a_wait_beyond_the_deadline_is_not_waited_for() -> None:
    waits = Waits()
    with serving(sends({}, 429, Retry_After="86400")) as server:
        [error] = engine(server.url, waits).answer([ask()])
    assert isinstance(error, UnansweredError)
    assert waits.seconds == []


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        pytest.param(lambda: "3", 3, 3, id="seconds"),
        pytest.param(lambda: "0", 0, 0, id="at once"),
        pytest.param(lambda: _in_seconds(600), 500, 600, id="a date to come"),
        pytest.param(lambda: _in_seconds(-600), 0, 0, id="a date gone by"),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: Callable[[], str], least: float, most: float) -> None:
    waited = retry_after(header())
    assert waited is not None
    assert least <= waited <= most


def _in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds))


@pytest.mark.parametrize("header", [None, "", "soon", "-5", "1e99", "nan"])
def test_a_retry_after_that_says_nothing_is_none(header: str | None) -> None:
    assert retry_after(header) is None


def test_retries_end() -> None:
    with serving(sends({"error": "out of order"}, 500)) as server:
        [error] = engine(server.url, maxRetries=2).answer([ask()])
    assert len(server.requests) == 3
    assert isinstance(error, UnansweredError)
    assert error.reason == "EndpointUnavailable"
    assert error.transient, "another run asks again"
    assert "out of order" in str(error)


def test_a_server_that_fails_for_long_fails_the_pod_not_the_items() -> None:
    asker = engine(UNREACHABLE, maxRetries=0)
    with pytest.raises(Passing, match="ConnectError"):
        asker.answer([ask() for _ in range(40)])


def test_one_item_that_the_server_fails_on_is_an_error_of_its_own() -> None:
    plan: list[Reply] = [says("a"), *[sends({}, 500)] * 3, says("b")]
    with serving(*plan) as server:
        results = engine(server.url, maxRetries=2, concurrency=1).answer([ask(), ask(), ask()])
    assert [isinstance(result, Answer) for result in results] == [True, False, True]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(sends({"error": "bad image"}, 400), "RefusedByModel", id="a picture it cannot take"),
        pytest.param(sends({"error": "too large"}, 413), "RefusedByModel", id="a request too large"),
        pytest.param(says("", "content_filter"), "ContentFilter", id="a content filter"),
        pytest.param(says(None, refusal="I will not"), "RefusedByModel", id="a model that declines"),
        pytest.param(says(None, "tool_calls"), "NoAnswer", id="no text"),
    ],
)
def test_a_refusal_of_one_picture_is_an_error_of_its_item(reply: Reply, reason: str) -> None:
    with serving(reply, says("fine")) as server:
        error, answer = engine(server.url, concurrency=1).answer([ask(), ask()])
    assert isinstance(error, UnansweredError)
    assert (error.reason, error.transient) == (reason, False)
    assert isinstance(answer, Answer)
    assert len(server.requests) == 2, "a refusal is not tried again"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(sends({"error": "who are you"}, 401), "Unauthorized", id="no such key"),
        pytest.param(sends({"error": "not you"}, 403), "Unauthorized", id="not allowed"),
        pytest.param(sends({"error": "no such model"}, 404), "ModelNotFound", id="no such model"),
        pytest.param(
            sends({}, 307, Location="http://169.254.169.254/"), "EndpointRefuses", id="sent elsewhere"
        ),
        pytest.param(sends({"error": "POST?"}, 405), "EndpointRefuses", id="no such method"),
    ],
)
def test_a_wrong_endpoint_is_an_error_of_the_task_at_once(reply: Reply, reason: str) -> None:
    with serving(reply) as server, pytest.raises(InvalidInputError) as error:
        engine(server.url, concurrency=1).answer([ask()])
    assert error.value.reason == reason
    assert len(server.requests) == 1


def test_a_server_that_refuses_every_question_is_an_error_of_the_task() -> None:
    with (
        serving(sends({"error": "unknown parameter"}, 400)) as server,
        pytest.raises(InvalidInputError) as error,
    ):
        engine(server.url, concurrency=2).answer([ask() for _ in range(40)])
    assert error.value.reason == "EndpointRefuses"
    assert "unknown parameter" in str(error.value)


def test_no_more_requests_are_under_way_than_allowed() -> None:
    together = Together(4)
    with serving(together) as server:
        results = engine(server.url, concurrency=4).answer([ask() for _ in range(12)])
    assert all(isinstance(result, Answer) for result in results)
    assert together.most == 4


def test_an_answer_that_was_cut_off_says_so() -> None:
    with serving(says("a red and", "length")) as server:
        [answer] = engine(server.url).answer([ask()])
    assert isinstance(answer, Answer)
    assert answer.finish == "Length"


def test_a_schema_goes_with_the_request_and_the_answer_is_checked() -> None:
    with serving(says('{"mood":  "calm"}'), says('{"colour": "red"}')) as server:
        good, bad = engine(server.url, concurrency=1).answer(
            [ask(json_schema=SCHEMA), ask(json_schema=SCHEMA)]
        )
    sent = server.requests[0].body["response_format"]
    assert (sent["type"], sent["json_schema"]["schema"]) == ("json_schema", SCHEMA)
    assert isinstance(good, Answer)
    assert good.text == '{"mood":"calm"}'
    assert isinstance(bad, UnansweredError)
    assert bad.reason == "NotTheSchema"


def test_the_key_is_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(repeats_the_key) as server, pytest.raises(InvalidInputError) as error:
        engine(server.url).answer([ask()])
    assert "[key]" in str(error.value)
    chain = f"{error.value!r} {error.value.__cause__!r} {error.value.__context__!r}"
    assert KEY not in chain + caplog.text


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_KEY, f"{KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    with serving(says("a")) as server:
        document = {"engine": "OpenAI", "endpoint": {"url": server.url, "model": "m"}}
        open_engine(AnyModel.model_validate(document)).answer([ask()])
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("value", [None, " ", "clé\n", "a\nb"])
def test_a_key_that_is_wanted_and_not_there_is_an_error_of_the_task(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENV_KEY, raising=False)
    if value is not None:
        monkeypatch.setenv(ENV_KEY, value)
    endpoint = {"url": UNREACHABLE, "model": "m", "apiKey": {"name": "s", "key": "k"}}
    with pytest.raises(InvalidInputError) as error:
        open_engine(AnyModel.model_validate({"engine": "OpenAI", "endpoint": endpoint}))
    assert error.value.reason == "NoApiKey"
    assert not value or value.strip() not in str(error.value) or not value.strip()


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param({"concurrency": 99, "timeout": "9s", "maxRetries": 1}, True, id="how it is asked"),
        pytest.param({"url": "https://elsewhere.example.com/v1"}, True, id="where it is asked"),
        pytest.param({"model": "acme/other"}, False, id="another model"),
        pytest.param({"version": "2"}, False, id="another version"),
    ],
)
def test_the_digest_follows_the_model_and_its_version(changed: dict[str, Any], same: bool) -> None:
    assert (engine(changed.pop("url", UNREACHABLE), **changed).digest == engine(UNREACHABLE).digest) is same


@pytest.mark.parametrize("text", ["<image> a", "</s>", "<|im_start|>system", "[INST] no [/INST]", "<<SYS>>"])
def test_markup_of_known_models_is_pulled_apart(text: str) -> None:
    marks = re.findall(r"\S*[<\[]\S+", text)
    cleaned = engine(UNREACHABLE).clean(text)
    assert marks
    assert not any(mark in cleaned for mark in marks)
