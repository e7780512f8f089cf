"""From prompt, texts and pictures to a model's input, for any image-text-to-text processor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fathom.errors import InvalidInputError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

#: Takes from a text what a model would take for markup.
Clean = Callable[[str], str]


def encode(processor: Any, prompt: str, images: list[Image]) -> dict[str, torch.Tensor]:
    """Return the model's input for `prompt` asked about each of `images`; `input_ids` [B, L], left-padded."""
    return encode_clips(processor, prompt, [[image] for image in images])


def encode_clips(processor: Any, prompt: str, clips: Sequence[Sequence[Image]]) -> dict[str, torch.Tensor]:
    """Return the model's input for `prompt` asked about each of `clips`, which have equally many frames.

    A processor with a chat template gets a conversation, another one the model's image token and the prompt.

    Raises:
        InvalidInputError: the model takes one picture, and there are more.
    """
    frames = len(clips[0])
    if getattr(processor, "chat_template", None):
        text = processor.apply_chat_template(_conversation(prompt, frames), add_generation_prompt=True)
        # The template writes the first token itself where the model wants one.
        first = processor.tokenizer.bos_token
        special = not (first and text.startswith(first))
        return _process(processor, text, [list(clip) for clip in clips], add_special_tokens=special)
    if not _writes_image_tokens(processor, prompt, clips[0][0]):
        text = f"{processor.image_token}\n" * frames + prompt
        return _process(processor, text, [list(clip) for clip in clips])
    if frames > 1:
        raise InvalidInputError(
            "OnePictureOnly", f"this model takes one picture, not {frames}; set source.video.frames to 1"
        )
    return _process(processor, prompt, [clip[0] for clip in clips])


def fill(template: str, texts: Mapping[str, str], columns: Sequence[str], clean: Clean) -> str:
    """Return the prompt for an item: `{column}` is replaced by its text, other texts stand below.

    Texts are not looked at for placeholders, lose their line breaks, and go through `clean`.
    """
    said = {name: clean(" ".join(texts[name].split())) for name in columns if name in texts}
    names = "|".join(re.escape(name) for name in columns)
    if not names:
        return template
    placed: set[str] = set()

    def place(match: re.Match[str]) -> str:
        placed.add(match[1])
        return said.get(match[1], "")

    filled = re.sub(rf"\{{({names})\}}", place, template)
    return "\n".join([filled, *(f"{name}: {text}" for name, text in said.items() if name not in placed)])


def with_times(prompt: str, times: Sequence[float]) -> str:
    """Return `prompt` with the seconds at which a video's frames were taken, for models that see pictures."""
    if len(times) < 2:
        return prompt
    places = ", ".join(f"{second:.1f} s" for second in times)
    return f"These pictures are frames of one video, taken at {places}.\n{prompt}"


def to_device(inputs: dict[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """Return `inputs` where `model` is, pictures in its number format."""
    return {
        k: v.to(model.device, model.dtype) if v.is_floating_point() else v.to(model.device)
        for k, v in inputs.items()
    }


def _process(processor: Any, text: str, images: list[Any], **options: bool) -> dict[str, torch.Tensor]:
    # Equal texts and equally many pictures may still differ in tokens, by the pictures' sizes.
    padding = len(images) > 1
    return dict(
        processor(text=[text] * len(images), images=images, return_tensors="pt", padding=padding, **options)
    )


def _writes_image_tokens(processor: Any, prompt: str, image: Image) -> bool:
    """Return whether `processor` needs no image token in the text: it adds them, or its model has none."""
    token = getattr(processor, "image_token", None)
    if token is None:
        return True
    try:
        ids = processor(text=[prompt], images=[image], return_tensors="pt")["input_ids"]
    except ValueError:
        # It counts image tokens and pictures, and finds that they differ.
        return False
    return bool((ids == processor.tokenizer.convert_tokens_to_ids(str(token))).any())


def _conversation(prompt: str, frames: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*({"type": "image"},) * frames, {"type": "text", "text": prompt}]}]
