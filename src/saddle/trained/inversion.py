"""Finding the z of a given sample by optimisation, which needs nothing of a generator but its gradient."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saddle.config.networks import LatentConfig
from saddle.errors import ConfigError, DataError
from saddle.game.latents import draw

# Of Adam, in standard deviations of z; it falls to zero along a half cosine.
_LEARNING_RATE = 0.1
# Weight of z's mean square beside the samples': enough to keep z where G was trained, too little to move a good fit.
_PRIOR = 1e-4
# About this many values are searched for at once: their graphs take several times as much memory.
_CHUNK_VALUES = 1_000_000


class Inversion(NamedTuple):
    """What ``Generator.invert`` found.

    Args:
        latents: (B, latent size).
        labels: (B,) of a conditional generator, else None.
        errors: (B,) mean squared error of the samples, images in [0, 1] and points in their own units.
    """

    latents: Tensor
    labels: Tensor | None
    errors: Tensor


def check_search(samples: Tensor, shape: tuple[int, ...], steps: int, restarts: int) -> None:
    """Refuse a search that cannot begin.

    Raises:
        DataError: ``samples`` have another shape than (B, *shape).
        ConfigError: no steps or restarts.
    """
    if tuple(samples.shape[1:]) != shape:
        raise DataError(
            "these samples have another shape than the generator's",
            expected=f"(B, {', '.join(map(str, shape))})",
            got=tuple(samples.shape),
        )
    if steps < 1 or restarts < 1:
        raise ConfigError(
            "this search would try nothing",
            expected="at least 1 step and 1 restart",
            got=f"{steps} steps, {restarts} restarts",
        )


def find_latents(
    network: nn.Module,
    targets: Tensor,
    turns: Tensor | None,
    config: LatentConfig,
    *,
    steps: int,
    restarts: int,
    chance: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Search the z of each target from several random starts and keep the best.

    Args:
        network: G in evaluation mode.
        targets: (B, *shape) in G's range.
        turns: (restarts,) the class that each search of a target takes, for a conditional G.
        config: the distribution of z.
        steps: of each search.
        restarts: searches for each target.
        chance: a CPU generator, for the starts.

    Returns:
        Latents (B, latent size), and which of the searches found each (B,).
    """
    size = max(1, _CHUNK_VALUES // (restarts * targets[0].numel()))
    latents: list[Tensor] = []
    winners: list[Tensor] = []
    for piece in targets.split(size):
        labels = None if turns is None else turns.repeat(len(piece))
        found, errors = _descend(network, piece.repeat_interleave(restarts, 0), labels, config, steps, chance)
        winners.append(errors.unflatten(0, (-1, restarts)).argmin(1))
        latents.append(found.unflatten(0, (-1, restarts))[torch.arange(len(piece), device=piece.device), winners[-1]])
    return torch.cat(latents), torch.cat(winners)


def _descend(
    network: nn.Module,
    targets: Tensor,
    labels: Tensor | None,
    config: LatentConfig,
    steps: int,
    chance: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Minimise ‖G(z) - x‖² over z with Adam: the best z that each row came past, and its mean squared error.

    A normal z is kept near the origin by a small penalty on its norm. A uniform z is kept in its box: in the first half
    of the search a coordinate that leaves it is drawn anew (stochastic clipping, Lipton & Tripathi 2017), which frees
    it from a bad corner; in the second half it is clamped, so that the search can settle.
    """
    normal = config.distribution == "normal"
    spread = 1.0 if normal else (config.high - config.low) / math.sqrt(12)
    latents = _draw(config, len(targets), chance, targets.device).requires_grad_()
    optimizer = torch.optim.Adam([latents], betas=(0.9, 0.99))
    best, lowest = latents.detach().clone(), torch.full((len(targets),), torch.inf, device=targets.device)
    for step in range(steps + 1):
        samples = network(latents) if labels is None else network(latents, labels)
        errors = (samples - targets).square().flatten(1).mean(1)
        better = errors.detach() < lowest
        lowest = torch.where(better, errors.detach(), lowest)
        best[better] = latents.detach()[better]
        if step == steps:
            break
        loss = errors.sum()
        if normal:
            loss = loss + _PRIOR * latents.square().mean(1).sum()
        (latents.grad,) = torch.autograd.grad(loss, latents)  # of z alone: G's own .grad stays as it is
        optimizer.param_groups[0]["lr"] = _LEARNING_RATE * spread * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.step()
        if not normal:
            _hold(latents, config, chance if step < steps // 2 else None)
    return best, lowest


@torch.no_grad()
def _hold(latents: Tensor, config: LatentConfig, chance: torch.Generator | None) -> None:
    """Bring coordinates that left the box back into it: to a random place by ``chance``, without it to the wall."""
    inside = latents.clamp(config.low, config.high)
    if chance is not None:
        fresh = _draw(config, len(latents), chance, latents.device)
        inside = torch.where(inside == latents, latents, fresh)
    latents.copy_(inside)


def _draw(config: LatentConfig, count: int, chance: torch.Generator, device: torch.device) -> Tensor:
    return draw(config, count, torch.device("cpu"), chance).to(device)
