"""The classifier that the semi-supervised game trains: the averaged D with all it takes to use it, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor

from saddle.config.schema import DiscriminatorConfig
from saddle.data.scaling import Scaling
from saddle.trained.files import NetworkHeader, load_network


class ClassifierHeader(NetworkHeader):
    """What the header of a classifier file says."""

    format: Literal["saddle-classifier-1"] = "saddle-classifier-1"
    labelled: int  # labels it was shown
    discriminator: DiscriminatorConfig


def load_classifier_file(path: Path) -> tuple[dict[str, Tensor], Scaling, ClassifierHeader]:
    """The weights, the scaling and the header of a classifier file; errors as ``load_network``."""
    return load_network(path, ClassifierHeader, "classifier")
