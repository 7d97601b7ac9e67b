"""Random transformations of images that gradients pass through: those of DiffAugment and those of ADA.

Each is affine in the pixels, so that the gradient of a gradient, which penalties need, exists too. What was drawn
decides through masks and matrices and never in Python: a round can be recorded (see ``saddle.training.replay``), and an
image on which nothing falls comes out to the bit as it was. There are no matrix products, which half precision would
spoil: matrices are multiplied as sums of products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from saddle.config.augment import COLORS, GEOMETRY

Each = Callable[[Callable[[torch.Generator | None], Tensor]], Tensor]

_NUMBERS = 24  # of each kind that are drawn for an image; no list of transformations takes more


class Draws:
    """Random numbers for a batch of images, handed out one for each image at a time, in a fixed order.

    Args:
        each: calls what it is given with the generator of each member and joins the rows, as ``Chance.each``.
        rows: images of each member.
        device: of the numbers.
    """

    def __init__(self, each: Each, rows: int, device: torch.device) -> None:
        shape = rows, _NUMBERS
        uniform = each(lambda chance: torch.rand(shape, device=device, generator=chance))
        normal = each(lambda chance: torch.randn(shape, device=device, generator=chance))
        self._uniform, self._normal = iter(uniform.unbind(1)), iter(normal.unbind(1))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(images,), uniform in [low, high)."""
        return low + (high - low) * next(self._uniform)

    def normal(self, std: float) -> Tensor:
        """(images,), normal about 0."""
        return std * next(self._normal)


