"""Field types of the API: URIs, durations, percentages, quantities, and how they read."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, StringConstraints

_DNS_SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"

DatasetUri = Annotated[
    str,
    StringConstraints(pattern=rf"^pvc://{_DNS_SUBDOMAIN}(/[^\s]*)?$", max_length=1024),
    Field(description="Where a dataset lies: `pvc://claim/path`."),
]

ModelUri = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(hf://[^/\s]+/[^/\s]+|pvc://{_DNS_SUBDOMAIN}/[^\s]+|fathom://small-llava)$",
        max_length=1024,
    ),
    Field(
        description="Where a model lies: `hf://organisation/name`, `pvc://claim/path`, or `fathom://small-llava`, "
        "the small model that Fathom builds itself where no model hub can be reached."
    ),
]

ObjectName = Annotated[str, StringConstraints(pattern=rf"^{_DNS_SUBDOMAIN}$", max_length=253)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128)]

Duration = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]+(ms|s|m|h))+$", max_length=32),
    Field(description="A length of time: `30s`, `5m`, `1h30m`."),
]

#: A whole number (`3`) or a percentage (`"1%"`).
IntOrPercent = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "x-kubernetes-validations": [
                {
                    "rule": "type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})(\\\\.[0-9]+)?%$')",
                    "message": 'must be a number of items (3) or a percentage ("1%")',
                }
            ],
        }
    ),
]

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """Return the length of `duration` in seconds: `"1h30m"` → 5400.0.

    Raises:
        ValueError: the text is not a duration.
    """
    if not re.fullmatch(r"([0-9]+(ms|s|m|h))+", duration):
        raise ValueError(f"{duration!r} is not a duration: write 30s, 5m or 1h30m")
    return sum(int(n) * _SECONDS[unit] for n, unit in re.findall(r"([0-9]+)(ms|s|m|h)", duration))


def allowed_failures(limit: int | str, total: int) -> int:
    """Return how many of `total` items may fail under `limit`, a number or a percentage (rounded down)."""
    if isinstance(limit, int):
        return limit
    return int(total * float(limit.removesuffix("%")) / 100)
