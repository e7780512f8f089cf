"""Settings: environment variables, read once at start-up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fathom_operator.prices import Prices


def _default_image(name: str) -> str:
    return f"dev.local/fathom-{name}:{version('fathom-operator')}"


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


class Settings(BaseModel):
    """What the operator is told by its environment; an empty variable counts as unset."""

    model_config = ConfigDict(frozen=True)

    captioner_image: str = Field(
        default_factory=lambda: _default_image("captioner"), validation_alias="FATHOM_IMAGE_CAPTIONER"
    )
    trainer_image: str = Field(
        default_factory=lambda: _default_image("trainer"), validation_alias="FATHOM_IMAGE_TRAINER"
    )
    ranker_image: str = Field(
        default_factory=lambda: _default_image("ranker"), validation_alias="FATHOM_IMAGE_RANKER"
    )
    retriever_image: str = Field(
        default_factory=lambda: _default_image("retriever"), validation_alias="FATHOM_IMAGE_RETRIEVER"
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, validation_alias="FATHOM_IMAGE_PULL_POLICY"
    )
    #: Namespaces that are watched; none means all.
    namespaces: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        default=(), validation_alias="FATHOM_WATCH_NAMESPACES"
    )
    pod_name: str | None = Field(default=None, validation_alias="POD_NAME")
    pod_namespace: str = Field(default="default", validation_alias="POD_NAMESPACE")
    #: Where pods post their progress; none means that they do not.
    progress_url: str | None = Field(default=None, validation_alias="FATHOM_PROGRESS_URL")
    progress_port: int = Field(default=8443, ge=0, le=65535, validation_alias="FATHOM_PROGRESS_PORT")
    ca_secret: str = Field(default="fathom-progress-ca", validation_alias="FATHOM_CA_SECRET")
    #: Port of `/healthz`, `/readyz` and `/metrics`.
    http_port: int = Field(default=8080, ge=0, le=65535, validation_alias="FATHOM_HTTP_PORT")
    leader_election: bool = Field(default=True, validation_alias="FATHOM_LEADER_ELECTION")
    lease_name: str = Field(default="fathom-operator", validation_alias="FATHOM_LEASE_NAME")
    lease_namespace: str | None = Field(default=None, validation_alias="FATHOM_LEASE_NAMESPACE")
    #: How long a dead leader keeps the others waiting.
    lease_seconds: float = Field(default=30, ge=3, validation_alias="FATHOM_LEASE_SECONDS")
    #: What resources cost, JSON: see `prices` in the chart's values.
    prices: Annotated[Prices, BeforeValidator(_parsed)] = Field(
        default=Prices(), validation_alias="FATHOM_PRICES"
    )
    resync_seconds: float = Field(default=300, gt=0, validation_alias="FATHOM_RESYNC_SECONDS")
    workers: int = Field(default=4, ge=1, le=64, validation_alias="FATHOM_WORKERS")
    log_format: Literal["json", "text"] = Field(default="json", validation_alias="FATHOM_LOG_FORMAT")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", validation_alias="FATHOM_LOG_LEVEL"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings in `environment`.

        Raises:
            ValidationError: a variable has a value it cannot have; the message names it.
        """
        return cls.model_validate({name: value for name, value in environment.items() if value})
