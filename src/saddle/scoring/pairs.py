"""Scores of what a generator makes of inputs, each output against the target that belongs to its input."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from saddle.metrics.images import WINDOW, l1_distance, psnr, ssim
from saddle.scoring.sides import Extracted, RealData

_Distance = Callable[[Tensor, Tensor], Tensor]
# By name: which way is better, what it is in words, and how it is computed.
AGAINST_TARGETS: dict[str, tuple[bool, str, _Distance]] = {
    "l1": (False, "mean absolute difference from the target, of pixels in [0, 1]", l1_distance),
    "psnr": (True, "peak signal-to-noise ratio against the target, dB", psnr),
    "ssim": (True, "structural similarity to the target", ssim),
}


def mean_of(distance: _Distance) -> Callable[[Extracted, RealData], tuple[float, float]]:
    """The mean over outputs and its standard error; see ``Measure.compute``."""

    def compute(samples: Extracted, _: RealData) -> tuple[float, float]:
        assert samples.targets is not None
        values = distance(samples.values, samples.targets)
        return values.mean().item(), (values.std(correction=len(values) > 1) / len(values) ** 0.5).item()

    return compute


def lacking_for(distance: _Distance) -> Callable[[RealData, bool], str | None]:
    """What real data lack for it; see ``Measure.lacks``."""

    def lacks(real: RealData, _: bool) -> str | None:
        held_out = real.held_out_store
        if held_out is None or held_out.inputs is None:
            return "held-out pairs"
        small = distance is ssim and min(held_out.shape[1:]) < WINDOW
        return f"images of {WINDOW} pixels or more" if small else None

    return lacks
