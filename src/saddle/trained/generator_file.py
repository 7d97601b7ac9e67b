"""The file that one shares: the averaged generator's weights, and all it takes to use them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor

from saddle.config.schema import GeneratorNetworkConfig, LatentConfig
from saddle.data.scaling import Scaling
from saddle.trained.files import NetworkHeader, load_network


class GeneratorHeader(NetworkHeader):
    """What the header of a generator file says; ``class_names`` are empty when it takes no labels."""

    format: Literal["saddle-generator-1"] = "saddle-generator-1"
    kind: Literal["images", "points"]
    data: str
    latent: LatentConfig
    network: GeneratorNetworkConfig
    condition: Literal["concatenate", "embedding"]


def load_generator(path: Path) -> tuple[dict[str, Tensor], Scaling, GeneratorHeader]:
    """The weights, the scaling and the header of a generator file; errors as ``load_network``."""
    return load_network(path, GeneratorHeader, "generator")
