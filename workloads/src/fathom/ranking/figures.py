"""What an evaluation found, `evaluation.json`: all that the report of a ranker shows."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from fathom_api.meta import StatusModel
from fathom_api.recmodel import Split

#: What a search leaves beside a bundle's weights: a SearchResult.
SEARCH: Final = "search.json"


class Interval(StatusModel):
    """A figure and its 95 % interval, by a paired bootstrap over users."""

    value: float = Field(description="On all test interactions.")
    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")


class Cost(StatusModel):
    """What training took, in the process that finished it."""

    seconds: float = Field(description="On the clock, reading the data included.")
    processes: int = Field(description="Processes that trained together.")
    device: str = Field(description="Where they computed.")
    epochs: int = Field(description="Passes over the training interactions, earlier attempts included.")


class ArmResult(StatusModel):
    """One ranker's figures."""

    digest: str = Field(description="`sha256:` of the bundle.")
    parameters: int = Field(description="Parameters of the model.")
    metrics: dict[str, float] = Field(description="auc, gauc, logLoss, normalizedEntropy, calibration.")
    calibration: list[dict[str, float]] = Field(description="prediction, label and rows, by prediction.")
    curve: list[dict[str, float]] = Field(
        default_factory=list[dict[str, float]], description="epoch, loss and validation_auc of each epoch."
    )
    best_epoch: int | None = Field(default=None, description="The epoch whose weights were kept.")
    cost: Cost | None = Field(default=None, description="What training took, where that is known.")
    search: SearchResult | None = Field(
        default=None, description="The search for its hyper-parameters, where there was one."
    )


class Difference(StatusModel):
    """Captions minus another arm."""

    against: str = Field(description="The other arm.")
    auc: float = Field(description="Difference in AUC; positive is better.")
    low: float = Field(description="Lower end of the 95 % interval, paired bootstrap over users.")
    high: float = Field(description="Upper end.")
    more: dict[str, Interval] = Field(
        default_factory=dict[str, Interval],
        description="relativeAuc (a/b - 1), relaImpr ((a - ½)/(b - ½) - 1), and the differences in gauc, "
        "logLoss and normalizedEntropy, of which less is better; without those that have no value.",
    )


class Slice(StatusModel):
    """Figures on the test interactions of some items."""

    name: str = Field(
        description="By the share of the training interactions that the items have, most frequent items "
        "first. head: the first half; torso: up to 90 %; tail: the rest; new: items without any."
    )
    items: int = Field(description="Items with test interactions.")
    rows: int = Field(description="Test interactions.")
    positives: int = Field(description="Those with label 1.")
    auc: dict[str, float] = Field(description="Of each arm; none where a class is missing.")
    log_loss: dict[str, float] = Field(description="Of each arm.")
    differences: dict[str, Interval] = Field(
        default_factory=dict[str, Interval], description="AUC of Captions minus that of each other arm."
    )


class TokenEffect(StatusModel):
    """What a caption token does to predictions."""

    feature: str = Field(description="Feature it belongs to.")
    token: str = Field(description="In words; `#` and its id where the vocabulary cannot be read.")
    items: int = Field(description="Items of the sample that have it.")
    rows: int = Field(description="Test interactions it was measured on.")
    weight: float = Field(description="Euclidean norm of its embedding.")
    effect: float = Field(description="Mean change of the log-odds that the token makes, by occlusion.")
    examples: list[str] = Field(default_factory=list[str], description="Ids of some of the items.")


class Tokens(StatusModel):
    """What caption tokens do to predictions, on a sample of the test interactions."""

    sample: int = Field(description="Test interactions in the sample.")
    method: str = Field(description="How effects are measured.")
    tested: list[TokenEffect] = Field(description="The tokens most frequent in the sample.")


