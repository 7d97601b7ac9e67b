"""Networks with a likelihood: what they say of real images, and what they have not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saddle.data.scaling import as_floats
from saddle.errors import ConfigError, DataError, NotFinite
from saddle.networks.mlp import drops_by_z
from saddle.networks.pixelcnn import PixelCNN
from saddle.networks.unet import UNet

_AT_ONCE = 50  # images: of more, a CPU would get the memory of each layer anew from the system
_CHECKED = 1_000  # images at once: they may lie in a file and be larger than the memory


def log_likelihoods(network: PixelCNN, images: Tensor, labels: Tensor | None = None) -> Tensor:
    """The logarithm of p(x), or of p(x | label), in nats, on the CPU in double precision: (N,).

    Args:
        network: its mode is restored.
        images: uint8, or floats in [0, 1], on the CPU: (N, C, H, W).
        labels: class indices (N,); a network without labels does not look at them.

    Raises:
        ConfigError: the network needs labels, and there are none.
        DataError: the images hold values between the levels of the network.
        NotFinite: one of the likelihoods is NaN or infinite.
    """
    if network.label is not None and labels is None:
        raise ConfigError(
            "this network says how probable an image of a class is, and no classes are given",
            expected=f"labels of shape ({len(images):,},)",
        )
    check_levels("these images", images, network.levels)
    device, training = next(network.parameters()).device, network.training
    found: list[Tensor] = []
    network.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(images), _AT_ONCE):
                piece = slice(start, start + _AT_ONCE)
                known = None if labels is None or network.label is None else labels[piece].to(device)
                found.append(network.log_likelihood(as_floats(images[piece]).to(device), known).cpu().double())
    finally:
        network.train(training)
    values = torch.cat(found)
    if broken := int((~values.isfinite()).sum()):
        raise NotFinite(
            f"{broken:,} of {len(values):,} likelihoods are NaN or infinite",
            expected="finite numbers",
            remedy="the training has diverged: take an earlier checkpoint, or train with a smaller learning rate",
        )
    return values


def check_levels(name: str, images: Tensor, levels: int) -> None:
    """Refuse images with values that a network of so many levels does not know.

    Args:
        name: of the images.
        images: as of ``log_likelihoods``.
        levels: in equal steps from 0 to 1. As uint8 they are rounded.

    Raises:
        DataError: with one of these values.
    """
    for start in range(0, len(images), _CHECKED):
        steps = as_floats(images[start : start + _CHECKED]) * (levels - 1)
        other = (steps - steps.round()).abs() > (levels - 1) / 2 / 255 + 1e-4
        if other.any():
            raise DataError(
                f"{name} hold values between the {levels} levels of this network",
                expected=f"{levels} values in equal steps, from 0 to 255",
                got=f"values such as {255 * steps[other][0].item() / (levels - 1):.3g}",
                remedy="train with --set data.binarise=sampled for images of black and white alone, or with --set "
                "generator.network.levels=256 for any; a run folder knows how its data were made, a generator's file "
                "does not",
            )


def check_smooth(network: nn.Module) -> None:
    """Refuse what needs a latent space in which near latents give like samples.

    Raises:
        ConfigError: as ``why_not_smooth`` says.
    """
    if (reason := why_not_smooth(network)) is not None:
        raise reason


def why_not_smooth(network: nn.Module) -> ConfigError | None:
    """What to say where near latents do not give like samples; None where they do.

    So it is of networks that draw pixel by pixel, that translate images, or whose dropout stays in sampling.
    """
    if isinstance(network, UNet):
        return ConfigError(
            "a unet has no smooth latent space: its noise switches features off, and its images follow from its inputs",
            expected="a generator that makes the whole image of one latent",
            remedy="saddle sample RUN --input FOLDER --out FOLDER translates pictures, with --seed for other noise",
        )
    if isinstance(network, PixelCNN):
        return ConfigError(
            "a pixelcnn has no smooth latent space: each pixel is drawn by a random number of its own",
            expected="a generator that makes the whole image of one latent",
            remedy="`saddle sample` draws from it, and `saddle nearest` shows the real images nearest to its samples",
        )
    if drops_by_z(network):
        return ConfigError(
            "this generator has no smooth latent space: its dropout stays in sampling, and z decides it",
            expected="a generator without dropout_in_samples",
            remedy="`saddle sample` draws from it, and `saddle nearest` shows the real samples nearest to its own",
        )
    return None
