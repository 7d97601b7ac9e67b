"""Virtual batch normalisation of generators: statistics from a batch of latents that is fixed at the start."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from saddle.config.networks import LatentConfig

REFERENCE = 64  # latents in the reference batch


class VirtualBatchNorm(nn.Module):
    """Normalises every example by the reference batch and by itself alone: (N, C, ...) → (N, C, ...).

    Salimans et al. 2016, section 3.5, with the weights of the authors' code: a channel's moments are
    E[x] = a E_example[x] + (1 - a) E_reference[x], and E[x²] likewise, where a = 1 / (REFERENCE + 1), and
    y = gamma (x - E[x]) / sqrt(E[x²] - E[x]² + eps) + beta. The reference examples themselves take a = 0. The first
    ``REFERENCE`` rows of what comes in are the reference batch: see ``ReferencedGenerator``.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, values: Tensor) -> Tensor:
        inner = tuple(range(2, values.dim()))
        # shape[0] and not len(), which would fix the size of the batch in an exported graph
        share = values.new_full((values.shape[0], *[1] * (values.dim() - 1)), 1 / (REFERENCE + 1))
        share[:REFERENCE] = 0
        reference = values[:REFERENCE]
        far, near = reference.mean((0, *inner), keepdim=True), values.mean(inner, keepdim=True) if inner else values
        mean = torch.lerp(far, near, share)
        # The variance of the mixture, written so that nothing large cancels.
        far_variance = (reference - far).square().mean((0, *inner), keepdim=True)
        variance = (1 - share) * far_variance + share * (1 - share) * (near - far).square()
        if inner:
            variance = variance + share * (values - near).square().mean(inner, keepdim=True)
        shape = (1, -1, *[1] * len(inner))
        scale = self.weight.reshape(shape) * torch.rsqrt(variance + self.eps)
        return (values - mean) * scale + self.bias.reshape(shape)


class ReferencedGenerator(nn.Module):
    """A generator whose virtual batch norms see the reference batch: latents (B, n), labels → samples (B, *shape).

    Each pass runs the reference latents through the network in front of those asked for, so that every layer's
    statistics follow the current weights and gradients flow through them; their samples are then dropped. A sample
    depends on its own latent and the reference only, in training and after it. The reference is drawn from torch's
    global generator, like the first weights, and is saved with them.

    Args:
        network: a generator that holds ``VirtualBatchNorm``.
        latent: distribution of the reference latents, which go through its codes in turn.
        classes: labels that ``network`` takes; the reference goes through them in turn.
    """

    def __init__(self, network: nn.Module, latent: LatentConfig, classes: int) -> None:
        super().__init__()
        self.network = network
        latents = torch.empty(REFERENCE, latent.size)
        if latent.distribution == "normal":
            nn.init.normal_(latents)
        else:
            nn.init.uniform_(latents, latent.low, latent.high)
        if latent.codes:
            latents = torch.cat([latents, one_hot(torch.arange(REFERENCE) % latent.codes, latent.codes)], 1)
        self.latents: Tensor
        self.labels: Tensor | None
        self.register_buffer("latents", latents)
        turns = one_hot(torch.arange(REFERENCE) % classes, classes).float() if classes else None
        self.register_buffer("labels", turns)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        latents = torch.cat([self.latents, latents])
        if self.labels is None or labels is None:
            return self.network(latents)[REFERENCE:]
        shares = labels if labels.is_floating_point() else one_hot(labels, self.labels.shape[1]).float()
        return self.network(latents, torch.cat([self.labels, shares]))[REFERENCE:]
