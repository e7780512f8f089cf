"""`fathom serve` as a process: it starts, answers over a socket, and stops without dropping a request."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fathom.cli", "serve", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def process(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    options = [
        "--bundle",
        str(folder),
        "--model-name",
        "movies",
        "--model-version",
        "v-1",
        "--port",
        str(port),
    ]
    with start(*options) as process:
        yield process
        process.kill()


@retry(retry=retry_if_exception_type(httpx.TransportError), stop=stop_after_delay(120), wait=wait_fixed(0.2))
def wait_until_ready(port: int) -> None:
    assert httpx.get(f"http://127.0.0.1:{port}/v2/models/movies/ready").json() == {
        "name": "movies",
        "ready": True,
    }


def read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        piece = connection.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    return received


def test_a_request_in_flight_is_answered_after_sigterm(process: subprocess.Popen[str], port: int) -> None:
    wait_until_ready(port)
    body = json.dumps({"instances": [{"user_id": "u0", "k": 3}]}).encode()
    head = f"POST /v1/models/movies:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"{head}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert b"100 Continue" in read_until(connection, b"\r\n\r\n")
        process.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.ConnectError):
            poll_while_open(port)
        connection.sendall(body)
        answer = read_until(connection, b"}")
    assert b"200 OK" in answer
    assert b"x-fathom-version: v-1" in answer
    assert process.wait(timeout=30) == 0


@retry(
    retry=retry_if_exception_type(AssertionError),
    stop=stop_after_delay(30),
    wait=wait_fixed(0.05),
    reraise=True,
)
def poll_while_open(port: int) -> None:
    """Raise ConnectError as soon as nobody listens any more."""
    httpx.get(f"http://127.0.0.1:{port}/v2/health/live")
    raise AssertionError("still listening")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param([], "give --bundle FOLDER", id="no bundle"),
        pytest.param(["--bundle", "/nowhere"], "nothing there", id="a folder that is not there"),
        pytest.param(["--bundle", "{empty}"], "it was never finished", id="a folder without a bundle"),
    ],
)
def test_without_a_good_bundle_it_ends_with_65(tmp_path: Path, options: list[str], says: str) -> None:
    with start(*(option.format(empty=tmp_path) for option in options)) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 65, errors
    assert says in errors
    assert json.loads(output)["result"] == "Failed"
