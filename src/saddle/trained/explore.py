"""Pictures from a walk around the latent space: interpolations, loops, arithmetic, inversions, nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from saddle.base.chance import stream
from saddle.data import Store
from saddle.data.scaling import to_pixels
from saddle.errors import ConfigError
from saddle.show.animation import save_animation
from saddle.show.grid import save_picture, tile
from saddle.trained.export import check_out
from saddle.trained.generator import Generator, Inversion, Label
from saddle.trained.nearest import Neighbours
from saddle.trained.walks import Place, Term

_ANIMATIONS = (".gif", ".webp", ".mp4")
_SECONDS_PER_FRAME = 0.1
# Neighbours of the result of latent arithmetic: how many, and how far in each coordinate (Radford et al. 2015, fig. 7).
_JITTERED, _JITTER = 8, 0.25


def save_interpolation(
    generator: Generator,
    out: Path,
    first: Place,
    last: Place | None,
    steps: int,
    *,
    space: str | None = None,
    label: Label | None = None,
    last_label: Label | None = None,
) -> None:
    """Write the samples of ``Generator.interpolate``: a ``.png`` strip, or an animation there and back.

    Raises:
        ConfigError: an unknown suffix, too few steps, or a generator of points.
        SaddleError: ``out`` cannot be written.
    """
    _check(generator, out, (".png", *_ANIMATIONS))
    images = generator.interpolate(first, last, steps, space=space, label=label, last_label=last_label)
    pixels = to_pixels(images)
    if out.suffix.lower() == ".png":
        save_picture(tile(pixels, columns=steps), out)
    else:
        frames = [tile(image[None]) for image in pixels]
        save_animation([*frames, *frames[-2:0:-1]], out, seconds_per_frame=_SECONDS_PER_FRAME)  # without a jump


def save_walk(
    generator: Generator,
    out: Path,
    places: Sequence[Place],
    steps: int,
    *,
    side: int = 1,
    space: str | None = None,
    label: Label | Sequence[Label] | None = None,
) -> int:
    """Write ``Generator.walk`` as an animation that closes on itself, and return the number of its frames.

    Args:
        side: a grid of ``side`` × ``side`` walkers.

    Raises:
        ConfigError: an unknown suffix, an impossible walk, or a generator of points.
        SaddleError: ``out`` cannot be written.
    """
    _check(generator, out, _ANIMATIONS)
    walk = generator.walk(places, steps, count=side**2, space=space, label=label)
    frames = [tile(to_pixels(images), columns=side) for images in walk]
    save_animation(frames, out, seconds_per_frame=_SECONDS_PER_FRAME)
    return len(frames)


def save_arithmetic(generator: Generator, out: Path, terms: Sequence[Term], *, label: Label | None = None) -> None:
    """Write latent arithmetic as a picture; Radford et al. 2015, section 6.3.2.

    A row for each term: the sample of its mean latent, then those that it is the mean of. The last row: the result,
    then samples from around it, each coordinate moved by up to ±0.25.

    Raises:
        ConfigError: another suffix than ``.png``, an impossible label, or a generator of points.
        SaddleError: ``out`` cannot be written.
    """
    _check(generator, out, (".png",))
    means = [generator.mean_latent(term.places) for term in terms]
    result = torch.stack([term.sign * mean for term, mean in zip(terms, means, strict=True)]).sum(0)
    chance = torch.Generator().manual_seed(stream(0, "jitter"))
    around = result + _JITTER * (2 * torch.rand(_JITTERED, result.shape[1], generator=chance) - 1)
    rows = [torch.cat([mean, *map(generator.latent, term.places)]) for term, mean in zip(terms, means, strict=True)]
    rows.append(torch.cat([result, around]))
    classes = generator.labels(0 if label is None and generator.class_names else label)
    columns = max(map(len, rows))
    cells = np.full((len(rows), columns, *generator.shape), 255, np.uint8)
    cells[:, :, 3:] = 0  # where there is alpha, an empty cell is transparent
    for cell, latents in zip(cells, rows, strict=True):
        labels = None if classes is None else classes.expand(len(latents))
        cell[: len(latents)] = to_pixels(generator.decode(latents, labels))
    names = ["-" if term.sign < 0 else "+" for term in terms]
    save_picture(tile(cells.reshape(-1, *generator.shape), columns=columns, rows=[*names, "="]), out)


def save_inversion(
    generator: Generator,
    out: Path,
    images: Tensor,
    *,
    steps: int = 500,
    restarts: int = 4,
    seed: int = 0,
    label: Label | None = None,
) -> Inversion:
    """Write images (B, C, H, W) in [0, 1] above what ``Generator.invert`` finds for them, and return that.

    Raises:
        ConfigError: another suffix than ``.png``, an impossible search, or a generator of points.
        DataError: images of another shape than the generator's.
        SaddleError: ``out`` cannot be written.
    """
    _check(generator, out, (".png",))
    found = generator.invert(images, steps=steps, restarts=restarts, seed=seed, label=label)
    both = torch.cat([images, generator.decode(found.latents, found.labels)])
    save_picture(tile(to_pixels(both), columns=len(images), rows=["given", "found"]), out)
    return found


def save_neighbours(out: Path, samples: Tensor, store: Store, neighbours: Neighbours) -> None:
    """Write a row for each sample (B, C, H, W) in [0, 1]: the sample, then its neighbours with their distances.

    Raises:
        ConfigError: another suffix than a picture's.
        SaddleError: ``out`` cannot be written.
    """
    check_out(out)
    real = np.asarray(store.values)[neighbours.indices.numpy()]
    cells = np.concatenate([to_pixels(samples)[:, None], real], axis=1).reshape(-1, *store.shape)
    texts = [["sample", *(f"{distance:.2f}" for distance in row)] for row in neighbours.distances.tolist()]
    labels = [text for row in texts for text in row]
    rows = [str(number) for number in range(len(samples))]
    save_picture(tile(cells.astype(np.uint8), columns=len(texts[0]), labels=labels, rows=rows), out)


def _check(generator: Generator, out: Path, suffixes: Sequence[str]) -> None:
    if generator.header.kind != "images":
        raise ConfigError(
            "this generator makes points, not images", remedy="use saddle sample, or Generator's methods in Python"
        )
    if out.suffix.lower() not in suffixes:
        expected = suffixes[0] if len(suffixes) == 1 else f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        raise ConfigError("unknown form of output", expected=expected, got=out.suffix or out.name)
    check_out(out)
