"""Paths through latent space, and how latents are named."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, one_hot

from saddle.base.sizes import check_memory
from saddle.config.networks import LatentConfig
from saddle.errors import ConfigError
from saddle.trained.labels import Label
from saddle.trained.likelihood import check_smooth

if TYPE_CHECKING:
    from saddle.trained.generator import Generator

# Where a latent is found: a seed, which means the first latent of that seed, or (seed, number).
Place = int | tuple[int, int]


class Term(NamedTuple):
    """One term of latent arithmetic: the mean of the latents at ``places``, added (sign 1) or subtracted (-1)."""

    sign: int
    places: list[Place]

    @property
    def names(self) -> str:
        """Its latents as they are typed, such as ``1,2,0:17``."""
        return ",".join(map(place_name, self.places))


def parse_places(text: str) -> list[Place]:
    """``"1,2,0:17"`` → ``[1, 2, (0, 17)]``: seeds, and samples by seed and number as ``saddle sample`` counts them.

    Raises:
        ConfigError: the text is something else.
    """
    return [parse_place(part) for part in text.split(",")]


def place_name(place: Place) -> str:
    """A place as ``parse_place`` reads it."""
    return str(place) if isinstance(place, int) else f"{place[0]}:{place[1]}"


def parse_terms(text: str) -> list[Term]:
    """``"1,2,3 - 4,5 + 0:17"`` → its three terms; a sum may start with a minus.

    Raises:
        ConfigError: the text is no such sum.
    """
    text = text.strip()
    signed = text if text.startswith(("+", "-")) else f"+{text}"
    return [
        Term(1 if sign == "+" else -1, parse_places(places)) for sign, places in re.findall(r"([+-])([^+-]*)", signed)
    ]


def way_between(
    generator: Generator,
    first: Place,
    last: Place | None,
    steps: int,
    *,
    space: str | None = None,
    label: Label | None = None,
    last_label: Label | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The latents and labels of ``Generator.interpolate``, whose arguments and errors these are.

    Returns:
        Latents (steps, latent width); class indices (steps,) or mixtures (steps, classes), None without classes.
    """
    check_smooth(generator.network)
    if steps < 2:
        raise ConfigError("an interpolation has a first and a last step", expected="at least 2 steps", got=steps)
    numbers = steps * (generator.header.latent.width + prod(generator.shape))
    check_memory(4 * numbers, f"{steps:,} samples", remedy="take fewer steps")
    share = torch.linspace(0, 1, steps)[:, None]
    start = generator.latent(first)
    end = start if last is None else generator.latent(last)
    path = along(start, end, share, space, generator.header.latent)
    if label is None and last_label is None and not generator.class_names:
        return path, None
    chosen = generator.label(0 if label is None else label)
    if last_label is None:
        return path, torch.full((steps,), chosen)
    ends = one_hot(torch.tensor([chosen, generator.label(last_label)]), len(generator.class_names)).float()
    return path, torch.lerp(ends[0], ends[1], share)


def along(start: Tensor, end: Tensor, share: Tensor, space: str | None, latent: LatentConfig) -> Tensor:
    """The latents at ``share`` of the way from ``start`` to ``end``; the three are broadcast: (..., n).

    One code turns into the other linearly: on the way lie mixtures of their vectors.

    Args:
        start, end: latents.
        share: in [0, 1].
        space: ``linear``; ``spherical``, which keeps the radius at which nearly all draws of a normal distribution lie;
            or None for the one that suits ``latent``: linear for a uniform distribution, spherical for a normal one.
        latent: the distribution of z.

    Raises:
        ConfigError: an unknown space.
    """
    if latent.codes:
        z = latent.model_copy(update={"codes": 0})
        ends = [each.split((latent.size, latent.codes), -1) for each in (start, end)]
        code = torch.lerp(ends[0][1], ends[1][1], share)
        way = along(ends[0][0], ends[1][0], share, space, z)
        return torch.cat([way, code.expand(*way.shape[:-1], latent.codes)], -1)
    match space or ("linear" if latent.distribution == "uniform" else "spherical"):
        case "linear":
            return torch.lerp(start, end, share)
        case "spherical":
            return slerp(start, end, share)
        case _:
            raise ConfigError("unknown space", expected="linear or spherical", got=space)


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation (Shoemake 1985) of ``start``, ``end`` and ``share``, broadcast: (..., n)."""
    angle = torch.arccos(cosine_similarity(start, end, dim=-1).clamp(-1, 1))[..., None]
    arc = (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / torch.sin(angle)
    # Where both point the same way the arc is a straight line; where they point apart it is not defined.
    return torch.where(torch.sin(angle) < 1e-3, torch.lerp(start, end, share), arc)


def parse_place(text: str) -> Place:
    """``"7"`` → 7, ``"0:17"`` → (0, 17).

    Raises:
        ConfigError: the text is something else.
    """
    match = re.fullmatch(r"([0-9]+)(?::([0-9]+))?", text.strip())
    if match is None:
        raise ConfigError(
            "this does not name a latent",
            expected="a seed, such as 7, or seed:number, such as 0:17 for sample 17 of seed 0",
            got=repr(text),
        )
    seed, number = match.groups()
    return int(seed) if number is None else (int(seed), int(number))
