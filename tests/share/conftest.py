"""Generator files of every family, with weights as they begin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from saddle.config.networks import LatentConfig
from saddle.config.schema import GeneratorConfig
from saddle.data.scaling import Scaling
from saddle.networks.families import build_generator
from saddle.networks.unet import noise_of
from saddle.trained.files import GeneratorHeader, InputsHeader, save_network

WriteGenerator = Callable[..., Path]


@pytest.fixture
def write_generator(tmp_path: Path) -> WriteGenerator:
    """Writes a generator file: its shape, its classes, the settings of its network, and of its latents."""

    def write(
        shape: tuple[int, ...] = (1, 8, 8),
        classes: tuple[str, ...] = (),
        latent: dict[str, Any] | None = None,
        condition: str = "concatenate",
        name: str = "generator",
        recipe: str = "a recipe",
        **network: Any,
    ) -> Path:
        torch.manual_seed(0)
        config = GeneratorConfig.model_validate({"network": network, "condition": condition})
        family = config.network.family
        described = LatentConfig(**{"size": 5} | (latent or {}))
        channels = 0
        if family == "unet":
            described, channels = noise_of(config.network, shape), 3
        if family == "pixelcnn":
            described = LatentConfig(size=shape[0] * shape[1] * shape[2], distribution="uniform", low=0, high=1)
        built = build_generator(config, described, shape, len(classes), channels)
        for module in built.modules():  # as training leaves them, and not at their neutral beginnings
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
        images = len(shape) == 3
        tanh = Scaling(torch.tensor([2 / 255]), torch.tensor([-1.0]), images=True)
        scaling = tanh if images else Scaling(torch.full(shape, 0.25), torch.full(shape, -0.5), images=False)
        header = GeneratorHeader(
            recipe=recipe,
            images_seen=100,
            kind="images" if images else "points",
            shape=shape,
            data="/home/somebody/data",
            latent=described,
            class_names=classes,
            network=config.network,
            condition=config.condition,
            inputs=InputsHeader(channels=3, fit="crop") if channels else None,
        )
        path = tmp_path / f"{name}.safetensors"
        save_network(path, built.state_dict(), scaling, header)
        return path

    return write
