"""Bearer tokens out of Secrets, read when they are needed and kept nowhere."""

from __future__ import annotations

import base64
import binascii

from fathom_api.analysis import SecretKey
from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import KubeError
from fathom_operator.kube.resources import SECRETS
from fathom_operator.recmodel.asker import TokenError, Tokens


def tokens(kube: Kube, namespace: str) -> Tokens:
    """Return what reads tokens of `namespace`."""

    def token(key: SecretKey) -> str:
        try:
            secret = kube.get(SECRETS, namespace, key.name)
        except KubeError as error:
            raise TokenError(_unreadable(key, namespace, error)) from error
        if secret is None:
            raise TokenError(
                f"no Secret {key.name} in namespace {namespace}: create it, or correct bearerToken"
            )
        encoded = secret.get("data", {}).get(key.key)
        if encoded is None:
            raise TokenError(f"Secret {key.name} has no {key.key}: add it, or correct bearerToken.key")
        try:
            return base64.b64decode(encoded).decode("ascii").strip()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise TokenError(
                f"{key.key} of Secret {key.name} is no token: text of ASCII is needed"
            ) from error

    return token


def _unreadable(key: SecretKey, namespace: str, error: KubeError) -> str:
    if error.status != 403:
        return f"Secret {key.name} cannot be read now: {error}"
    return (
        f"the operator may not read Secret {key.name}: install the chart with rbac.readTokens=true, or grant "
        f"its ServiceAccount get on that Secret in namespace {namespace}"
    )
