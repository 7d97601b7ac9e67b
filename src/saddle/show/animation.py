"""Animations: pictures shown one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from saddle.base.files import atomic_path
from saddle.errors import ConfigError, DataError
from saddle.show.grid import on_white

_SUFFIXES = (".webp", ".gif", ".png", ".mp4")


def save_animation(frames: Sequence[Image.Image], path: Path, *, seconds_per_frame: float = 0.15) -> None:
    """Write frames as an endless animation, WebP, GIF or animated PNG, or as an MP4, by the suffix of ``path``.

    WebP is small and slightly lossy; PNG is exact; GIF has at most 256 colours and no transparency. MP4 (H.264) plays
    once, has a white ground, and needs the optional package ``av``.

    Args:
        frames: at least one picture, all of the same size.
        path: the file to write.
        seconds_per_frame: how long each frame is shown; browsers show none for less than 0.02 seconds.

    Raises:
        ConfigError: another suffix, or an MP4 without ``av``.
        DataError: no frames, or frames of different sizes.
        SaddleError: the file cannot be written; no part of it is left.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ConfigError(
            f"{path.name} is not the name of an animation",
            expected=" or ".join(_SUFFIXES),
            got=suffix or "none",
            remedy=f"name it {path.stem}.webp",
        )
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) != 1:
        raise DataError("an animation needs frames of one size", expected="one size", got=sizes or "no frames")
    if suffix == ".mp4":
        _save_video(frames, path, seconds_per_frame)
        return
    if suffix == ".gif":
        frames = [_few_colours(frame) for frame in frames]
    with atomic_path(path) as temporary:
        frames[0].save(
            temporary, save_all=True, append_images=frames[1:], duration=round(1000 * seconds_per_frame), loop=0
        )


def _few_colours(frame: Image.Image) -> Image.Image:
    """A frame that GIF can hold. Pillow takes fifty times as long where it chooses the colours itself."""
    if frame.mode == "L":
        return frame  # 256 greys are a palette already
    return on_white(frame).quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _save_video(frames: Sequence[Image.Image], path: Path, seconds_per_frame: float) -> None:
    try:
        import av
    except ImportError:
        raise ConfigError(
            "an .mp4 needs the av package",
            remedy=f"pip install 'saddle[video]', or name it {path.stem}.webp or {path.stem}.gif",
        ) from None
    width, height = frames[0].size
    with atomic_path(path) as temporary, av.open(str(temporary), "w", options={"movflags": "faststart"}) as video:
        stream: Any = video.add_stream("libx264", rate=round(1 / seconds_per_frame), options={"crf": "18"})
        # Players want colours at half the resolution, which needs even sides: an odd side gets a white line.
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        for frame in frames:
            pixels = np.full((stream.height, stream.width, 3), 255, np.uint8)
            pixels[:height, :width] = np.asarray(on_white(frame))
            video.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        video.mux(stream.encode())