class ItemLift(StatusModel):
    """An item on which Captions predicts better, or worse, than another arm."""

    item_id: str = Field(description="Its id.")
    texts: list[str] = Field(default_factory=list[str], description="What the items table says of it.")
    tokens: list[str] = Field(default_factory=list[str], description="Its caption tokens, in words.")
    rows: int = Field(description="Its test interactions.")
    trained: int = Field(description="Its training interactions.")
    liked: float = Field(description="Share of label 1 among its test interactions.")
    predicted: float = Field(description="Mean prediction of Captions.")
    predicted_without: float = Field(description="Mean prediction of the other arm.")
    gain: float = Field(description="Log loss of the other arm minus that of Captions, summed.")


class Coverage(StatusModel):
    """How far caption tokens reach."""

    feature: str = Field(description="The feature.")
    rows_with_tokens: float = Field(description="Share of the test interactions whose item has a token.")
    rows_without_caption: float = Field(description="Share whose item has no caption.")
    items_with_tokens: float = Field(description="Share of the items of the test split with a token.")
    tokens_per_item: float = Field(description="Mean tokens of those items.")
    vocabulary: int = Field(description="Different tokens that the ranker has.")
    unknown_share: float | None = Field(
        default=None, description="Share of the n-grams of all captions without an id, where that is known."
    )


class DataNotes(StatusModel):
    """What the arms were trained and judged on."""

    parts: dict[str, int] = Field(description="Interactions of train, validation and test.")
    rates: dict[str, float] = Field(description="Share of label 1 in each.")
    unusable: dict[str, int] = Field(description="Interactions left out, by why.")
    samples: dict[str, list[str]] = Field(
        default_factory=dict[str, list[str]], description="The first few of them, by why."
    )
    unknown_users: float = Field(description="Share of the test interactions whose user training never saw.")
    with_history: float = Field(description="Share of the test interactions whose user has a history.")
    digests: dict[str, str] = Field(description="What the candidate was made from.")


class TrialResult(StatusModel):
    """One trial."""

    number: int = Field(description="From 0, in the order they were tried.")
    parameters: dict[str, float] = Field(description="What was tried.")
    value: float | None = Field(description="The metric of its best epoch, on the validation split.")
    epochs: int = Field(description="Epochs trained.")
    pruned: bool = Field(description="Whether it was stopped for falling behind the median.")


class SearchResult(StatusModel):
    """A search for parameters, `search.json` in a bundle."""

    metric: str = Field(description="What was compared, on the validation split.")
    best: int = Field(description="Number of the best trial: the model.")
    parameters: dict[str, float] = Field(description="Its parameters.")
    trials: list[TrialResult] = Field(description="All trials.")


class CardSection(StatusModel):
    """A section of the model card."""

    title: str = Field(description="Its title.")
    text: list[str] = Field(description="Its paragraphs.")
    points: list[str] = Field(default_factory=list[str], description="Its list.")


class EvaluationReport(StatusModel):
    """`evaluation.json`."""

    split: Split = Field(description="How the test interactions were held out.")
    split_digest: str = Field(description="`sha256:` of which interaction is in which part.")
    rows: int = Field(description="Test interactions.")
    users: int = Field(description="Users among them.")
    items: int = Field(description="Items among them.")
    base_rate: float = Field(description="Share of label 1.")
    arms: dict[str, ArmResult] = Field(description="Figures of each arm.")
    differences: list[Difference] = Field(description="Captions against each other arm.")
    slices: list[Slice] = Field(description="By how often training saw the item.")
    coverage: list[Coverage] = Field(
        default_factory=list[Coverage], description="Of each caption feature of the candidate."
    )
    tokens: Tokens | None = Field(default=None, description="What caption tokens do; none without any.")
    lifted: list[ItemLift] = Field(
        default_factory=list[ItemLift], description="Items that captions helped most, and harmed most."
    )
    data: DataNotes | None = Field(default=None, description="Data of the evaluation.")
    card: list[CardSection] = Field(
        default_factory=list[CardSection], description="Model card of the candidate."
    )
    notes: list[str] = Field(description="What to keep in mind when reading.")
