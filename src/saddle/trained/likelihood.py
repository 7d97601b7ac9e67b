"""Networks with a likelihood: what they say of real images, and what they have not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saddle.data.scaling import as_floats
from saddle.errors import ConfigError, NotFinite
from saddle.networks.pixelcnn import PixelCNN
from saddle.networks.unet import UNet

_AT_ONCE = 50  # images: of more, a CPU would get the memory of each layer anew from the system


def log_likelihoods(network: PixelCNN, images: Tensor, labels: Tensor | None = None) -> Tensor:
    """The logarithm of p(x), or of p(x | label), in nats, on the CPU in double precision: (N,).

    Args:
        network: its mode is restored.
        images: uint8, or floats in [0, 1], on the CPU: (N, C, H, W).
        labels: class indices (N,); a network without labels does not look at them.

    Raises:
        NotFinite: one of them is NaN or infinite.
    """
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


def check_smooth(network: nn.Module) -> None:
    """Refuse what needs a latent space in which near latents give like samples.

    Raises:
        ConfigError: the network draws pixel by pixel, or translates images.
    """
    if isinstance(network, UNet):
        raise ConfigError(
            "a unet has no smooth latent space: its noise switches features off, and its images follow from its inputs",
            expected="a generator that makes the whole image of one latent",
            remedy="saddle sample RUN --input FOLDER --out FOLDER translates pictures, with --seed for other noise",
        )
    if isinstance(network, PixelCNN):
        raise ConfigError(
            "a pixelcnn has no smooth latent space: each pixel is drawn by a random number of its own",
            expected="a generator that makes the whole image of one latent",
            remedy="`saddle sample` draws from it, and `saddle nearest` shows the real images nearest to its samples",
        )
