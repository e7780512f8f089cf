"""Writing kubeconfig files that hold everything they need."""

import base64
from pathlib import Path

import yaml

from cluster import pki


def write(path: Path, *, server: str, ca: bytes, user: pki.Pair, context: str) -> Path:
    """Write a kubeconfig for one user of one cluster, readable by the owner alone."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority-data": _base64(ca)}}
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": _base64(user.certificate_pem),
                    "client-key-data": _base64(user.key_pem),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pki.write_secret(path, yaml.safe_dump(content).encode())
    return path


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
