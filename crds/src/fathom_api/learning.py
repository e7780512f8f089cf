"""What a ranker learns from and how: data, features, architecture, training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fathom_api.meta import ApiModel
from fathom_api.pods import PodTemplate
from fathom_api.rules import Rule
from fathom_api.search import Search
from fathom_api.types import AspectName, ColumnName, DatasetUri, IntOrPercent, ObjectName, Unique


class Table(ApiModel):
    """A Parquet or CSV file."""

    uri: DatasetUri = Field(description="Where it lies (`pvc://claim/path`).")


class Split(ApiModel):
    """How interactions are divided into training, validation and test."""

    RULES = (
        Rule(
            "self.validation + self.test <= 0.5",
            "validation and test leave less than half of the interactions to train on: lower one of them",
            lambda split: split.validation + split.test <= 0.5,
        ),
        Rule(
            "(self.strategy == 'Given') == has(self.splitColumn)",
            "strategy Given needs splitColumn, and no other has one: name the column, or change the strategy",
            lambda split: (split.strategy == "Given") == (split.split_column is not None),
        ),
    )

    strategy: Literal["Time", "Random", "ItemCold", "Given"] = Field(
        default="Time",
        description="Time: the latest interactions are held out. Random: any. ItemCold: all interactions of "
        "held-out items, which the ranker has then never seen. Given: what `splitColumn` says, as for data "
        "with a published split.",
    )
    split_column: ColumnName | None = Field(
        default=None,
        description="Column with `train`, `validation` or `test` (Given). Where no row is `validation`, the "
        "share `validation` of the `train` rows is drawn.",
    )
    validation: float = Field(default=0.1, ge=0.01, le=0.4, description="Share held out to stop training by.")
    test: float = Field(default=0.1, ge=0.01, le=0.4, description="Share held out to judge the model by.")
    seed: int = Field(default=0, ge=0, description="Seed of Random and ItemCold, and of what Given draws.")


class Data(ApiModel):
    """Interactions, and what is known of items and users."""

    interactions: Table = Field(description="One row an interaction.")
    items: Table | None = Field(default=None, description="One row an item; keyed by `itemColumn`.")
    users: Table | None = Field(default=None, description="One row a user; keyed by `userColumn`.")
    label: ColumnName = Field(default="label", description="Column of 0 and 1 to predict.")
    user_column: ColumnName = Field(default="user_id", description="Column with the user's id.")
    item_column: ColumnName = Field(default="item_id", description="Column with the item's id.")
    time_column: ColumnName | None = Field(
        default="timestamp", description="Column with the time, a number or a timestamp."
    )
    max_bad_rows: IntOrPercent = Field(
        default="1%",
        description="Interactions that may be unusable (no id, no label of 0 or 1, no time), as a number or "
        "a percentage; they are left out and counted.",
    )
    split: Split = Field(default_factory=Split, description="What is held out.")


class Feature(ApiModel):
    """A column used as a feature."""

    column: ColumnName = Field(description="Its name in the items or users table.")
    type: Literal["Categorical", "CategoricalList", "Numeric"] = Field(
        default="Categorical",
        description="Categorical: one value. CategoricalList: several, in a list or in one string. "
        "Numeric: standardised.",
    )
    separator: str = Field(
        default=" ", min_length=1, max_length=4, description="Between the values of a CategoricalList string."
    )


Pooling = Literal["Mean", "Sum", "Weighted", "Attention"]


class UserHistory(ApiModel):
    """A profile of the tokens of what the user liked before."""

    max_items: int = Field(default=50, ge=1, le=1000, description="Latest positive items that count.")
    half_life: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Items after which one counts half as much as the latest; all count alike if unset.",
    )


class CaptionsFeature(ApiModel):
    """Caption tokens of a CaptionJob as a feature of the item, and of the user's history."""

    caption_job: ObjectName = Field(description="Name of a CaptionJob in this namespace.")
    aspect: AspectName = Field(
        default="caption",
        description="Which of the CaptionJob's `prompts`; a single prompt's aspect is `caption`.",
    )
    pooling: Pooling = Field(
        default="Sum",
        description="How the token embeddings of an item become one. Weighted: their sum, each times the "
        "token's weight. Attention: a mean whose shares are learned. Mean and Sum take no notice of weights.",
    )
    user_history: UserHistory | None = Field(
        default=None, description="Also describe users by the captions they liked."
    )


