"""What a report says, before it has a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fact:
    """A name and a value: a digest, a count, where something lies."""

    name: str
    value: str


@dataclass(frozen=True)
class Item:
    """An item with its picture (JPEG or PNG bytes, or none), its caption and the tokens made of it."""

    item_id: str
    title: str
    caption: str
    tokens: Sequence[str] = ()
    picture: bytes = b""


@dataclass(frozen=True)
class Curve:
    """A line of a chart: its name and points (x, y); one for `reference` was not measured."""

    name: str
    points: Sequence[tuple[float, float]]
    reference: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over the same axes."""

    title: str
    x: str
    y: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Arm:
    """Metrics of an arm on the test split.

    `gain` is the AUC of the candidate minus this arm's; `low` and `high` its 95 % interval.
    """

    name: str
    auc: float | None
    gauc: float | None = None
    log_loss: float | None = None
    normalized_entropy: float | None = None
    calibration: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Gate:
    """A comparison a version had to pass, in words."""

    version: str
    against: str
    verdict: str
    message: str


@dataclass(frozen=True)
class Moment:
    """From `time` on, `candidate` got `weight` percent of the requests and `stable` the rest."""

    time: str
    stable: str
    candidate: str = ""
    weight: int = 0
    note: str = ""


@dataclass(frozen=True)
class Ranked:
    """An item at its place in an answer of the served model."""

    item: Item
    score: float


@dataclass(frozen=True)
class User:
    """Whom the served model was asked about: who they are, and some of what they liked."""

    name: str
    about: str
    liked: Sequence[Item] = ()


@dataclass(frozen=True)
class Report:
    """A report. With `simulated`, every part that shows interactions or what follows from them says so."""

    title: str
    made_at: str
    simulated: bool
    about: Sequence[Fact] = ()
    items: Sequence[Item] = ()
    coverage: Sequence[Fact] = ()
    charts: Sequence[Chart] = ()
    test_split: str = ""
    arms: Sequence[Arm] = ()
    gates: Sequence[Gate] = ()
    timeline: Sequence[Moment] = ()
    user: User | None = None
    top: Sequence[Ranked] = ()
    answered_by: str = ""
    versions: Sequence[Fact] = field(default_factory=tuple)
