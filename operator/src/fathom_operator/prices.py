"""What resources cost: the prices in the chart's values, and what usage comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_HOUR: Final = 3600.0
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def is_paid_for(name: str) -> bool:
    """Return whether a resource is CPU, memory or a GPU, whole or in part; network cards are not."""
    return name in {"cpu", "memory"} or (
        "/" in name and ("gpu" in name or name.startswith("nvidia.com/mig-"))
    )


class Prices(BaseModel):
    """Prices of one hour; what has none costs nothing."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    currency: str = Field(default="USD", max_length=16)
    cpu_hour: Price | None = None
    memory_gib_hour: Price | None = Field(default=None, alias="memoryGiBHour")
    #: By the name of the resource (`nvidia.com/gpu`); `default` is for all others.
    gpu_hour: dict[str, Price] = Field(default_factory=dict[str, float])

    def cost(self, seconds: Mapping[str, float]) -> str | None:
        """Return what `seconds` of resources come to, `12.30 USD`; None where nothing has a price."""
        if self.cpu_hour is None and self.memory_gib_hour is None and not self.gpu_hour:
            return None
        total = sum(amount * self._hour(name) for name, amount in seconds.items()) / _HOUR
        # A run of minutes costs less than a cent, and that is news too.
        return f"{total:.2f} {self.currency}" if total >= 1 else f"{total:.4f} {self.currency}"

    def _hour(self, name: str) -> float:
        own = {"cpu": self.cpu_hour, "memory": self.memory_gib_hour}
        price = own[name] if name in own else self.gpu_hour.get(name, self.gpu_hour.get("default"))
        return price or 0.0