class Features(ApiModel):
    """What the ranker knows of users, items and requests, besides ids."""

    RULES = (
        Rule(
            "self.context.all(c, c.type != 'CategoricalList')",
            "a column of interactions is one value: make it Categorical or Numeric",
            lambda features: all(c.type != "CategoricalList" for c in features.context),
            ".context",
        ),
        Rule(
            "self.context.all(c, !self.user.exists(u, u.column == c.column))",
            "a column is of the user or of the request, not both, as requests name it by its column alone: "
            "rename it in one of the tables",
            lambda features: {c.column for c in features.context}.isdisjoint(u.column for u in features.user),
            ".context",
        ),
    )

    user: Annotated[list[Feature], Unique("column")] = Field(
        default_factory=list[Feature], max_length=64, description="Columns of the users table."
    )
    item: Annotated[list[Feature], Unique("column")] = Field(
        default_factory=list[Feature], max_length=64, description="Columns of the items table."
    )
    context: Annotated[list[Feature], Unique("column")] = Field(
        default_factory=list[Feature],
        max_length=64,
        description="Columns of the interactions table that are known when somebody asks, such as the hour "
        "or the device: told with each request, under `features`. Not what only the answer brings, as the "
        "seconds watched.",
    )
    captions: Annotated[list[CaptionsFeature], Unique("caption_job", "aspect")] = Field(
        default_factory=list[CaptionsFeature],
        max_length=8,
        description="Caption tokens; each aspect of each CaptionJob is a feature of its own.",
    )


ArchitectureName = Literal["DCNv2", "DLRM", "DeepFM", "FinalMLP", "DIN", "TwoTower"]


def _only(field: str, cel: str, architecture: ArchitectureName) -> Rule:
    """Return the rule that `field`, `cel` in the manifest, is of one architecture."""
    return Rule(
        f"!has(self.{cel}) || self.architecture == '{architecture}'",
        f"{cel} is for architecture {architecture}: remove it, or change the architecture",
        lambda model: getattr(model, field) is None or model.architecture == architecture,
    )


class RankerModel(ApiModel):
    """The ranker's architecture."""

    RULES = (
        _only("cross_rank", "crossRank", "DCNv2"),
        _only("cross_experts", "crossExperts", "DCNv2"),
        _only("fusion_heads", "fusionHeads", "FinalMLP"),
        _only("history_items", "historyItems", "DIN"),
        Rule(
            "!has(self.crossExperts) || has(self.crossRank)",
            "crossExperts needs crossRank, the rank of each expert",
            lambda model: model.cross_experts is None or model.cross_rank is not None,
        ),
        Rule(
            "!has(self.fusionHeads) || self.hiddenUnits[self.hiddenUnits.size() - 1] % self.fusionHeads == 0",
            "fusionHeads must divide the last of hiddenUnits: each head takes an equal piece of it",
            lambda model: not model.fusion_heads or model.hidden_units[-1] % model.fusion_heads == 0,
        ),
    )

    architecture: ArchitectureName = Field(
        default="DCNv2",
        description="DCNv2: arXiv 2008.13535. DLRM: arXiv 1906.00091. DeepFM: arXiv 1703.04247. "
        "FinalMLP: arXiv 2304.00902. DIN: arXiv 1706.06978. TwoTower: a retriever, its item vectors are in "
        "the bundle.",
    )
    embedding_dim: int = Field(default=16, ge=2, le=1024, description="Width of the embeddings.")
    cross_layers: int = Field(default=2, ge=1, le=8, description="Cross layers (DCNv2).")
    cross_rank: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Rank of the cross layers' matrices (DCNv2); unset: full up to a width of 1,024, then a "
        "quarter of the width.",
    )
    cross_experts: int | None = Field(
        default=None, ge=1, le=16, description="Experts of a cross layer of low rank (DCNv2); 1 if unset."
    )
    fusion_heads: int | None = Field(
        default=None, ge=1, le=64, description="Heads of the bilinear fusion (FinalMLP); 1 if unset."
    )
    history_items: int | None = Field(
        default=None, ge=1, le=1000, description="Latest liked items attended to (DIN); 50 if unset."
    )
    hidden_units: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(
        default_factory=lambda: [128, 64],
        min_length=1,
        max_length=8,
        description="Widths of the MLP; the last is also that of a tower's vector.",
    )
    dropout: float = Field(default=0.0, ge=0, le=0.9, description="Dropout in the MLP.")


