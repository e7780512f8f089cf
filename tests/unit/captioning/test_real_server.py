"""The engine that asks a server, against a real one: `transformers serve` with a small LLaVA."""

from __future__ import annotations

import base64
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from fathom.captioning.engines import Answer, Question, UnansweredError, open_engine
from fathom.captioning.engines.openai_engine import as_data_url
from fathom.captioning.media import Clip
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnyModel

START_SECONDS = 240
PROMPT = "What is it?"
PICTURES = [
    Image.new("RGB", size, colour)
    for colour, size in (("red", (64, 48)), ("blue", (30, 90)), ("white", (56, 56)))
]


@pytest.fixture(scope="module")
def server(llava_checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a server that has the checkpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    argv = ["serve", llava_checkpoint, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    command = [str(Path(sys.executable).with_name("transformers")), *argv]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=quiet) as process:
        try:
            _wait(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    process.terminate()
    pytest.fail(f"transformers serve did not start:\n{log.read_text()[-3000:]}")


def endpoint(url: str, model: str) -> AnyModel:
    where = {"url": url, "model": model, "maxRetries": 1, "concurrency": 3, "timeout": "60s"}
    return AnyModel.model_validate({"engine": "OpenAI", "endpoint": where})


def ask(picture: Image.Image) -> Question:
    return Question("caption", PROMPT, Clip((picture,), ()), 6)


def as_sent(picture: Image.Image) -> Image.Image:
    """The picture as the server sees it."""
    return Image.open(io.BytesIO(base64.b64decode(as_data_url(picture).partition(",")[2]))).convert("RGB")


def test_a_real_server_says_what_the_model_says_in_the_pod(server: str, llava_checkpoint: str) -> None:
    local = open_engine(AnyModel.model_validate({"uri": llava_checkpoint}))
    here = local.answer([ask(as_sent(picture)) for picture in PICTURES])
    there = open_engine(endpoint(server, llava_checkpoint)).answer([ask(picture) for picture in PICTURES])
    assert all(isinstance(answer, Answer) for answer in there), there
    assert [(a.text, a.finish) for a in there if isinstance(a, Answer)] == [
        (a.text, a.finish) for a in here if isinstance(a, Answer)
    ]
    assert all(answer.tokens == 6 for answer in there if isinstance(answer, Answer))


def test_a_real_server_is_asked_about_several_frames(server: str, llava_checkpoint: str) -> None:
    clip = Clip(tuple(as_sent(picture) for picture in PICTURES), (0.0, 1.0, 2.0))
    [answer] = open_engine(endpoint(server, llava_checkpoint)).answer([Question("caption", PROMPT, clip, 6)])
    assert isinstance(answer, Answer)
    assert answer.text


def test_what_a_real_server_says_is_checked_though_it_guides_no_decoding(
    server: str, llava_checkpoint: str
) -> None:
    engine = open_engine(endpoint(server, llava_checkpoint))
    [error] = engine.answer([Question("mood", PROMPT, Clip((PICTURES[0],), ()), 6, {"type": "object"})])
    assert isinstance(error, UnansweredError)
    assert error.reason == "NotTheSchema"


def test_a_wrong_path_at_a_real_server_is_an_error_of_the_task(server: str, llava_checkpoint: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        open_engine(endpoint(f"{server}/nowhere", llava_checkpoint)).answer([ask(PICTURES[0])])
    assert error.value.reason == "ModelNotFound"
