"""What decides a Transformers engine's text besides model, question and media; told without opening it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from fathom_api.captioning import CaptionModel

#: Part of every key: a change of how text is decoded makes other captions.
_RECIPE: Final = "greedy-2"
_SAMPLING: Final = "arithmetic-1"
_DTYPES: Final = {"Float32": "float32", "BFloat16": "bfloat16", "Float16": "float16"}
#: One of these is there where torch can find a GPU: NVIDIA's, AMD's, and that of Windows' Linux.
_DEVICES: Final = ("nvidiactl", "kfd", "dxg")


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Return whether torch finds a GPU; it is only asked where there may be one."""
    if not any((devices / name).exists() for name in _DEVICES):
        return False
    import torch

    return torch.cuda.is_available()


def dtype_name(asked: str, *, gpu: bool) -> str:
    """Return torch's name of the number format `asked` for; `Auto` is the one that pays on the device."""
    if asked == "Auto":
        return "bfloat16" if gpu else "float32"
    return _DTYPES[asked]


def decoding(model: CaptionModel, *, gpu: bool) -> str:
    """Return engine, recipe, samples and number format as JSON; not batches, devices or threads."""
    how: dict[str, str | int] = {
        "decoding": _RECIPE,
        "dtype": dtype_name(model.dtype, gpu=gpu),
        "engine": "Transformers",
    }
    if model.samples:
        how |= {"samples": model.samples, "sampling": _SAMPLING}
    return json.dumps(how, sort_keys=True)
