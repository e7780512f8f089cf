"""ψ, ρ and the like, ready to be applied: linear layers in NumPy, so that a retriever needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fathom.backfill.arrays import Floats, unit


@dataclass(frozen=True)
class Layer:
    """y = W x + b, then max(y, 0) if `relu`. A batch normalisation is folded into W and b.

    Attributes:
        weight: float32 [out, in].
        bias: float32 [out].
        relu: whether negative values become 0.
    """

    weight: Floats
    bias: Floats
    relu: bool


@dataclass(frozen=True)
class Transform:
    """x → unit(S x + layers(x)), for x of unit length.

    Attributes:
        layers: applied one after the other; none: only S.
        skip: S, float32 [out, in]; None: none.
    """

    layers: tuple[Layer, ...]
    skip: Floats | None = None

    def __call__(self, vectors: Floats) -> Floats:
        """Return float32 [n, out] of unit length for `vectors` float32 [n, in] of unit length."""
        through = vectors
        for layer in self.layers:
            through = through @ layer.weight.T + layer.bias
            if layer.relu:
                through = np.maximum(through, 0)
        if self.skip is None:
            return unit(through)
        straight = vectors @ self.skip.T
        return unit(straight + through if self.layers else straight)

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        held = sum(layer.weight.size + layer.bias.size for layer in self.layers)
        return held + (self.skip.size if self.skip is not None else 0)

    def tensors(self, name: str) -> dict[str, Floats]:
        """Return what it holds, for a safetensors file; whether a layer ends in ReLU is in its key."""
        held = {f"{name}.skip": self.skip} if self.skip is not None else {}
        for number, layer in enumerate(self.layers):
            key = f"{name}.{number}.{'relu' if layer.relu else 'linear'}"
            held |= {f"{key}.weight": layer.weight, f"{key}.bias": layer.bias}
        return {key: np.ascontiguousarray(value) for key, value in held.items()}

    @classmethod
    def of(cls, name: str, tensors: Mapping[str, Floats]) -> Transform | None:
        """Return the transform that `tensors` hold under `name`, None if they hold none.

        Raises:
            KeyError: a layer has no bias.
        """
        own = {
            key.removeprefix(f"{name}."): value
            for key, value in tensors.items()
            if key.startswith(f"{name}.")
        }
        keys = sorted((k.removesuffix(".weight") for k in own if k.endswith(".weight")), key=_number)
        layers = tuple(Layer(own[f"{k}.weight"], own[f"{k}.bias"], k.endswith(".relu")) for k in keys)
        return cls(layers, own.get("skip")) if own else None


def _number(key: str) -> int:
    return int(key.partition(".")[0])
