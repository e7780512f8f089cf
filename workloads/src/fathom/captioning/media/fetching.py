"""Media from web servers that may be slow, endless or not what they seem.

Requests go only to origins that the source allows; each redirect is checked like the first address. A name is
looked up once, its addresses are checked, and the connection is made to an address that was checked: a name
that changes its mind in between (DNS rebinding) gains nothing. Environment variables that name a proxy are
not followed, since a proxy would look the name up again.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

import httpcore
import httpx
import tenacity

from fathom.captioning.media.unusable import UnusableMediaError, printable

CONNECT_SECONDS: Final = 10.0
#: Longest silence of a server.
SILENCE_SECONDS: Final = 20.0
#: Longest time for one medium, headers, redirects and repeats included.
TOTAL_SECONDS: Final = 120.0
ATTEMPTS: Final = 4
_MAX_REDIRECTS: Final = 5
_MAX_WAIT: Final = 20.0
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_AGENT: Final = "fathom (+https://fathom.dev)"

Resolve = Callable[[str, int], list[str]]


class Policy(Protocol):
    """What may be asked for."""

    def allows(self, url: httpx.URL) -> bool:
        """Return whether media may come from there."""
        ...

    def names_in_full(self, scheme: str, host: str, port: int) -> bool:
        """Return whether the host may have a private address."""
        ...


def lookup(host: str, port: int) -> list[str]:
    """Return the addresses of `host`."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(address: str) -> bool:
    """Return whether `address` is on the open internet: not private, local or reserved, nor one disguised."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        # 64:ff9b::/96 is how IPv6-only networks write IPv4 (RFC 6052).
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


class Fetcher:
    """Fetches media under `policy`; keeps connections open. Any number of threads may use one."""

    def __init__(
        self,
        policy: Policy,
        *,
        resolve: Resolve = lookup,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        total: float = TOTAL_SECONDS,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._total = total
        self._deadline = _Deadline(clock)
        timeout = httpx.Timeout(silence, connect=min(CONNECT_SECONDS, silence))
        self._client = httpx.Client(
            transport=_Transport(policy, resolve, self._deadline),
            timeout=timeout,
            headers={"User-Agent": _AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
        )

    def fetch(self, url: str, limit: int) -> bytes:
        """Return what is at `url`, at most `limit` bytes.

        Raises:
            UnusableMediaError: it may not be fetched, is not there or too large; transient where the server
                could not be reached, was busy, or took too long.
        """
        self._deadline.end = self._clock() + self._total
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_worth_another_try),
            stop=self._given_up,
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._follow, url, limit)

    def _given_up(self, state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= ATTEMPTS or self._deadline.left() <= state.upcoming_sleep

    def _follow(self, url: str, limit: int) -> bytes:
        place = httpx.URL(url)
        for _ in range(_MAX_REDIRECTS + 1):
            if not self._policy.allows(place):
                raise UnusableMediaError("OriginNotAllowed", f"{printable(place)}: a redirect leads there")
            found = self._ask(place, limit)
            if isinstance(found, bytes):
                return found
            place = found
        raise UnusableMediaError("MediaNotFound", f"{printable(url)}: more than {_MAX_REDIRECTS} redirects")

    def _ask(self, url: httpx.URL, limit: int) -> bytes | httpx.URL:
        try:
            with self._client.stream("GET", url) as response:
                if response.has_redirect_location:
                    return response.url.join(response.headers["location"])
                _check_status(url, response)
                return _body(url, response, limit, self._deadline)
        except (httpx.InvalidURL, ValueError) as error:
            raise UnusableMediaError("InvalidUri", f"{printable(url)}: {error}") from error
        except httpx.HTTPError as error:
            raise _unreachable(url, f"{type(error).__name__}: {error}") from error


class _Deadline(threading.local):
    """When the request of this thread must be done."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.end = float("inf")

    def left(self) -> float:
        return self.end - self.clock()


