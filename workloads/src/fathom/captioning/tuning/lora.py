"""Low-rank adapters (Hu et al. 2021, https://arxiv.org/abs/2106.09685) by peft, merged in the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from fathom.errors import InvalidInputError
from fathom_api.captioning import Lora

#: Where the adapter alone lies in the checkpoint's folder.
FOLDER: Final = "adapter"


def attach(model: Any, lora: Lora, *, base: str, seed: int) -> PeftModel:
    """Put adapters into `model`, in place: from now on they alone want a gradient.

    `base` is the URI of the model that they fit, told in the adapter's own description.

    Raises:
        InvalidInputError: a target names no linear layer of the model.
    """
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  peft only divides it by the rank
        lora_dropout=lora.dropout,
        target_modules=targets(model, lora.target_modules),
    )
    adapted = get_peft_model(model, config)
    # peft would tell where the base lies on this machine.
    adapted.peft_config["default"].base_model_name_or_path = base.removeprefix("hf://")
    return adapted  # type: ignore[return-value]  not a mixed one


def targets(model: Any, names: list[str]) -> list[str]:
    """Return the full names of the layers to adapt: those that `names` mean, or the language model's all.

    A name is the end of a module's full name, whole parts of it. It is sought in the language model first: a
    vision part often has a `q_proj` of its own, which is left alone unless it is named so that it is meant.

    Raises:
        InvalidInputError: a name fits no linear layer.
    """
    everywhere = _linear(model)
    language = [name for name in everywhere if name.startswith(_language_model(model))]
    if not names:
        return language
    found: dict[str, None] = {}
    for wanted in names:
        fitting = _fitting(wanted, language) or _fitting(wanted, everywhere)
        if not fitting:
            raise InvalidInputError(
                "NoSuchModule",
                f"fineTune.lora.targetModules: no linear layer {wanted!r}; there are {_listed(everywhere)}",
            )
        found |= dict.fromkeys(fitting)
    return list(found)


@dataclass(frozen=True)
class Adapter:
    """An adapter by itself, as peft keeps it."""

    weights: dict[str, torch.Tensor]
    config: LoraConfig

    def save(self, folder: Path) -> None:
        """Write it where `PeftModel.from_pretrained` finds it."""
        folder.mkdir(parents=True)
        save_file(self.weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        self.config.save_pretrained(str(folder))


def merge(adapted: PeftModel) -> Adapter:
    """Add the adapter to the weights of the model it was attached to; return what it was."""
    # Left to itself, peft asks the hub whether the base's embeddings are still the same.
    state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    config: Any = adapted.peft_config["default"]
    config.inference_mode = True
    # peft keeps a set: the same targets must give the same file.
    config.target_modules = sorted(config.target_modules)
    kept = Adapter({name: value.contiguous() for name, value in state.items()}, config)
    adapted.merge_and_unload()
    return kept


def _fitting(wanted: str, names: list[str]) -> list[str]:
    return [name for name in names if f".{name}".endswith(f".{wanted}")]


def _linear(model: Any) -> list[str]:
    """Return the names of the linear layers that may be adapted.

    One whose weights are the token embeddings' as well cannot be: merging would change those too.
    """
    output = model.get_output_embeddings()
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not output and id(module.weight) not in embeddings
    ]


def _language_model(model: Any) -> str:
    """Return the name of the part that writes, with a dot behind it: the topmost with the text's config."""
    text = model.config.get_text_config()
    for name, module in model.named_modules():
        if isinstance(module, PreTrainedModel) and module.config is text:
            return f"{name}." if name else ""
    raise InvalidInputError(
        "NoLanguageModel",
        f"{type(model).__name__} has no part that is its language model: fine-tune it with method: Full",
    )


def _listed(names: list[str]) -> str:
    """Return the last parts of `names`, with how often each occurs."""
    counts = Counter(name.rpartition(".")[2] for name in names)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
