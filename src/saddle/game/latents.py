"""Drawing z."""

from __future__ import annotations

import torch
from torch import Tensor

from saddle.base.chance import stream
from saddle.config.networks import LatentConfig

# Latents for pictures and samples are drawn in blocks, each from its own stream: sample 5,000 is the same whether one
# asks for 5,001 samples or a million, and no more than one block is ever in memory.
BLOCK = 512


def draw(config: LatentConfig, count: int, device: torch.device, chance: torch.Generator | None = None) -> Tensor:
    """Latents (count, width) from ``chance``, or from torch's global generator of ``device``: z, then the codes."""
    z = _numbers(config, (count, config.size), device, chance)
    if not config.codes:
        return z
    chosen = torch.randint(config.codes, (count, 1), device=device, generator=chance)
    return torch.cat([z, torch.zeros(count, config.codes, device=device).scatter_(1, chosen, 1.0)], 1)


def _numbers(
    config: LatentConfig, shape: tuple[int, ...], device: torch.device, chance: torch.Generator | None
) -> Tensor:
    if config.distribution == "normal":
        return torch.randn(shape, device=device, generator=chance)
    return torch.rand(shape, device=device, generator=chance).mul_(config.high - config.low).add_(config.low)


def numbered(config: LatentConfig, seed: int, start: int, count: int) -> Tensor:
    """The latents numbered ``start`` to ``start + count`` of stream ``seed``: (count, width), on the CPU.

    They depend on nothing else, so a sample can be asked for again by its seed and number on any device.
    """
    blocks: list[Tensor] = []
    while count > 0:
        block, offset = divmod(start, BLOCK)
        chance = torch.Generator().manual_seed(stream(seed, "sample", block))
        taken = _beginning(config, min(BLOCK, offset + count), chance)[offset:]
        blocks.append(taken)
        start += len(taken)
        count -= len(taken)
    return torch.cat(blocks)


def _beginning(config: LatentConfig, rows: int, chance: torch.Generator) -> Tensor:
    """The first ``rows`` latents of a block, without drawing the others where that gives the same numbers.

    On a CPU torch fills a tensor with draws from front to back: in groups of 16 normal ones, of which the last group
    ends where the tensor ends. Codes are drawn after all of a block's numbers.
    """
    numbers = -(-rows * config.size // 16) * 16
    if config.codes or numbers > BLOCK * config.size - 16:
        return draw(config, BLOCK, torch.device("cpu"), chance)[:rows]
    return _numbers(config, (numbers,), torch.device("cpu"), chance)[: rows * config.size].view(rows, config.size)
