"""What every Fathom object shares: group, version, the base of all models, labels and exit codes."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from fathom_api.rules import Rule, add_validations

GROUP: Final = "fathom.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "fathom"

#: Names of children are `<name>-<stage>-<8 hex digits>`; Kubernetes allows 63 characters in all.
MAX_NAME_LENGTH: Final = 40


class ApiModel(BaseModel):
    """A part of a spec: camelCase outside, snake_case inside, nothing unknown let through.

    `RULES` are what one field alone cannot say. They are in the CRD as CEL and checked here too: a manifest
    or a task is refused with the same sentence wherever it is read.
    """

    model_config = ConfigDict(
        # Commands import all kinds and use few: validators are built when they are first used.
        defer_build=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        json_schema_extra=add_validations,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _follows_its_rules(self) -> Self:
        broken = [rule.message for rule in self.RULES if not rule.holds(self)]
        if broken:
            raise ValueError("; ".join(broken))
        return self

    def document(self) -> dict[str, Any]:
        """Return the object as people write it: camelCase keys, unset optional fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusModel(ApiModel):
    """A part of a status: written by us, perhaps by a newer version of us, so unknown fields are dropped."""

    model_config = ConfigDict(extra="ignore")


class Labels:
    """Labels on everything the operator makes; children are found by them."""

    KIND: Final = f"{GROUP}/kind"
    NAME: Final = f"{GROUP}/name"
    UID: Final = f"{GROUP}/uid"
    STAGE: Final = f"{GROUP}/stage"
    RUN: Final = f"{GROUP}/run"
    DIGEST: Final = f"{GROUP}/digest"
    QUEUE: Final = "kueue.x-k8s.io/queue-name"


class Annotations:
    """Annotations people set (retry, and commands to a rollout) and the operator sets (all others)."""

    RETRY: Final = f"{GROUP}/retry"
    #: To the rollout under way; each value is obeyed once.
    PROMOTE: Final = f"{GROUP}/promote"
    PAUSE: Final = f"{GROUP}/pause"
    RESUME: Final = f"{GROUP}/resume"
    ABORT: Final = f"{GROUP}/abort"
    SPEC_HASH: Final = f"{GROUP}/spec-hash"
    DIGEST: Final = f"{GROUP}/digest"
    #: On a Job that we suspended: what somebody else suspended is not ours to resume.
    SUSPENDED: Final = f"{GROUP}/suspended"
    #: On a Job: work done until then is kept whatever is preempted.
    CHECKPOINT: Final = f"{GROUP}/last-checkpoint-time"


class ExitCode:
    """Exit codes of workload pods; the Jobs' pod failure policy knows them."""

    OK: Final = 0
    RETRYABLE: Final = 1
    #: Told to go (SIGTERM), and gone after the batch in flight: says nothing about the work.
    STOPPED: Final = 143
    #: The task itself is wrong (missing column, unreadable model): trying again cannot help.
    INVALID: Final = 65
