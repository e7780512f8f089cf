"""Which hosts are asked, at which addresses, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from builders.web import PICTURE, Server, serving

from fathom.captioning.media.fetching import Fetcher, is_public
from fathom.captioning.media.origins import Origins, Web
from fathom.captioning.media.unusable import UnusableMediaError
from fathom_api.tasks import AnySource


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def origins(*allowed: str, uri: str = "pvc://media/t.parquet") -> Origins:
    return Origins(AnySource(uri=uri, allowed_origins=list(allowed)))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a9fe:a9fe::1", False),
    ],
)
def test_public_addresses_are_told_from_others(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("origin", "url", "allowed"),
    [
        ("https://img.example.com", "https://img.example.com/a.png", True),
        ("https://img.example.com", "https://IMG.example.com:443/a.png", True),
        ("https://img.example.com", "https://img.example.com./a.png", True),
        ("https://img.example.com", "http://img.example.com/a.png", False),
        ("https://img.example.com", "https://img.example.com:8443/a.png", False),
        ("https://img.example.com", "https://img.example.com.evil.org/a.png", False),
        ("https://img.example.com", "https://evil.org/img.example.com", False),
        ("https://img.example.com", "https://evil.org#https://img.example.com", False),
        ("https://img.example.com", "https://evil.org\\@img.example.com/", False),
        ("https://img.example.com:8443", "https://img.example.com:8443/a.png", True),
        ("https://*.example.com", "https://a.b.example.com/a.png", True),
        ("https://*.example.com", "https://example.com/a.png", False),
        ("https://*.example.com", "https://evilexample.com/a.png", False),
        ("s3://bucket", "https://bucket/a.png", False),
    ],
)
def test_origins_are_scheme_host_and_port(origin: str, url: str, allowed: bool) -> None:
    if allowed:
        assert isinstance(origins(origin).locate(url), Web)
        return
    with pytest.raises(UnusableMediaError) as error:
        origins(origin).locate(url)
    assert error.value.reason in ("OriginNotAllowed", "InvalidUri")


def test_the_sources_own_server_is_allowed_and_may_be_private(server: Server) -> None:
    policy = origins(uri=f"{server.origin}/tables/t.parquet")
    place: Any = policy.locate("../ok.png")
    assert place.url == f"{server.origin}/ok.png"
    assert Fetcher(policy).fetch(place.url, 1000) == PICTURE


class TestAddresses:
    """A host of a public name whose addresses are decided here."""

    def fetcher(self, server: Server, answers: list[list[str]], origin: str) -> tuple[Fetcher, str]:
        port = server.origin.rpartition(":")[2]
        self.lookups = 0

        def resolve(host: str, port: int) -> list[str]:
            self.lookups += 1
            return answers[min(self.lookups, len(answers)) - 1]

        fetcher = Fetcher(origins(f"{origin}:{port}"), resolve=resolve, sleep=lambda seconds: None, total=5)
        return fetcher, f"http://img.example.com:{port}/ok.png"

    def test_a_wildcard_does_not_lead_to_a_private_address(self, server: Server) -> None:
        fetcher, url = self.fetcher(server, [["127.0.0.1"]], "http://*.example.com")
        with pytest.raises(UnusableMediaError, match="name the host in full"):
            fetcher.fetch(url, 1000)

    def test_a_host_named_in_full_may_be_private(self, server: Server) -> None:
        fetcher, url = self.fetcher(server, [["127.0.0.1"]], "http://img.example.com")
        assert fetcher.fetch(url, 1000) == PICTURE

    def test_a_name_is_looked_up_once_so_that_it_cannot_change_its_mind(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connected: list[str] = []

        def connect(self: Any, host: str, *arguments: Any, **options: Any) -> Any:
            connected.append(host)
            raise httpx.ConnectError("stop here")

        monkeypatch.setattr("httpcore.SyncBackend.connect_tcp", connect)
        fetcher, url = self.fetcher(server, [["93.184.215.14"], ["127.0.0.1"]], "http://*.example.com")
        with pytest.raises(UnusableMediaError):
            fetcher.fetch(url, 1000)
        assert connected[0] == "93.184.215.14"
        assert "127.0.0.1" not in connected

    def test_private_addresses_among_public_ones_are_left_out(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connected: list[str] = []

        def connect(self: Any, host: str, *arguments: Any, **options: Any) -> Any:
            connected.append(host)
            raise httpx.ConnectError("stop here")

        monkeypatch.setattr("httpcore.SyncBackend.connect_tcp", connect)
        fetcher, url = self.fetcher(server, [["10.0.0.1", "93.184.215.14"]], "http://*.example.com")
        with pytest.raises(UnusableMediaError):
            fetcher.fetch(url, 1000)
        assert set(connected) == {"93.184.215.14"}


class TestRetrying:
    def fetch(self, server: Server, path: str) -> tuple[Any, list[float]]:
        waits: list[float] = []
        server.asked.clear()
        fetcher = Fetcher(origins(server.origin), sleep=waits.append, total=60, silence=5)
        try:
            return fetcher.fetch(f"{server.origin}{path}", 10_000), waits
        except UnusableMediaError as error:
            return error, waits

    def test_what_passes_is_waited_for(self, server: Server) -> None:
        server.busy = 2
        found, waits = self.fetch(server, "/later.png")
        assert found == PICTURE
        assert len(waits) == 2

    def test_what_does_not_pass_is_given_up(self, server: Server) -> None:
        error, waits = self.fetch(server, "/503")
        assert (error.reason, error.transient) == ("MediaUnreachable", True)
        assert len(server.asked) == 4
        assert all(wait <= 20 for wait in waits)

    def test_what_is_not_there_is_asked_for_once(self, server: Server) -> None:
        error, waits = self.fetch(server, "/404")
        assert (error.reason, error.transient, waits) == ("MediaNotFound", False, [])
        assert server.asked == ["/404"]

    def test_connections_are_kept(self, server: Server) -> None:
        fetcher = Fetcher(origins(server.origin))
        assert [fetcher.fetch(f"{server.origin}/ok.png", 10_000) for _ in range(3)] == [PICTURE] * 3