def diffaugment(
    images: Tensor, strength: Tensor, names: Collection[str], draws: Draws, *, black: float = -1.0, colors: int = 3
) -> Tensor:
    """DiffAugment (Zhao et al. 2020, with the numbers of the authors' code), each transformation with its probability.

    ``color``, in this order: brightness moved by U(-½, ½) where the range has length 2, saturation times U(0, 2),
    contrast about the image's own mean times U(½, 1½). ``translation``: moved by whole pixels, up to an eighth of the
    side in both directions; what comes in is grey, halfway between black and white. ``cutout``: a grey square of half
    the side whose middle is anywhere.

    Args:
        images: (B, C, H, W), white at 1; of four channels, the last is opacity, which colours leave alone.
        strength: (B,), the probability with which each transformation falls on an image.
        names: of the transformations.
        draws: numbers for B images.
        black: at 0 or -1.
        colors: channels that have colours, the first ones and at most 3; the others are moved alone.

    Returns:
        (B, C, H, W), not clamped to the range.
    """
    colors = min(colors, 3)

    def falls(name: str) -> Tensor:
        return draws.uniform() < strength * float(name in names)

    def drawn(falling: Tensor, value: Tensor, otherwise: float) -> Tensor:
        return torch.where(falling, value, otherwise).to(images.dtype)

    color = falls("color")
    brighter = drawn(color, draws.uniform(-0.5, 0.5) * (1 - black) / 2, 0.0)
    saturation = drawn(color, draws.uniform(0.0, 2.0), 1.0)
    contrast = drawn(color, draws.uniform(0.5, 1.5), 1.0)
    if "color" in names:
        mean = images[:, :colors].mean((1, 2, 3))
        images = _recoloured(images, colors, contrast * saturation, contrast, None, brighter + (1 - contrast) * mean)
    moved = falls("translation")
    height, width = images.shape[-2:]
    down, right = (drawn(moved, _whole(draws.uniform(), (side + 4) // 8), 0.0) for side in (height, width))
    if "translation" in names:
        images = warped(images, translation(-right, -down), fill=(1 + black) / 2)
    return _cut_out(images, falls("cutout"), draws, black) if "cutout" in names else images


def pipeline(
    images: Tensor,
    strength: Tensor,
    names: Collection[str],
    draws: Draws,
    *,
    color_share: float = 1.0,
    black: float = -1.0,
    colors: int = 3,
) -> Tensor:
    """The transformations of ADA (Karras et al. 2020, appendix B), each with its probability.

    The first seven, as one affine map: ``xflip``: mirrored, in one case of two; ``rotate90``: turned by 0, 90, 180 or
    270 degrees; ``xint``: moved by whole pixels, up to an eighth of the side; ``scale``: enlarged by 2^N(0, 0.2²);
    ``rotate``: by any angle, before or after ``aniso``: stretched by 2^N(0, 0.2²) along one axis and shrunk by it along
    the other; ``xfrac``: moved by N(0, 0.125²) of the side. Beyond its edges, an image goes on mirrored.

    Then colours, black at -1 and white at 1, as one affine map: ``brightness``: moved by N(0, 0.2²); ``contrast``:
    times 2^N(0, 0.5²); ``lumaflip``: brightness reversed, in one case of two; ``hue``: turned about the grey axis by
    any angle; ``saturation``: the distance from that axis times 2^N(0, 1²). Last, ``cutout``: a grey square of half the
    side whose middle is anywhere.

    The paper enlarges images with a wavelet filter before it moves them, so that they stay sharp. Here pixels are
    interpolated linearly between their four neighbours, which is many times cheaper and blurs moved images by up to a
    pixel, real and generated ones alike.

    Args:
        images, strength, names, draws, black, colors: as of ``diffaugment``.
        color_share: the five of colours fall on an image with this share of the strength.

    Returns:
        (B, C, H, W), not clamped to the range.
    """

    def falls(name: str, probability: Tensor = strength) -> Tensor:
        share = color_share if name in COLORS else 1.0
        return draws.uniform() < probability * (share * float(name in names))

    def drawn(falling: Tensor, value: Tensor, otherwise: float) -> Tensor:
        return torch.where(falling, value, otherwise).to(images.dtype)

    def shift(falling: Tensor, share: Callable[[], Tensor]) -> list[Tensor]:
        return [drawn(falling, share() * side, 0.0) for side in reversed(images.shape[-2:])]

    mirrored = drawn(falls("xflip") & (draws.uniform() < 0.5), -torch.ones_like(strength), 1.0)
    quarters = drawn(falls("rotate90"), draws.uniform(0.0, 4.0).floor(), 0.0)
    whole = [each.round() for each in shift(falls("xint"), lambda: draws.uniform(-0.125, 0.125))]
    size = drawn(falls("scale"), draws.normal(0.2).exp2(), 1.0)
    once = 1 - (1 - strength).sqrt()  # of two rotations, so that the probability of any is the strength
    before, after = (drawn(falls("rotate", once), draws.uniform(-math.pi, math.pi), 0.0) for _ in range(2))
    stretch = drawn(falls("aniso"), draws.normal(0.2).exp2(), 1.0)
    part = shift(falls("xfrac"), lambda: draws.normal(0.125))
    if not set(GEOMETRY).isdisjoint(names):
        ones = torch.ones_like(size)
        # From places in what comes out to places in the image: the inverse of each map, the last one first.
        maps = [
            scaling(mirrored, ones),
            rotation(quarters * (math.pi / 2)),
            translation(*(-each for each in whole)),
            scaling(1 / size, 1 / size),
            rotation(before),
            scaling(1 / stretch, stretch),
            rotation(after),
            translation(*(-each for each in part)),
        ]
        images = warped(images, reduce(_product, maps))

    brighter = drawn(falls("brightness"), draws.normal(0.2), 0.0)
    contrast = drawn(falls("contrast"), draws.normal(0.5).exp2(), 1.0)
    reversed_luma = drawn(falls("lumaflip") & (draws.uniform() < 0.5), -torch.ones_like(strength), 1.0)
    hue = drawn(falls("hue"), draws.uniform(-math.pi, math.pi), 0.0)
    saturation = drawn(falls("saturation"), draws.normal(1.0).exp2(), 1.0)
    if not set(COLORS).isdisjoint(names):
        # In the paper a product of 4×4 matrices. All five maps share the grey axis, so that they can be multiplied out.
        luma, chroma = contrast * reversed_luma, contrast * saturation
        offset = luma * brighter * ((1 - black) / 2) + (1 - luma) * ((1 + black) / 2)
        images = _recoloured(images, min(colors, 3), chroma * hue.cos(), luma, chroma * hue.sin(), offset)
    return _cut_out(images, falls("cutout"), draws, black) if "cutout" in names else images


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Places times ``x`` and ``y``: (B, 3, 3)."""
    none = torch.zeros_like(x)
    return _matrix(x, none, none, none, y, none)


def rotation(angle: Tensor) -> Tensor:
    """Places turned about the middle by an angle in radians, from the x-axis to the y-axis: (B, 3, 3)."""
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _matrix(cos, -sin, none, sin, cos, none)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Places moved by so many pixels: (B, 3, 3)."""
    one, none = torch.ones_like(x), torch.zeros_like(x)
    return _matrix(one, none, x, none, one, y)


def warped(images: Tensor, inverse: Tensor, fill: float | None = None) -> Tensor:
    """What images show at other places, interpolated linearly.

    Args:
        images: (B, C, H, W).
        inverse: (B, 3, 3), from a place in what comes out to the place in the image that it shows, (x, y, 1) in pixels
            from the middle; x points right and y down.
        fill: what lies beyond the edges; None: the image, mirrored there.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device, dtype=images.dtype)[:, None] - (width - 1) / 2
    y = torch.arange(height, device=images.device, dtype=images.dtype)[:, None] - (height - 1) / 2
    edges_at_one = torch.stack([inverse[:, 0] * (2 / width), inverse[:, 1] * (2 / height)], 1)
    by_x, by_y, shift = edges_at_one[:, None].unbind(-1)  # (B, 1, 2) each
    places = (by_x * x + shift)[:, None] + (by_y * y)[:, :, None]  # (B, H, W, 2)
    moved = grid_sample(images, places, padding_mode="reflection", align_corners=False)
    if fill is not None:
        inside = (places.abs() < 1).all(-1).unsqueeze(1)
        moved = torch.where(inside, moved, fill)
    still = (inverse == torch.eye(3, device=inverse.device)).all((1, 2))
    return torch.where(still[:, None, None, None], images, moved)


def _recoloured(images: Tensor, count: int, own: Tensor, luma: Tensor, turned: Tensor | None, offset: Tensor) -> Tensor:
    """Each pixel's colour x becomes own · x + (luma - own) · mean(x) + turned · v × x + offset; v: the axis of grey.

    So the grey part of a colour is multiplied by ``luma``, the rest of it by ``own``, and the rest, turned by a quarter
    about the axis, by ``turned``. Grey images have the grey part alone. All factors are (B,). Channels behind the first
    ``count`` stay as they are.
    """
    own, rest, offset = (factor[:, None, None, None] for factor in (own, luma - own, offset))
    colors = images[:, :count]
    changed = own * colors + (rest * colors.mean(1, keepdim=True) + offset)
    if turned is not None:
        turn = turned[:, None, None, None] / math.sqrt(3)
        changed = changed + turn * (colors.roll(1, 1) - colors.roll(-1, 1))
    return changed if images.shape[1] <= count else torch.cat([changed, images[:, count:]], 1)


def _cut_out(images: Tensor, falling: Tensor, draws: Draws, black: float) -> Tensor:
    """The images with a grey square of half the side where ``falling``; its middle is anywhere, so it may be cut."""
    sides = images.shape[-2:]
    columns, rows = (1, 1, 1, sides[1]), (1, 1, sides[0], 1)
    hole = falling[:, None, None, None]
    for side, shape in zip(sides, (rows, columns), strict=True):
        places = (torch.arange(side, device=images.device) + 0.5).reshape(shape) / side
        hole = hole & ((places - draws.uniform()[:, None, None, None]).abs() < 0.25)
    return torch.where(hole, (1 + black) / 2, images)


def _whole(place: Tensor, most: int) -> Tensor:
    """Whole numbers from -most to most, from numbers uniform in [0, 1)."""
    return (place * (2 * most + 1)).floor() - most


def _matrix(*first_rows: Tensor) -> Tensor:
    """A map of places (x, y, 1) from its first two rows: (B, 3, 3)."""
    none, one = torch.zeros_like(first_rows[0]), torch.ones_like(first_rows[0])
    return torch.stack([*first_rows, none, none, one], 1).unflatten(1, (3, 3))


def _product(first: Tensor, second: Tensor) -> Tensor:
    """The matrix product of (B, 3, 3), to float32 even where products are computed in half precision."""
    return (first[:, :, :, None] * second[:, None]).sum(2)
