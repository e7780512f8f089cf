"""Model card of a bundle (Mitchell et al., Model Cards for Model Reporting, FAT* 2019, arXiv 1810.03993).

Beside the weights as MODEL_CARD.md, without figures of a test that comes later; complete beside the
evaluation and in its report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fathom.ranking.figures import CardSection
from fathom.ranking.split import describe

if TYPE_CHECKING:
    from fathom.ranking.bundle import BundleInfo
    from fathom.ranking.figures import EvaluationReport
    from fathom.ranking.schema import FeatureField

NAME: Final = "MODEL_CARD.md"
_NOT_YET: Final = (
    "Not measured yet: fathom evaluate writes this card with the figures beside evaluation.json."
)


def render(info: BundleInfo, found: EvaluationReport | None = None) -> str:
    """Return the model card of a bundle, Markdown; with figures where it was evaluated."""
    return markdown(f"{info.model.architecture} ranker, arm {info.arm}", sections(info, found))


def markdown(title: str, parts: list[CardSection]) -> str:
    """Return a card as Markdown."""
    text = [f"# {title}"]
    for part in parts:
        text += [f"## {part.title}", *part.text]
        if part.points:
            text.append("\n".join(f"- {point}" for point in part.points))
    return "\n\n".join(text) + "\n"


def sections(info: BundleInfo, found: EvaluationReport | None = None) -> list[CardSection]:
    """Return the sections of a bundle's model card, those of the paper in its order."""
    return [
        CardSection(title="Model details", text=_details(info), points=_parameters(info)),
        CardSection(title="Intended use", text=_use(info)),
        CardSection(title="Factors", text=_factors(info)),
        CardSection(title="Metrics", text=[_METRICS]),
        CardSection(title="Evaluation data", text=_evaluation_data(info, found)),
        CardSection(title="Training data", text=_training_data(info), points=_features(info)),
        CardSection(title="Quantitative analyses", text=[] if found else [_NOT_YET], points=_figures(found)),
        CardSection(title="Ethical considerations", text=[_ETHICS]),
        CardSection(
            title="Caveats and recommendations",
            text=_caveats(info),
            points=list(found.notes) if found else [],
        ),
    ]


_METRICS: Final = (
    "AUC: how often an item that was liked is placed before one that was not. GAUC: the same within each "
    "user. Log loss and normalised entropy (NE): how good the probabilities are; an NE of 1 is always "
    "predicting the base rate. Calibration: mean prediction over mean label. Intervals are of 95 %, by a "
    "paired bootstrap over users."
)
_ETHICS: Final = (
    "The ranker repeats the tastes of those whose interactions it learned from, and what they were shown; "
    "people of whom the data have few it serves worse. Ids of users and items are in the bundle: treat it as "
    "personal data. Captions are written by a model and can be wrong, or repeat the prejudices of what that "
    "model was trained on."
)


def _details(info: BundleInfo) -> list[str]:
    return [
        f"{info.model.architecture}, {info.sizes['parameters']:,} parameters, made by {info.created_by}. "
        f"Arm {info.arm}. The weights are those of epoch {info.metrics['epoch']:.0f}, the best of "
        f"{len(info.curve)} by validation AUC ({info.metrics['validation_auc']:.4f})."
    ]


def _parameters(info: BundleInfo) -> list[str]:
    training = info.training
    return [
        f"Adam, learning rate {training.learning_rate:g}, weight decay {training.weight_decay:g}",
        f"batches of {training.batch_size:,}, at most {training.epochs} epochs, seed {training.seed}",
        f"embeddings of {info.model.embedding_dim}, hidden layers of "
        f"{', '.join(map(str, info.model.hidden_units))}, dropout {info.model.dropout:g}",
    ]


def _use(info: BundleInfo) -> list[str]:
    return [
        f"Predicts the probability that `{info.label}` is 1 for a user and an item, to order candidate items "
        "for one user. For those who run the catalogue that it was trained on.",
        "Not made to judge people, to set prices or access, or to rank items of another catalogue.",
    ]


def _factors(info: BundleInfo) -> list[str]:
    columns = ", ".join(f"`{f.name}`" for f in info.features.user if f.name != "@id") or "none"
    return [
        "Figures are told apart by how often training saw the item: head, torso, tail, new. "
        f"What is known of users: {columns}. Figures by groups of users are not made: whether the ranker "
        "serves them alike has to be measured where that matters."
    ]


def _evaluation_data(info: BundleInfo, found: EvaluationReport | None) -> list[str]:
    held = (
        f"{info.sizes['test']:,} interactions held out, {info.sizes['validation']:,} to stop training by. "
        f"Split: {describe(info.split)}, `{info.split_digest}`."
    )
    if found is None:
        return [held]
    return [
        held,
        f"Of {found.users:,} users and {found.items:,} items; share of label 1: {found.base_rate:.3f}.",
    ]


def _training_data(info: BundleInfo) -> list[str]:
    sizes = info.sizes
    captions = ", ".join(f"`{job}` ({digest})" for job, digest in info.caption_features.items()) or "none"
    return [
        f"{sizes['train']:,} interactions; {sizes['users']:,} users and {sizes['items']:,} items in all. "
        f"Caption features: {captions}. What the ranker is told:"
    ]


def _features(info: BundleInfo) -> list[str]:
    known = info.features
    own = known.user[: len(known.user) - known.context]
    return [
        f"{side} `{f.name}`: {f.type}{_detail(f)}"
        for side, fields in (("User", own), ("Request", known.of_requests), ("Item", known.item))
        for f in fields
    ]


def _detail(field: FeatureField) -> str:
    if field.type == "Numeric":
        return f", mean {field.mean:.4g}, deviation {field.deviation:.4g}"
    history = f"; profile of the latest {field.history} liked items" if field.history else ""
    return f", {field.size:,} ids{history}"


def _figures(found: EvaluationReport | None) -> list[str]:
    if found is None:
        return []
    ours = found.arms["Captions"].metrics
    points = [", ".join(f"{name} {value:.4f}" for name, value in ours.items())]
    points += [
        f"AUC {d.auc:+.4f} ({d.low:+.4f} … {d.high:+.4f}) against {d.against}" for d in found.differences
    ]
    return points + [
        f"{s.name}: AUC {s.auc['Captions']:.4f} on {s.rows:,} interactions of {s.items:,} items"
        for s in found.slices
        if "Captions" in s.auc
    ]


def _caveats(info: BundleInfo) -> list[str]:
    return [
        "Users, items and values that training did not see share one embedding for the unknown. Offline "
        "figures tell of items that were shown to people before, not of what people would like of the rest. "
        "Roll a version out by steps, and train again when tastes or the catalogue change."
    ]
