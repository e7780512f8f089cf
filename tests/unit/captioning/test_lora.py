from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from PIL import Image
from torch import nn

from fathom.captioning.models.checkpoint import find, open_model
from fathom.captioning.models.prompting import encode
from fathom.captioning.tuning import lora
from fathom.errors import InvalidInputError
from fathom_api.captioning import Lora
from fathom_api.tasks import AnyModel


def opened(uri: str) -> tuple[Any, Any]:
    model = AnyModel(uri=uri)
    return open_model(find(model), model, torch.device("cpu"))


def test_all_linear_layers_of_the_language_model_are_adapted_in_any_architecture(any_checkpoint: str) -> None:
    model, _ = opened(any_checkpoint)
    found = lora.targets(model, [])
    assert found
    assert all(isinstance(model.get_submodule(name), nn.Linear) for name in found)
    assert not [n for n in found if any(part in n for part in ("vision", "projector", "qformer", "lm_head"))]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(
            ["q_proj"], {"model.language_model.layers.0.self_attn.q_proj"}, id="a layer of each block"
        ),
        pytest.param(["1.mlp.up_proj"], {"model.language_model.layers.1.mlp.up_proj"}, id="one block's"),
        pytest.param(
            ["linear_1", "v_proj"],
            {"model.multi_modal_projector.linear_1", "model.language_model.layers.1.self_attn.v_proj"},
            id="what the language model lacks is sought outside",
        ),
        pytest.param(
            ["vision_tower.encoder.layers.0.self_attn.q_proj"],
            {"model.vision_tower.encoder.layers.0.self_attn.q_proj"},
            id="the vision part when it is meant",
        ),
    ],
)
def test_names_mean_the_ends_of_modules(names: list[str], expected: set[str], llava_checkpoint: str) -> None:
    found = lora.targets(opened(llava_checkpoint)[0], names)
    assert expected <= set(found)
    assert all(any(f".{name}".endswith(f".{wanted}") for wanted in names) for name in found)
    if "vision_tower" not in names[0]:
        assert not [name for name in found if "vision" in name]


@pytest.mark.parametrize("wanted", ["query_key_value", "roj", "embed_tokens", "lm_head", ""])
def test_a_name_that_fits_nothing_is_refused_with_what_there_is(wanted: str, llava_checkpoint: str) -> None:
    with pytest.raises(InvalidInputError, match=r"no linear layer .*down_proj \(2\).*q_proj \(4\)") as error:
        lora.targets(opened(llava_checkpoint)[0], ["q_proj", wanted])
    assert error.value.reason == "NoSuchModule"


def test_weights_that_are_the_embeddings_too_are_not_adapted() -> None:
    """Merging into a tied output layer would change what the tokens are read as."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.write, self.other = nn.Embedding(5, 4), nn.Linear(4, 5), nn.Linear(4, 4)
            self.write.weight = self.read.weight

        def get_output_embeddings(self) -> None:
            return None

    assert lora._linear(Tied()) == ["other"]


def test_the_adapter_alone_makes_of_the_base_what_was_merged(llava_checkpoint: str, tmp_path: Path) -> None:
    model, processor = opened(llava_checkpoint)
    inputs = encode(processor, "What is it?", [Image.new("RGB", (40, 30), "red")])
    before = model(**inputs).logits
    adapted = lora.attach(model, Lora(rank=2, dropout=0), base="hf://acme/tiny", seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    lora.merge(adapted).save(tmp_path / "adapter")
    merged = model(**inputs).logits
    assert not torch.allclose(merged, before, atol=1e-2)
    assert not [name for name, _ in model.named_parameters() if "lora" in name]
    again = PeftModel.from_pretrained(opened(llava_checkpoint)[0], str(tmp_path / "adapter"))
    assert torch.allclose(again(**inputs).logits, merged, atol=1e-3, rtol=1e-3)
    assert (
        json.loads((tmp_path / "adapter/adapter_config.json").read_text())["base_model_name_or_path"]
        == "acme/tiny"
    )
