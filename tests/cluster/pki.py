"""The certificates of one cluster, kept in memory until written to its folder."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFETIME = dt.timedelta(days=365)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The unencrypted key as PEM."""
        return private_pem(self.key)

    def write(self, folder: Path, name: str) -> None:
        """Write ``name.crt`` and, readable by the owner alone, ``name.key``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.crt").write_bytes(self.certificate_pem)
        write_secret(folder / f"{name}.key", self.key_pem)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key: made in well under a millisecond, where RSA takes long enough to notice."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as PEM, in the form Kubernetes reads."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def authority(name: str) -> Pair:
    """A self-signed certificate authority."""
    key = new_key()
    subject = _subject(name, ())
    builder = _builder(subject, subject, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(ca: Pair, name: str, *, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> Pair:
    """A certificate for a user (``name`` in ``groups``), for a server at ``hosts``, or for both.

    Args:
        ca: who signs.
        name: the common name: the user's name.
        groups: the organisations: the user's groups.
        hosts: names and addresses of the server.
    """
    key = new_key()
    builder = _builder(_subject(name, groups), ca.certificate.subject, key)
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return Pair(builder.sign(ca.key, hashes.SHA256()), key)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _subject(name: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))  # clocks of other machines may lag
        .not_valid_after(now + _LIFETIME)
    )
