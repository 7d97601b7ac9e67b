"""Pictures one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from saddle.errors import ConfigError, DataError
from saddle.files import atomic_path

_SUFFIXES = (".webp", ".gif", ".png")


def save_animation(frames: Sequence[Image.Image], path: Path, *, seconds_per_frame: float = 0.15) -> None:
    """Write frames as an endless animation: WebP, GIF or animated PNG, by the suffix of ``path``.

    WebP is the smallest and slightly lossy; PNG is exact; GIF has at most 256 colours and no transparency.

    Args:
        frames: at least one picture, all of one size.
        path: the file to write.
        seconds_per_frame: how long each is shown; 0.02 is the least that browsers honour.

    Raises:
        ConfigError: another suffix.
        DataError: no frames, or frames of several sizes.
        OSError: the file cannot be written; no part of it is left.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ConfigError(
            f"{path.name} has no suffix of an animation",
            expected=" or ".join(_SUFFIXES),
            got=suffix or "none",
            remedy=f"name it {path.stem}.webp",
        )
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) != 1:
        raise DataError("an animation needs frames of one size", expected="one size", got=sizes or "no frames")
    if suffix == ".gif":
        frames = [_few_colours(frame) for frame in frames]
    with atomic_path(path) as temporary:
        frames[0].save(
            temporary, save_all=True, append_images=frames[1:], duration=round(1000 * seconds_per_frame), loop=0
        )


def _few_colours(frame: Image.Image) -> Image.Image:
    """A frame that GIF can hold. Left to choose the colours itself, Pillow takes fifty times as long."""
    if frame.mode == "L":
        return frame  # 256 greys are a palette already
    if frame.mode == "RGBA":
        frame = Image.alpha_composite(Image.new("RGBA", frame.size, "white"), frame)
    return frame.convert("RGB").quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
