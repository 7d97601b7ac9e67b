"""How near images come to others that they should be, one by one: mean absolute difference, PSNR, SSIM.

Images are (N, C, H, W), uint8, which count from 0 to 1, or floats in [0, 1]. Each function gives one value for each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from saddle.errors import MetricError

WINDOW = 11  # pixels of SSIM's window, and its standard deviation
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # keep the quotients of SSIM finite
# The mean square of what rounding to 256 values does to a pixel: a smaller error cannot be told from it.
_ROUNDING = 1 / (12 * 255**2)
_AT_ONCE = 2**20  # numbers


def l1_distance(images: Tensor, targets: Tensor) -> Tensor:
    """The mean absolute difference of all values: (N,), in [0, 1].

    Raises:
        MetricError: other types or shapes, or none.
    """
    return _in_pieces(lambda one, other: (one - other).abs().flatten(1).mean(1), images, targets)


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """The peak signal-to-noise ratio 10 log₁₀ (1 / mean squared difference), in dB: (N,).

    An error below that of rounding to 256 values counts as that, so that no image has more than 58.9 dB.

    Raises:
        MetricError: as ``l1_distance``.
    """

    def of(one: Tensor, other: Tensor) -> Tensor:
        return -10 * (one - other).square().flatten(1).mean(1).clamp_min(_ROUNDING).log10()

    return _in_pieces(of, images, targets)


def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity, the mean over all places where the window fits, and over channels: (N,), at most 1.

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", eq. 13 and section
    III.C: means μ, variances σ² and the covariance under a Gaussian window of 11×11 with standard deviation 1.5;
    (2 μ_x μ_y + C₁)(2 σ_xy + C₂) / ((μ_x² + μ_y² + C₁)(σ_x² + σ_y² + C₂)), C₁ = .01², C₂ = .03².

    Raises:
        MetricError: as ``l1_distance``, or images smaller than the window.
    """
    if min(images.shape[-2:], default=0) < WINDOW:
        raise MetricError("SSIM needs larger images", expected=f"sides of {WINDOW} or more", got=tuple(images.shape))
    return _in_pieces(_ssim, images, targets)


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    places = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    line = torch.exp(-(places**2) / (2 * _SIGMA**2))
    line = line / line.sum()
    planes = torch.stack([x, y, x * x, y * y, x * y]).reshape(-1, 1, *x.shape[2:])
    smooth = conv2d(conv2d(planes, line[None, None, :, None]), line[None, None, None, :])
    mean_x, mean_y, xx, yy, xy = smooth.reshape(5, *x.shape[:2], *smooth.shape[2:])
    variances, covariance = xx - mean_x**2 + yy - mean_y**2, xy - mean_x * mean_y
    above = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return (above / ((mean_x**2 + mean_y**2 + _C1) * (variances + _C2))).flatten(1).mean(1)


def _in_pieces(compute: Callable[[Tensor, Tensor], Tensor], images: Tensor, targets: Tensor) -> Tensor:
    fits = images.ndim == 4 and images.shape == targets.shape and len(images) > 0
    for each in (images, targets):
        fits = fits and (each.is_floating_point() or each.dtype == torch.uint8)
    if not fits:
        raise MetricError(
            "images and targets do not fit together", expected="uint8 or floats (N, C, H, W), equal in shape",
            got=f"{images.dtype} {tuple(images.shape)} and {targets.dtype} {tuple(targets.shape)}",
        )  # fmt: skip
    size = max(1, _AT_ONCE // images[0].numel())
    pairs = zip(images.split(size), targets.split(size), strict=True)
    return torch.cat([compute(_floats(one), _floats(other)) for one, other in pairs])


def _floats(images: Tensor) -> Tensor:
    return images.double() / 255 if images.dtype == torch.uint8 else images.double()