class TrainingTask(ApiModel):
    """A further label, learned beside the main one."""

    label: ColumnName = Field(description="Column of 0 and 1; rows where it is missing do not count for it.")
    weight: float = Field(default=0.3, gt=0, le=100, description="Of its loss; the main label's is 1.")


class ShardedTables(ApiModel):
    """How embeddings that are divided among all training processes learn: TorchRec, row-wise Adagrad."""

    learning_rate: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="Learning rate of these tables; Adagrad needs a larger one than Adam.",
    )


class Training(ApiModel):
    """How the ranker is trained."""

    RULES = (
        Rule(
            "self.batchSize >= self.nodes * self.processesPerNode",
            "a batch has fewer interactions than there are processes: raise batchSize, or lower nodes or "
            "processesPerNode",
            lambda training: training.batch_size >= training.nodes * training.processes_per_node,
            ".batchSize",
        ),
    )

    nodes: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Pods that train together. More than one need an output volume that all can mount.",
    )
    processes_per_node: int = Field(
        default=1, ge=1, le=16, description="Processes in each training pod: torchrun, DDP."
    )
    launcher: Literal["Auto", "Job", "JobSet", "TrainJob"] = Field(
        default="Auto",
        description="What starts several nodes. Auto: a JobSet where the cluster has that kind, else an "
        "Indexed Job with a headless Service. TrainJob: Kubeflow Trainer. One node is always a Job.",
    )
    max_restarts: int = Field(
        default=3,
        ge=0,
        le=100,
        description="Times the processes of several nodes are started again from the last checkpoint, all "
        "together, without new pods.",
    )
    sharded_tables: ShardedTables | None = Field(
        default=None,
        description="Divide the rows of the embedding tables of ids among the processes of all nodes, for "
        "tables that one device cannot hold. They learn by row-wise Adagrad, with `weightDecay` in place of "
        "`frequencyRegularisation`. Unset: every process has whole tables, and Adam. `{}` will do.",
    )
    search: Search | None = Field(
        default=None, description="Look for better parameters first; what is searched overrides the spec."
    )
    epochs: int = Field(default=15, ge=1, le=1000, description="Most passes over the training interactions.")
    patience: int = Field(
        default=4, ge=1, le=100, description="Epochs without a better validation AUC before training stops."
    )
    batch_size: int = Field(
        default=1024, ge=1, le=1_000_000, description="Interactions per step, of all processes together."
    )
    learning_rate: float = Field(default=5e-3, gt=0, le=1, description="Learning rate (Adam).")
    weight_decay: float = Field(
        default=1e-5,
        ge=0,
        le=1,
        description="L2 on weights, and on embeddings where `frequencyRegularisation` is 0.",
    )
    frequency_regularisation: float = Field(
        default=0.01,
        ge=0,
        le=100,
        description="L2 on the embeddings that a step learns from, over the root of how often training meets "
        "each: rare ones are kept small, but not wiped out. 0: off.",
    )
    id_dropout: float = Field(
        default=0.15,
        ge=0,
        le=0.9,
        description="Share of the training interactions whose item's id is hidden, as if it were new.",
    )
    tasks: Annotated[list[TrainingTask], Unique("label")] = Field(
        default_factory=list[TrainingTask],
        max_length=8,
        description="Further labels that share all but the last layer; the score served is of `data.label`.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of all that is random.")
    backoff_limit: int = Field(
        default=4, ge=0, le=100, description="Times the pod is tried again; each resumes from a checkpoint."
    )
    queue_name: str | None = Field(default=None, max_length=63, description="Kueue LocalQueue of the Jobs.")
    template: PodTemplate = Field(
        default_factory=PodTemplate, description="The training and evaluation pods."
    )
