"""MODEL_CARD.md of a bundle: what it is for, from what it was made, how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fathom.ranking.bundle import BundleInfo
    from fathom.ranking.schema import FeatureField


def render(info: BundleInfo) -> str:
    """Return the model card of a bundle, Markdown."""
    return (
        "\n\n".join(
            [
                f"# {info.model.architecture} ranker, arm {info.arm}",
                _purpose(info),
                "## Training data\n\n" + _data(info),
                "## Features\n\n"
                + _features("User", info.features.user)
                + "\n"
                + _features("Item", info.features.item),
                "## Training\n\n" + _training(info),
                "## Limits\n\n" + _limits(info),
            ]
        )
        + "\n"
    )


def _purpose(info: BundleInfo) -> str:
    return (
        f"Predicts the probability that `{info.label}` is 1 for a user and an item, to order candidate items "
        f"for one user. Made by {info.created_by}. Not made to judge people, or to set prices or access."
    )


def _data(info: BundleInfo) -> str:
    sizes, split = info.sizes, info.split
    return (
        f"{sizes['train']:,} interactions for training, {sizes['validation']:,} to stop by and "
        f"{sizes['test']:,} held out to judge by, of {sizes['users']:,} users and {sizes['items']:,} items. "
        f"Split: {split.strategy} (validation {split.validation:g}, test {split.test:g}, "
        f"seed {split.seed}), `{info.split_digest}`."
    )


def _features(side: str, fields: list[FeatureField]) -> str:
    return "\n".join(f"- {side} `{f.name}`: {f.type}{_detail(f)}" for f in fields)


def _detail(field: FeatureField) -> str:
    if field.type == "Numeric":
        return f", mean {field.mean:.4g}, deviation {field.deviation:.4g}"
    history = f"; profile of the latest {field.history} liked items" if field.history else ""
    return f", {field.size:,} ids{history}"


def _training(info: BundleInfo) -> str:
    rows = "\n".join(
        f"| {point['epoch']:.0f} | {point['loss']:.4f} | {point['validation_auc']:.4f} |"
        for point in info.curve
    )
    training = info.training
    return (
        f"Adam, learning rate {training.learning_rate:g}, weight decay {training.weight_decay:g}, batches of "
        f"{training.batch_size}, at most {training.epochs} epochs, seed {training.seed}; "
        f"{info.sizes['parameters']:,} parameters. The weights are those of epoch "
        f"{info.metrics['epoch']:.0f}, the best by validation AUC. Test figures are in the evaluation.\n\n"
        f"| epoch | training loss | validation AUC |\n| --- | --- | --- |\n{rows}"
    )


def _limits(info: BundleInfo) -> str:
    captions = ", ".join(f"`{job}` ({digest})" for job, digest in info.caption_features.items()) or "none"
    return (
        f"Caption features: {captions}; captions are written by a model and can be wrong. Users, items and "
        "values that training did not see share one embedding for the unknown."
    )
