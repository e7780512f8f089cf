"""Field types of the API: URIs, durations, percentages, quantities, and how they read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Final

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

from fathom_api.rules import validation

_DNS_SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"

DatasetUri = Annotated[
    str,
    StringConstraints(pattern=rf"^pvc://{_DNS_SUBDOMAIN}(/[^\s]*)?$", max_length=1024),
    Field(description="Where a dataset lies: `pvc://claim/path`."),
]

SourceUri = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(pvc://{_DNS_SUBDOMAIN}(/[^\s]*)?|(s3|gs)://[^/\s]+(/[^\s]*)?|https?://[^/\s@]+/[^\s]*)$",
        max_length=1024,
    ),
    Field(
        description="Where data lie: `pvc://claim/path`, `s3://bucket/path`, `gs://bucket/path` or "
        "`https://host/path`. Credentials come from the environment, by `template.envFrom`."
    ),
]

Origin = Annotated[
    str,
    StringConstraints(
        pattern=r"^(https?://([*][.])?[A-Za-z0-9.-]+(:[0-9]{1,5})?|(s3|gs)://[^/\s*]+)$", max_length=253
    ),
    Field(description="Scheme and host: `https://img.example.com`, `https://*.example.com`, `s3://bucket`."),
]

AspectName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]

#: Five fields; the operator checks what a pattern cannot.
CronSchedule = Annotated[
    str, StringConstraints(pattern=r"^(\S+\s+){4}\S+$|^@(hourly|daily|weekly|monthly)$", max_length=128)
]

ModelUri = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(hf://[^/\s]+/[^/\s]+|pvc://{_DNS_SUBDOMAIN}/[^\s]+|fathom://small-llava)$",
        max_length=1024,
    ),
    Field(
        description="Where a model lies: `hf://organisation/name`, `pvc://claim/path`, or "
        "`fathom://small-llava`, the small model that Fathom builds itself where no model hub can be reached."
    ),
]

#: What turns an item or a query into a vector; `fathom://` names one of those that Fathom brings with it.
EncoderUri = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(hf://[^/\s]+/[^/\s]+|pvc://{_DNS_SUBDOMAIN}/[^\s]+|fathom://[a-z0-9][a-z0-9./-]*)$",
        max_length=1024,
    ),
    Field(
        description="Where an embedding model lies: `hf://organisation/name`, `pvc://claim/path`, or "
        "`fathom://name`, one that Fathom brings with it."
    ),
]

#: A sentence encoder.
SentenceEncoderUri = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(hf://[^/\s]+/[^/\s]+|pvc://{_DNS_SUBDOMAIN}/[^\s]+|fathom://lsa)$", max_length=1024
    ),
]

#: A language model that plans.
PlannerUri = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(hf://[^/\s]+/[^/\s]+|pvc://{_DNS_SUBDOMAIN}/[^\s]+|fathom://small-planner)$",
        max_length=1024,
    ),
]

ObjectName = Annotated[str, StringConstraints(pattern=rf"^{_DNS_SUBDOMAIN}$", max_length=253)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128)]

Duration = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]+(ms|s|m|h))+$", max_length=32),
    Field(description="A length of time: `30s`, `5m`, `1h30m`."),
]

#: The same in days too, for what is kept.
LongDuration = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]+(s|m|h|d))+$", max_length=32),
    Field(description="A length of time: `7d`, `12h`, `30m`."),
]

#: From when until when, each day; over midnight where the end comes first.
Window = Annotated[
    str,
    StringConstraints(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]( [A-Za-z][A-Za-z0-9_+/-]*)?$",
        max_length=96,
    ),
    Field(description="Hours of each day and a time zone: `22:00-06:00 Europe/Berlin`; Etc/UTC if unset."),
]

#: A point in time as Kubernetes writes it: `2026-01-31T12:00:00Z`.
Timestamp = Annotated[str, StringConstraints(max_length=32), Field(json_schema_extra={"format": "date-time"})]

_PERCENT: Final = r"^(100|[0-9]{1,2}([.][0-9]{1,6})?)%$"

#: A share: `"2%"`.
Percent = Annotated[str, StringConstraints(pattern=_PERCENT, max_length=16)]

#: A whole number (`3`) or a percentage (`"1%"`).
IntOrPercent = Annotated[
    Annotated[int, Field(ge=0, strict=True)] | Annotated[str, StringConstraints(pattern=_PERCENT)],
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "x-kubernetes-validations": [
                validation(
                    f"type(self) == int ? self >= 0 : self.matches('{_PERCENT}')",
                    'must be a number of items (3) or a percentage ("1%")',
                )
            ],
        }
    ),
]

_QUANTITY: Final = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"

#: An amount of a resource as Kubernetes writes it: `2`, `500m`, `4Gi`.
Quantity = Annotated[
    int | Annotated[str, StringConstraints(pattern=_QUANTITY)],
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _QUANTITY,
            "x-kubernetes-int-or-string": True,
        }
    ),
]


@dataclass(frozen=True)
class Unique:
    """Annotation of a list without duplicates: by the fields `keys` of its entries, or by the entries."""

    keys: tuple[str, ...]

    def __init__(self, *keys: str) -> None:
        """Take the fields that together tell entries apart; none where the entries themselves do."""
        object.__setattr__(self, "keys", keys)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._refuse_duplicates, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        keys = {"x-kubernetes-list-map-keys": [to_camel(key) for key in self.keys]} if self.keys else {}
        return handler(schema) | {"x-kubernetes-list-type": "map" if keys else "set"} | keys

    def _refuse_duplicates(self, entries: list[Any]) -> list[Any]:
        names = [self._name(entry) for entry in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} must not be there twice")
        return entries

    def _name(self, entry: Any) -> str:
        return "/".join(str(getattr(entry, key)) for key in self.keys) if self.keys else str(entry)


_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: str) -> float:
    """Return the length of `duration` in seconds: `"1h30m"` → 5400.0.

    Raises:
        ValueError: the text is not a duration.
    """
    if not re.fullmatch(r"([0-9]+(ms|s|m|h|d))+", duration):
        raise ValueError(f"{duration!r} is not a duration: write 30s, 5m or 1h30m")
    return sum(int(n) * _SECONDS[unit] for n, unit in re.findall(r"([0-9]+)(ms|s|m|h|d)", duration))


def share(percent: str) -> float:
    """Return what `percent` is as a fraction: `"2%"` → 0.02."""
    return float(Fraction(percent.removesuffix("%")) / 100)


def allowed_failures(limit: int | str, total: int) -> int:
    """Return how many of `total` items may fail under `limit`, a number or a percentage (rounded down)."""
    if isinstance(limit, int):
        return limit
    return int(total * Fraction(limit.removesuffix("%")) / 100)
