"""The ranker's features: what it is told of users and items, in which order, by which ids."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from fathom_api.learning import Pooling
from fathom_api.meta import StatusModel

#: Ids of every categorical feature: 0 pads, 1 is unknown or missing, known values start at 2.
PADDING: Final = 0
UNKNOWN: Final = 1
FIRST: Final = 2
#: Name of the feature that is the user's or item's own id.
ID: Final = "@id"
#: Values kept of one CategoricalList; one item with thousands must not widen every row.
MAX_LIST: Final = 128
#: Tokens kept of one item, as many as a CaptionJob may be asked for.
MAX_TOKENS: Final = 1024


#: Poolings that take notice of the weights of tokens.
WEIGHING: Final = frozenset[Pooling]({"Weighted", "Attention"})


def weights_name(feature: str) -> str:
    """Return the name of the column with the weights of the tokens of `feature`."""
    return f"{feature}@weights"


class FeatureField(StatusModel):
    """One feature of one side."""

    name: str = Field(description="`@id`, a column's name, or `captions/<CaptionJob>[/<aspect>]`.")
    type: Literal["Categorical", "CategoricalList", "Numeric", "Tokens"] = Field(description="What it holds.")
    size: int = Field(
        default=0, description="Ids there are, padding, unknown (and missing) included; 0 of a number."
    )
    pooling: Pooling = Field(default="Mean", description="How several embeddings become one.")
    separator: str = Field(default=" ", description="Between the values of a CategoricalList string.")
    mean: float = Field(default=0.0, description="Of a number, over the training interactions.")
    deviation: float = Field(default=1.0, description="Of a number, over the training interactions.")
    vocabulary_digest: str | None = Field(
        default=None, description="`sha256:` of the values in the order of ids."
    )
    history: int = Field(
        default=0, description="Latest liked items whose tokens make the user's profile; 0 none."
    )
    half_life: int | None = Field(
        default=None, description="Items of the history after which one counts half as much."
    )

    @property
    def weighs(self) -> bool:
        """Whether the tokens' weights matter."""
        return self.pooling in WEIGHING


class Schema(StatusModel):
    """The features of both sides, in the order in which the model takes them."""

    user: list[FeatureField] = Field(description="The user's, `@id` first, and then those of the request.")
    item: list[FeatureField] = Field(description="The item's, `@id` first.")
    context: int = Field(
        default=0, description="How many of the user's, the last ones, are told with each request."
    )
    attended: int = Field(default=0, description="Latest liked items the model attends to; 0 none.")
    tasks: list[str] = Field(default_factory=list[str], description="Further labels, a head each.")

    @property
    def of_requests(self) -> list[FeatureField]:
        """The features that are told with each request."""
        return self.user[len(self.user) - self.context :]

    @property
    def profiles(self) -> list[tuple[int, FeatureField]]:
        """Token features that also describe users: place among the item's lists, and the feature."""
        return [(at, field) for at, field in enumerate(lists(self.item)) if field.history]

    @property
    def history(self) -> int:
        """Latest liked items that count, at most, over all profiles and attention."""
        return max([self.attended, *(field.history for field in self.item)])


def categorical(fields: list[FeatureField]) -> list[FeatureField]:
    """Return the features with one id each."""
    return [f for f in fields if f.type == "Categorical"]


def lists(fields: list[FeatureField]) -> list[FeatureField]:
    """Return the features with several ids each."""
    return [f for f in fields if f.type in {"CategoricalList", "Tokens"}]


def numeric(fields: list[FeatureField]) -> list[FeatureField]:
    """Return the features that are numbers."""
    return [f for f in fields if f.type == "Numeric"]
