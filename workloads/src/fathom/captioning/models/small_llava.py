"""The small LLaVA: a real multimodal LLM of ours for machines that reach no model hub.

ImageNet-trained EfficientNet-Lite0, LLaVA's projector (Liu et al. 2023, https://arxiv.org/abs/2304.08485) and
a LLaMA decoder of four layers that starts from nothing: it must be fine-tuned before it says anything. Its
checkpoints are Hugging Face's own format.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from fathom.captioning.models.finding import SMALL_LLAVA
from fathom.captioning.models.vision import (
    IMAGE_MEAN,
    IMAGE_SIZE,
    IMAGE_STD,
    STYLED,
    EfficientNetLiteConfig,
)

URI: Final = SMALL_LLAVA
#: Identifies the model as it is built: another design makes other models.
DESIGN: Final = f"{URI}:2"
VOCABULARY: Final = 4000
_PAD, _BOS, _EOS, _IMAGE = "<pad>", "<s>", "</s>", "<image>"
#: LLaVA 1.5's conversation.
_TEMPLATE: Final = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: {% else %}ASSISTANT: {% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def build(
    captions: Iterable[str], prompt: str, seed: int
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Return the model, untrained but for its vision part, and a processor with a tokenizer of `captions`."""
    tokenizer = train_tokenizer(itertools.chain(captions, [f"USER: \n{prompt} ASSISTANT:"]))
    processor = _processor(tokenizer)
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(_config(tokenizer))
    model.model.vision_tower.load_imagenet()
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model, processor


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer made from `texts`; it can write any text, if not in few tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[_PAD, _BOS, _EOS, _IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        bos_token=_BOS,
        eos_token=_EOS,
        additional_special_tokens=[_IMAGE],
        padding_side="left",
    )


def _processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    images = CLIPImageProcessor(
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        do_center_crop=False,
        image_mean=IMAGE_MEAN,
        image_std=IMAGE_STD,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=IMAGE_SIZE // EfficientNetLiteConfig().grid,
        vision_feature_select_strategy="full",
        chat_template=_TEMPLATE,
    )


def _config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    vision = EfficientNetLiteConfig(style=True, hidden_size=STYLED)
    ids: dict[str, Any] = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        **ids,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.get_vocab()[_IMAGE],
        image_seq_length=vision.grid**2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        **ids,
    )
