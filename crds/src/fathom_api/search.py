"""Hyper-parameter search: which parameters are tried, how often, by which metric."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fathom_api.meta import ApiModel
from fathom_api.rules import Rule
from fathom_api.types import Unique

#: Fields of `training` and of `model`; whole numbers are searched in whole numbers.
ParameterName = Literal["learningRate", "weightDecay", "batchSize", "embeddingDim", "crossLayers", "dropout"]


class SearchParameter(ApiModel):
    """A parameter and where its value is looked for: between `low` and `high`, or among `choices`."""

    RULES = (
        Rule(
            "has(self.choices) ? !has(self.low) && !has(self.high) && !self.log "
            ": has(self.low) && has(self.high)",
            "a parameter has either low and high, or choices",
            lambda p: (
                (p.low is None and p.high is None and not p.log)
                if p.choices is not None
                else (p.low is not None and p.high is not None)
            ),
        ),
        Rule(
            "!has(self.low) || !has(self.high) || self.low < self.high",
            "low must be less than high",
            lambda p: p.low is None or p.high is None or p.low < p.high,
            ".low",
        ),
        Rule(
            "!self.log || !has(self.low) || self.low > 0.0",
            "a logarithmic scale has no zero: give a low above 0, or leave log out",
            lambda p: not p.log or p.low is None or p.low > 0,
            ".low",
        ),
    )

    name: ParameterName = Field(description="Field of `spec.training` or `spec.model`.")
    low: float | None = Field(default=None, description="Least value.")
    high: float | None = Field(default=None, description="Greatest value.")
    log: bool = Field(default=False, description="Look on a logarithmic scale.")
    choices: Annotated[list[float], Unique()] | None = Field(
        default=None, min_length=1, max_length=32, description="The values, instead of `low` and `high`."
    )


class Search(ApiModel):
    """A search before training: each trial trains once, and the best trial is the model.

    Tree-structured Parzen estimators (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS
    2011), trials that fall behind the median of those before are stopped. Only the validation split is
    looked at. The controls have a search of their own with the same budget.
    """

    trials: int = Field(default=20, ge=1, le=1000, description="Trials, the parameters of the spec first.")
    metric: Literal["AUC"] = Field(default="AUC", description="Of the validation split; the best is taken.")
    space: Annotated[list[SearchParameter], Unique("name")] = Field(
        min_length=1, max_length=6, description="What is searched."
    )
