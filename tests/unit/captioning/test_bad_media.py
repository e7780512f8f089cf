"""Whatever the media column holds: a clear reason or a picture, in bounded memory and time."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders.bad_media import CAPTIONED, KINDS, Kind, Place
from builders.pictures import parquet
from builders.web import Server, serving

from fathom.captioning import media
from fathom.captioning.media import UnusableMediaError
from fathom.captioning.media.fetching import Fetcher
from fathom_api.progress import ENV_VOLUMES
from fathom_api.tasks import AnySource

#: Most that one medium may add to what the process holds, and take, on a machine under load.
MOST_MEMORY = 600 * 2**20
MOST_SECONDS = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def place(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Two claims, the web server, and hosts below wild.test that are this machine."""
    monkeypatch.setenv(ENV_VOLUMES, str(tmp_path))
    for name in ("media", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret.png").write_bytes(b"secret")
    parquet(tmp_path / "media" / "t.parquet", item_id=["a"], image=["x"])
    real = socket.getaddrinfo

    def lookup(host: str, *arguments: Any, **options: Any) -> Any:
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1" if host.endswith(".test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(media, "_fetcher", lambda process, source: quick(source))
    server.busy = 2
    return Place(tmp_path / "media", tmp_path / "other", server.origin)


def quick(source: str) -> Fetcher:
    """A fetcher whose seconds are short."""
    origins = media._origins(source)
    # Longer than the second wait may be, which by chance is up to two seconds.
    return Fetcher(origins, total=3.0, silence=0.4, sleep=lambda seconds: None)


def source(place: Place, **fields: Any) -> AnySource:
    return AnySource.model_validate(
        {
            "uri": f"pvc://{place.claim.name}/t.parquet",
            "allowedOrigins": [place.web, "http://*.wild.test", "https://img.test", "http://127.0.0.1:9"],
            **fields,
        }
    )


def outcome_of(value: Any, where: AnySource) -> tuple[str, bool]:
    """Read and decode; return the reason and whether it passes."""
    try:
        clip = media.decode(media.read(value, where), where)
    except UnusableMediaError as error:
        text = str(error)
        return (error.reason if text.isprintable() and len(text) < 500 else text), error.transient
    is_video = where.media_type == "Video"
    whole = {f.mode for f in clip.frames} == {"RGB"} and len(clip.times) == len(clip.frames) * is_video
    return (CAPTIONED if whole else "not a clip"), False


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.group}: {kind.name}")
def test_every_kind_of_media_has_its_outcome(kind: Kind, place: Place) -> None:
    where = source(place, **kind.source)
    value = kind.value(place)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    outcome, transient = outcome_of(value, where)
    assert (outcome, transient) == (kind.outcome, kind.transient)
    assert time.monotonic() - began < MOST_SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_MEMORY


def test_the_corpus_is_large_and_its_kinds_differ() -> None:
    names = [(kind.group, kind.name) for kind in KINDS]
    assert len(set(names)) == len(names) >= 60


def test_an_endless_answer_is_not_read_to_its_end(server: Server, place: Place) -> None:
    where = source(place)
    server.sent = 0
    with pytest.raises(UnusableMediaError):
        media.read(f"{server.origin}/endless", where)
    assert server.sent < 2 * media.MAX_BYTES


def test_nobody_is_asked_at_an_address_that_a_redirect_may_not_lead_to(server: Server, place: Place) -> None:
    server.asked.clear()
    with pytest.raises(UnusableMediaError, match=r"169\.254\.169\.254"):
        media.read(f"{server.origin}/to-metadata", source(place))
    assert server.asked == ["/to-metadata"]
