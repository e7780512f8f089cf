"""Asking the served model through the cluster's ingress, as a shop would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from demo import manifests
from demo.context import Context, DemoError
from demo.kube import KubeError


class IngressError(Exception):
    """A request through the ingress was not answered."""


@dataclass(frozen=True)
class Answer:
    """A ranking: items, best first, with their scores, and the version that made it."""

    version: str
    items: list[str]
    scores: list[float]


@dataclass(frozen=True)
class Ingress:
    """The ingress, by a port of 127.0.0.1; the model's host name goes into the request's header."""

    context: Context
    host: str
    model: str = manifests.REC_MODEL

    def rank(self, user: str, candidates: list[str] | None, k: int) -> Answer:
        """Return the best `k` of `candidates` (of all items if None) for `user`.

        Raises:
            IngressError: no answer, or not 200.
        """
        with self._client() as client:
            return self._ask(client, user, candidates, k)

    def predict(self, **instance: Any) -> dict[str, Any]:
        """Return the prediction for one instance of the v1 protocol.

        Raises:
            IngressError: no answer, or not 200.
        """
        with self._client() as client:
            return self._post(client, instance)["predictions"][0]

    def versions(self, times: int, user: str = "1") -> Counter[str]:
        """Return which version answered how often; each request is a connection of its own."""
        counts: Counter[str] = Counter()
        with self._client() as client:
            for _ in range(times):
                counts[self._ask(client, user, None, 1).version] += 1
        return counts

    def _ask(self, client: httpx.Client, user: str, candidates: list[str] | None, k: int) -> Answer:
        instance: dict[str, Any] = {"user_id": user, "k": k}
        if candidates is not None:
            instance["candidates"] = candidates
        document = self._post(client, instance)
        answer = document["predictions"][0]
        return Answer(document["model_version"], answer["item_ids"], answer["scores"])

    def _post(self, client: httpx.Client, instance: dict[str, Any]) -> dict[str, Any]:
        path = f"/v1/models/{self.model}:predict"
        try:
            response = client.post(path, json={"instances": [instance]})
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise IngressError(f"POST {path} (Host: {self.host}): {error}") from error
        return response.json()

    @contextmanager
    def _client(self) -> Generator[httpx.Client]:
        namespace, service = self.context.ingress.split("/")
        with (
            self.context.kube.forward(f"svc/{service}", namespace, 80) as port,
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Host": self.host, "Connection": "close"},
                timeout=30,
                trust_env=False,
            ) as client,
        ):
            yield client


def ingress(context: Context, url: str | None) -> Ingress:
    """Return the ingress for the model at `url`.

    Raises:
        DemoError: the model has no URL, or there is no such ingress.
    """
    host = urlsplit(url or "").hostname
    if not host:
        raise DemoError(f"RecModel {manifests.REC_MODEL} tells no URL: kubectl describe recmodel says why")
    namespace, _, service = context.ingress.partition("/")
    try:
        found = context.kube.find("service", service, namespace)
    except KubeError as error:
        raise DemoError(f"the ingress {context.ingress} cannot be read: {error}") from error
    if not found:
        raise DemoError(f"there is no Service {context.ingress}: name yours, --ingress NAMESPACE/SERVICE")
    return Ingress(context, host)
