"""The progress server's certificates: trusted by the CA that pods are given, for the name they use."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
from cryptography import x509

from fathom_operator.certificates import Pair, new_ca, new_leaf, server_context, shared_ca
from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import ConflictError
from fathom_operator.kube.resources import Obj, Resource

NOW = datetime.now(UTC)
HOST = "fathom-progress.fathom-system.svc"


@pytest.fixture(scope="module")
def ca() -> Pair:
    return new_ca(NOW)


def handshake(server: ssl.SSLContext, ca: bytes, host: str) -> None:
    """Shake hands in memory, as a pod and the progress server do over the network."""
    client_context = ssl.create_default_context(cadata=ca.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    served = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, served):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("host", [HOST, "127.0.0.1"])
def test_pods_trust_the_server_by_the_ca_alone(ca: Pair, host: str) -> None:
    handshake(server_context(new_leaf(ca, [host], NOW)), ca.certificate, host)


def test_not_under_another_name(ca: Pair) -> None:
    context = server_context(new_leaf(ca, [HOST], NOW))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(context, ca.certificate, "elsewhere.svc")


def test_not_with_another_ca(ca: Pair) -> None:
    context = server_context(new_leaf(new_ca(NOW), [HOST], NOW))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"verify failed"):
        handshake(context, ca.certificate, HOST)


def test_a_leaf_cannot_sign(ca: Pair) -> None:
    leaf = x509.load_pem_x509_certificate(new_leaf(ca, [HOST], NOW).certificate)
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


class Secrets(Kube):
    """Room for one Secret."""

    def __init__(self) -> None:
        self.secret: Obj | None = None
        self.rival: Obj | None = None

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        return self.secret

    def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        if self.rival is not None:
            self.secret, self.rival = self.rival, None
            raise ConflictError(409, "AlreadyExists", "")
        self.secret = obj
        return obj


def test_all_replicas_share_one_ca() -> None:
    kube = Secrets()
    first = shared_ca(kube, "fathom", "ca", NOW)
    assert shared_ca(kube, "fathom", "ca", NOW) == first


def test_of_two_that_start_at_once_the_faster_ones_ca_is_used() -> None:
    rival = Secrets()
    theirs = shared_ca(rival, "fathom", "ca", NOW)
    kube = Secrets()
    kube.rival = rival.secret
    assert shared_ca(kube, "fathom", "ca", NOW) == theirs
