"""kopf, the shell: it watches our own kinds and tells the queue.

Nothing is kept in annotations, nothing needs finalizers.
kopf's handlers run in its event loop and only put keys into the queue; the workers are threads of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import kopf

from fathom_api import GROUP, VERSION
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import OWN_KINDS
from fathom_operator.plan import Key


def registry(kube: Kube, changed: Callable[[Key], None]) -> kopf.OperatorRegistry:
    """Return kopf's handlers: `changed` gets the key of each resource that is there, changes or goes."""
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers, errors=kopf.ErrorsMode.TEMPORARY, backoff=5)(_login(kube))
    kopf.on.startup(registry=handlers)(_configure)
    for kind, resource in OWN_KINDS.items():

        async def seen(namespace: str | None, name: str | None, kind: str = kind, **_: Any) -> None:
            changed(Key(kind, namespace or "", name or ""))

        kopf.on.event(GROUP, VERSION, resource.plural, registry=handlers, id=f"seen-{resource.plural}")(seen)
    return handlers


def _login(kube: Kube) -> Callable[..., Awaitable[kopf.ConnectionInfo]]:
    """Return a handler that hands our own credentials to kopf; it asks again when they are refused."""
    configuration = kube.configuration

    async def login(**_: Any) -> kopf.ConnectionInfo:
        scheme, token = (kube.authorization() or " ").split(" ", 1)
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme or None,
            token=token or None,
        )

    return login


def _configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    # CRDs and namespaces are given: looking for them would need permissions on both.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 30
    settings.watching.reconnect_backoff = 1
    settings.networking.request_timeout = 30
    # kopf goes on forever only with a collection, not with an iterator: a used-up one ends the retries.
    settings.networking.error_backoffs = (1, 2, 3, 5, 8, 13, 21, 30)
    settings.process.ultimate_exiting_timeout = None


async def run(
    handlers: kopf.OperatorRegistry, namespaces: Sequence[str], stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Watch until `stop` is set or a signal comes."""
    await kopf.operator(
        registry=handlers,
        standalone=True,
        # Else kopf asks for the name of the user, and a container may run as one without a name.
        identity=cast("Any", "fathom-operator"),
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
        ready_flag=ready,
    )
