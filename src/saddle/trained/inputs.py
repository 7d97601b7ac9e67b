"""What a generator that learned from pairs is given."""

from __future__ import annotations

import torch
from torch import Tensor

from saddle.errors import ConfigError, DataError
from saddle.trained.files import GeneratorHeader


def check_inputs(images: Tensor, header: GeneratorHeader) -> Tensor:
    """Images as data hold them, from 0 to 255: floats (B, channels, H, W).

    Args:
        images: uint8, or floats in [0, 1].
        header: of the generator.

    Raises:
        ConfigError: the generator did not learn from pairs.
        DataError: images of another shape or range.
    """
    if header.inputs is None:
        raise takes_no_images()
    shape = header.inputs.channels, *header.shape[1:]
    if tuple(images.shape[1:]) != shape:
        raise DataError(
            "these images do not fit this generator",
            expected=f"shape (B, {', '.join(map(str, shape))})",
            got=tuple(images.shape),
            remedy="`saddle sample RUN --input FOLDER` brings pictures to this shape",
        )
    if images.dtype == torch.uint8:
        return images.float()
    if not images.is_floating_point() or not bool(((images >= 0) & (images <= 1)).all()):
        raise DataError("these images have other values than a generator takes", expected="uint8, or floats in [0, 1]")
    return 255 * images.float()


def check_latents_alone(header: GeneratorHeader) -> None:
    """Refuse to make samples of latents alone.

    Raises:
        ConfigError: the generator learned from pairs.
    """
    if header.inputs is not None:
        raise ConfigError(
            "this generator learned from pairs: it makes an image of another one, and not of a latent alone",
            remedy="give it images: saddle sample RUN --input FOLDER --out FOLDER, or in Python Generator.translate",
        )


def takes_no_images() -> ConfigError:
    return ConfigError(
        "this generator did not learn from pairs: it makes samples of latents, and takes no images",
        remedy="saddle sample without --input; in Python, Generator.sample",
    )
