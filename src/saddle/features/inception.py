"""The Inception-v3 network of the original FID, through torch-fidelity, whose port reproduces the original graph."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saddle.base.machine import find_device
from saddle.errors import MetricError
from saddle.features.output import Output

# SHA-256 of weights-inception-2015-12-05-6726825d.pth of torch-fidelity's releases.
DIGEST = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_ADDRESS = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"


class Inception:
    """Features of the last pooling layer (2,048) and the 1,008 class probabilities, as FID and IS use them.

    Args:
        weights: the weights file; None takes the copy in torch's cache, downloaded when missing.
        digest: the file's SHA-256.
        device: where the network runs.

    Raises:
        MetricError: torch-fidelity is not installed or cannot be imported, or the weights are missing or are another
            file. Its hash is checked before it is read, since its format could run code.
    """

    name = "inception-v3"
    batch = 32  # the first layers are large
    class_names = tuple(str(number) for number in range(1008))

    def __init__(self, weights: Path | None = None, *, digest: str = DIGEST, device: str = "cpu") -> None:
        try:
            library: Any = import_module("torch_fidelity.feature_extractor_inceptionv3")
        except ImportError as error:
            raise MetricError(
                "the extractor inception-v3 needs torch-fidelity", got=error, remedy="pip install 'saddle[inception]'"
            ) from None
        except RuntimeError as error:  # torchvision's compiled part does not fit this torch
            raise MetricError(
                "torch-fidelity cannot be imported", got=error,
                remedy="install the version of torchvision that was built for this version of torch",
            ) from None  # fmt: skip
        path = weights or _downloaded(digest)
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        if found != digest:
            raise MetricError(
                f"{path} is not the Inception network of the original FID",
                expected=f"SHA-256 {digest}", got=found, remedy=f"download it from {_ADDRESS}",
            )  # fmt: skip
        self.fingerprint = found
        self._device = find_device(device)
        self._network = library.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
        ).to(self._device)

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise MetricError(
                f"the extractor {self.name} does not fit samples of shape {shape}", expected="grey or RGB images"
            )

    def __call__(self, values: Tensor) -> Output:
        with torch.inference_mode():
            features, logits = self._network(values.to(self._device).expand(-1, 3, -1, -1))
            return Output(features.float(), logits.float().softmax(1)[:, None])


def _downloaded(digest: str) -> Path:
    """The weights in torch's cache, downloaded if they are missing; a file with another hash is not kept."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(_ADDRESS).name
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(_ADDRESS, str(path), hash_prefix=digest)
        except (OSError, RuntimeError) as error:  # RuntimeError: another hash
            raise MetricError(
                "the Inception weights could not be downloaded", got=error,
                remedy=f"download {_ADDRESS} on another machine and give it with --inception-weights FILE",
            ) from None  # fmt: skip
    return path
