"""Small real checkpoints of several architectures, random weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Other tests run beside these; threads that wait for each other's cores are slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
import transformers as hf

from fathom import cpus
from fathom.captioning.models.small_llava import train_tokenizer

PROMPT = "What is it?"
TEMPLATE = (
    "{% for m in messages %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}IMAGE{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} A:{% endif %}"
)


def _tokenizer(*special: str) -> hf.PreTrainedTokenizerFast:
    tokenizer = train_tokenizer(["red green blue a an the thing", PROMPT])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", *special]})
    return tokenizer


def _text(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def llava(template: str | None) -> tuple[Any, Any]:
    tokenizer = _tokenizer()
    vision = hf.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    config = hf.LlavaConfig(
        vision_config=vision,
        text_config=hf.LlamaConfig(**_text(tokenizer)),
        image_token_index=tokenizer.get_vocab()["<image>"],
    )
    images = hf.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = hf.LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    return hf.LlavaForConditionalGeneration(config), processor


def llava_next() -> tuple[Any, Any]:
    tokenizer = _tokenizer()
    vision = hf.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    grid = [[28, 56], [56, 28], [56, 56]]
    config = hf.LlavaNextConfig(
        vision_config=vision,
        text_config=hf.LlamaConfig(**_text(tokenizer)),
        image_token_index=tokenizer.get_vocab()["<image>"],
        image_grid_pinpoints=grid,
    )
    images = hf.LlavaNextImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=grid
    )
    processor = hf.LlavaNextProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", "<image>\n"),
    )
    return hf.LlavaNextForConditionalGeneration(config), processor


def idefics3() -> tuple[Any, Any]:
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokenizer = _tokenizer("<fake_token_around_image>", "<end_of_utterance>", "<global-img>")
    config = hf.Idefics3Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
        },
        text_config=hf.LlamaConfig(**_text(tokenizer)),
        image_token_id=tokenizer.get_vocab()["<image>"],
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    images = Idefics3ImageProcessorPil(
        do_image_splitting=False, size={"longest_edge": 56}, max_image_size={"longest_edge": 56}
    )
    processor = hf.Idefics3Processor(
        image_processor=images,
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    return hf.Idefics3ForConditionalGeneration(config), processor


def blip() -> tuple[Any, Any]:
    tokenizer = _tokenizer()
    text = {
        **_text(tokenizer),
        "sep_token_id": tokenizer.eos_token_id,
        "encoder_hidden_size": 32,
        "projection_dim": 16,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
    }
    config = hf.BlipConfig(vision_config={**vision, "patch_size": 16}, text_config=text, projection_dim=16)
    images = hf.BlipImageProcessor(size={"height": 32, "width": 32})
    return hf.BlipForConditionalGeneration(config), hf.BlipProcessor(images, tokenizer)


def blip2() -> tuple[Any, Any]:
    tokenizer = _tokenizer()
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = hf.Blip2Config(
        vision_config={**sizes, "intermediate_size": 48, "image_size": 32, "patch_size": 16},
        qformer_config={**sizes, "intermediate_size": 48, "encoder_hidden_size": 32, "vocab_size": 8},
        text_config={**_text(tokenizer), "model_type": "opt", "ffn_dim": 48, "word_embed_proj_dim": 32},
        num_query_tokens=3,
        image_token_index=tokenizer.get_vocab()["<image>"],
    )
    images = hf.BlipImageProcessor(size={"height": 32, "width": 32})
    return hf.Blip2ForConditionalGeneration(config), hf.Blip2Processor(images, tokenizer, num_query_tokens=3)


def florence2() -> tuple[Any, Any]:
    tokenizer = _tokenizer()
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        **tokenizer.special_tokens_map,
        extra_special_tokens={"image_token": "<image>"},
    )
    layers = {
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
    }
    text = {**_text(tokenizer), **layers, "d_model": 32, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    config = hf.Florence2Config(
        vision_config={
            "depths": [1, 1], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1],
            "patch_prenorm": [False, True], "embed_dim": [16, 32], "num_heads": [2, 4], "num_groups": [2, 4],
            "window_size": 4, "projection_dim": 32, "drop_path_rate": 0.0,
        },
        text_config={**text, "model_type": "bart", "decoder_start_token_id": tokenizer.eos_token_id},
        image_token_id=tokenizer.image_token_id,
    )  # fmt: skip
    images = hf.CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    # Every place of the last feature map [4, 4], and the mean over them.
    images.image_seq_length = 17
    return hf.Florence2ForConditionalGeneration(config), hf.Florence2Processor(images, tokenizer)


ARCHITECTURES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "LLaVA with a chat template": lambda: llava(TEMPLATE.replace("IMAGE", "<image>\n")),
    "LLaVA without a chat template": lambda: llava(None),
    "LLaVA-NeXT, which takes more tokens for larger pictures": llava_next,
    "Idefics3, which wants a list of pictures for each text": idefics3,
    "BLIP, which has no image token": blip,
    "BLIP-2, whose processor writes the image tokens": blip2,
    "Florence-2, an encoder and a decoder": florence2,
}


@pytest.fixture(autouse=True)
def one_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests run beside these: a model for each CPU would only take longer to open."""
    monkeypatch.setattr(cpus, "available", lambda: 1)


@pytest.fixture(scope="session", params=ARCHITECTURES)
def any_checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a checkpoint, once for each architecture."""
    return save(ARCHITECTURES[request.param], tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def llava_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a small LLaVA with a CLIP vision part."""
    return save(ARCHITECTURES["LLaVA with a chat template"], tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def idefics_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a small Idefics3, which takes many pictures in one conversation."""
    return save(idefics3, tmp_path_factory.mktemp("idefics"))


@pytest.fixture(scope="session")
def blip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a small BLIP, which takes one picture."""
    return save(blip, tmp_path_factory.mktemp("blip"))


def save(make: Callable[[], tuple[Any, Any]], path: Path) -> str:
    torch.manual_seed(0)
    model, processor = make()
    # A decoder of random weights sees hardly any difference between pictures; larger weights make it see one.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return str(path)
