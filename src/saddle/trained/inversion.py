"""Finding the z of a given sample by optimisation, which needs nothing of a generator but its gradient."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

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
        latents: (B, latent width).
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
        Latents (B, latent width), and which of the searches found each (B,).
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
    it from a bad corner; in the second half it is clamped, so that the search can settle. The code is searched for
    among mixtures of all codes in the first half, and the heaviest one is kept in the second.
    """
    normal = config.distribution == "normal"
    spread = 1.0 if normal else (config.high - config.low) / math.sqrt(12)
    z, code = _draw(config, len(targets), chance, targets.device).split((config.size, config.codes), 1)
    searched = [z.clone().requires_grad_(), *([code.clone().requires_grad_()] if config.codes else [])]
    optimizer = torch.optim.Adam(searched, betas=(0.9, 0.99))
    best = torch.cat([z, code], 1)
    lowest = torch.full((len(targets),), torch.inf, device=targets.device)
    for step in range(steps + 1):
        if config.codes and step == steps // 2:
            code = one_hot(searched.pop().detach().argmax(1), config.codes).float()
            lowest.fill_(torch.inf)
        latents = torch.cat([searched[0], searched[1] if len(searched) > 1 else code], 1)
        samples = network(latents) if labels is None else network(latents, labels)
        errors = (samples - targets).square().flatten(1).mean(1)
        better = errors.detach() < lowest
        lowest = torch.where(better, errors.detach(), lowest)
        best[better] = latents.detach()[better]
        if step == steps:
            break
        loss = errors.sum()
        if normal:
            loss = loss + _PRIOR * searched[0].square().mean(1).sum()
        optimizer.zero_grad()
        for values, gradient in zip(searched, torch.autograd.grad(loss, searched), strict=True):
            values.grad = gradient  # of these alone: G's own .grad stays as it is
        optimizer.param_groups[0]["lr"] = _LEARNING_RATE * spread * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.step()
        if not normal:
            _hold(searched[0], config, chance if step < steps // 2 else None)
        if len(searched) > 1:
            _mix(searched[1])
    return best, lowest


@torch.no_grad()
def _mix(weights: Tensor) -> None:
    """Make each row a mixture again: not negative, with the sum 1."""
    weights.clamp_(min=1e-6)
    weights.div_(weights.sum(1, keepdim=True))


@torch.no_grad()
def _hold(z: Tensor, config: LatentConfig, chance: torch.Generator | None) -> None:
    """Bring coordinates that left the box back into it: to a random place by ``chance``, without it to the wall."""
    inside = z.clamp(config.low, config.high)
    if chance is not None:
        fresh = _draw(config, len(z), chance, z.device)[:, : config.size]
        inside = torch.where(inside == z, z, fresh)
    z.copy_(inside)


def _draw(config: LatentConfig, count: int, chance: torch.Generator, device: torch.device) -> Tensor:
    return draw(config, count, torch.device("cpu"), chance).to(device)