class _PassingError(UnusableMediaError):
    """Worth another try at once; `after` is what the server asked us to wait, in seconds."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__("MediaUnreachable", message, transient=True)
        self.after = after


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, _PassingError) and error.after <= _MAX_WAIT


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.after if isinstance(error, _PassingError) else 0.0
    return max(asked, tenacity.wait_random_exponential(multiplier=1, max=_MAX_WAIT)(state))


def _unreachable(url: httpx.URL, why: str, after: float = 0.0) -> UnusableMediaError:
    return _PassingError(f"{printable(url)}: {printable(why)}", after)


def _check_status(url: httpx.URL, response: httpx.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    if status in _PASSING:
        asked = response.headers.get("retry-after", "")
        raise _unreachable(url, f"the server answered {status}", float(asked) if asked.isdigit() else 0.0)
    if status in (401, 403):
        # Credentials and allowances change without the table.
        raise UnusableMediaError(
            "MediaForbidden", f"{printable(url)}: the server answered {status}", transient=True
        )
    raise UnusableMediaError("MediaNotFound", f"{printable(url)}: the server answered {status}")


def _body(url: httpx.URL, response: httpx.Response, limit: int, deadline: _Deadline) -> bytes:
    data = bytearray()
    for chunk in _decoded(url, response.headers.get("content-encoding", ""), response.iter_raw(), limit):
        data += chunk
        if len(data) > limit:
            raise UnusableMediaError("MediaTooLarge", f"{printable(url)}: more than {limit:,} bytes")
        if deadline.left() <= 0:
            raise httpx.ReadTimeout("the server takes too long")
    return bytes(data)


def _decoded(url: httpx.URL, encoding: str, chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Yield `chunks` without their encoding: we asked for none, and a small piece may hold a large one."""
    if encoding.lower() in ("", "identity"):
        yield from chunks
        return
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise UnusableMediaError("UnsupportedFormat", f"{printable(url)}: encoded as {printable(encoding)}")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        for chunk in chunks:
            # One byte more than is allowed ends the reading.
            yield inflate.decompress(chunk, limit + 1)
    except zlib.error as error:
        raise UnusableMediaError("DamagedMedia", f"{printable(url)}: damaged gzip: {error}") from error


class _Transport(httpx.BaseTransport):
    """httpx over connections of ours (`_Network`)."""

    def __init__(self, policy: Policy, resolve: Resolve, deadline: _Deadline) -> None:
        # The context is costly to make, and the same for all.
        context = httpx.create_ssl_context()
        self._pools = {
            scheme: httpcore.ConnectionPool(
                ssl_context=context,
                network_backend=_Network(scheme, policy, resolve, deadline),
                max_connections=64,
                max_keepalive_connections=16,
                keepalive_expiry=15.0,
            )
            for scheme in ("http", "https")
        }

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`."""
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            extensions=request.extensions,
        )
        try:
            answer = self._pools[request.url.scheme].handle_request(asked)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise httpx.TransportError(f"{type(error).__name__} {error}") from error
        return httpx.Response(answer.status, headers=answer.headers, stream=_Stream(answer))

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer.iter_stream()
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise httpx.TransportError(f"{type(error).__name__} {error}") from error

    def close(self) -> None:
        self._answer.close()


class _Network(httpcore.NetworkBackend):
    """Connects to checked addresses only, and lets no operation outlive the thread's deadline."""

    def __init__(self, scheme: str, policy: Policy, resolve: Resolve, deadline: _Deadline) -> None:
        self._scheme = scheme
        self._policy = policy
        self._resolve = resolve
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host` that may be and answers."""
        error: Exception = httpcore.ConnectError("no address")
        for address in self._checked(host, port):
            try:
                seconds = _at_most(timeout, self._deadline)
                stream = self._inner.connect_tcp(address, port, seconds, local_address, socket_options)
                return _TimedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            found = list(dict.fromkeys(self._resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"cannot look up {host}: {error}") from error
        if self._policy.names_in_full(self._scheme, host, port):
            return found
        if public := [address for address in found if is_public(address)]:
            return public
        raise UnusableMediaError(
            "OriginNotAllowed",
            f"{printable(host)} has a private address; name the host in full in allowedOrigins if it may",
        )


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every operation ends with the deadline: silence is no way to stay for ever."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _at_most(timeout, self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _at_most(timeout, self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, _at_most(timeout, self._deadline))
        return _TimedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _at_most(timeout: float | None, deadline: _Deadline) -> float:
    left = deadline.left()
    if left <= 0:
        raise httpcore.ReadTimeout("the server takes too long")
    return left if timeout is None else min(timeout, left)
