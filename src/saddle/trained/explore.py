"""Pictures of latent space: interpolations, walks, arithmetic and inversions; and of nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from saddle.base.chance import stream
from saddle.data.scaling import to_pixels
from saddle.errors import ConfigError
from saddle.show.animation import save_animation
from saddle.show.grid import PICTURES, save_picture, tile
from saddle.trained.export import check_out
from saddle.trained.generator import Generator
from saddle.trained.inversion import Inversion
from saddle.trained.labels import Label, Labels
from saddle.trained.nearest import CopyCheck
from saddle.trained.walks import Place, Term, place_name

_STRIPS = (".png", ".jpg")  # an interpolation as a .webp is an animation
_ANIMATIONS = (".gif", ".webp", ".mp4")
_SECONDS_PER_FRAME = 0.1
# Samples near the result of latent arithmetic: how many, and how far in each coordinate (Radford et al. 2015, fig. 7).
_JITTERED, _JITTER = 8, 0.25
_LONGEST = 24  # characters of a term beside its row


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
    """Write the samples of ``Generator.interpolate``: a strip (``.png``, ``.jpg``), or an animation there and back.

    A strip of a conditional generator has the name of its class beside it.

    Raises:
        ConfigError: an unknown suffix, too few steps, or a generator of points.
        SaddleError: ``out`` cannot be written.
    """
    _check(generator, out, (*_STRIPS, *_ANIMATIONS))
    images = generator.interpolate(first, last, steps, space=space, label=label, last_label=last_label)
    pixels = to_pixels(images)
    if out.suffix.lower() in _STRIPS:
        save_picture(tile(pixels, columns=steps, rows=_class_names(generator, label, last_label)), out)
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
    label: Labels = None,
) -> int:
    """Write ``Generator.walk`` as an animation that closes on itself, and return the number of its frames.

    Args:
        side: each frame is a grid of ``side`` × ``side`` samples.

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

    A row for each term: the sample of its mean latent, then the samples of the latents that it is the mean of. The last
    row: the result, then samples from around it, with each coordinate of z moved by up to ±0.25.

    Raises:
        ConfigError: a suffix that is not of a picture, an impossible label, or a generator of points.
        SaddleError: ``out`` cannot be written.
    """
    _check(generator, out, PICTURES)
    means = [generator.mean_latent(term.places) for term in terms]
    result = torch.stack([term.sign * mean for term, mean in zip(terms, means, strict=True)]).sum(0)
    chance = torch.Generator().manual_seed(stream(0, "jitter"))
    size = generator.header.latent.size
    around = result.repeat(_JITTERED, 1)
    around[:, :size] += _JITTER * (2 * torch.rand(_JITTERED, size, generator=chance) - 1)
    rows = [torch.cat([mean, *map(generator.latent, term.places)]) for term, mean in zip(terms, means, strict=True)]
    rows.append(torch.cat([result, around]))
    below = [text for term in terms for text in ("mean", *map(place_name, term.places))]
    below += ["result", *["near it"] * _JITTERED]
    latents = torch.cat(rows)
    classes = generator.labels(0 if label is None and generator.class_names else label)
    images = to_pixels(generator(latents, None if classes is None else classes.expand(len(latents))))
    names = [_short_name(term) for term in terms]
    save_picture(tile(images, lengths=list(map(len, rows)), labels=below, rows=[*names, "result"]), out)


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
    """Write images (B, C, H, W) in [0, 1], and below them what ``Generator.invert`` finds for them, and return that.

    Raises:
        ConfigError: a suffix that is not of a picture, an impossible search, or a generator of points.
        DataError: images of another shape than the generator's.
        SaddleError: ``out`` cannot be written.
    """
    _check(generator, out, PICTURES)
    found = generator.invert(images, steps=steps, restarts=restarts, seed=seed, label=label)
    both = torch.cat([images, generator(found.latents, found.labels)])
    save_picture(tile(to_pixels(both), columns=len(images), rows=["given", "found"]), out)
    return found


def save_neighbours(out: Path, found: CopyCheck) -> None:
    """Write a row for each sample, which must be images: the sample, then its neighbours with their distances.

    Equal images in the data are shown once, with their number behind the distance, such as x3.

    Raises:
        ConfigError: a suffix that is not of a picture.
        SaddleError: ``out`` cannot be written.
    """
    check_out(out)
    distances, indices, copies = found.neighbours
    real = np.asarray(found.data.values)[indices.numpy()]
    cells = np.concatenate([to_pixels(found.samples)[:, None], real], axis=1)
    labels: list[str] = []
    for row in zip(distances.tolist(), copies.tolist(), strict=True):
        below = (f"{distance:.2f}" + (f" x{count}" if count > 1 else "") for distance, count in zip(*row, strict=True))
        labels += ["sample", *below]
    images = cells.reshape(-1, *found.data.shape).astype(np.uint8)
    rows = [str(number) for number in range(len(cells))]
    save_picture(tile(images, columns=cells.shape[1], labels=labels, rows=rows), out)


def _class_names(generator: Generator, label: Label | None, last: Label | None) -> list[str] | None:
    """The text beside an interpolation; None without classes."""
    names = generator.class_names
    if not names:
        return None
    first = names[generator.label(0 if label is None else label)]
    return [first if last is None else f"{first} to {names[generator.label(last)]}"]


def _short_name(term: Term) -> str:
    names = term.names if len(term.names) <= _LONGEST else f"{len(term.places)} latents"
    return f"{'-' if term.sign < 0 else '+'} {names}"


def _check(generator: Generator, out: Path, suffixes: Sequence[str]) -> None:
    if generator.header.kind != "images":
        raise ConfigError(
            "this generator makes points, not images", remedy="use saddle sample, or the Generator in Python"
        )
    if out.suffix.lower() not in suffixes:
        raise ConfigError(
            "the suffix of the output does not fit",
            expected=f"{', '.join(suffixes[:-1])} or {suffixes[-1]}",
            got=out.suffix or out.name,
        )
    check_out(out)
