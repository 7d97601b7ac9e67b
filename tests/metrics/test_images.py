"""Images against those that they should be; PSNR and SSIM as torchmetrics computes them."""

from __future__ import annotations

import math

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from saddle.errors import MetricError
from saddle.metrics.images import l1_distance, psnr, ssim


def pair(*shape: int, spread: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(sum(shape))
    one = torch.rand(shape, generator=chance)
    return one, (one + spread * torch.randn(shape, generator=chance)).clamp(0, 1)


@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (2, 1, 11, 20), (300, 1, 28, 28)])
def test_each_image_by_itself_as_torchmetrics_has_it(shape: tuple[int, ...]):
    """SSIM to 1e-6, of the places that torchmetrics computes without padding; PSNR to 1e-4 dB."""
    one, other = pair(*shape)
    similar, ratio = ssim(one, other), psnr(one, other)
    for row in range(min(shape[0], 5)):
        images = one[row : row + 1].double(), other[row : row + 1].double()
        _, everywhere = structural_similarity_index_measure(*images, data_range=1.0, return_full_image=True)
        assert similar[row].item() == pytest.approx(everywhere[..., 5:-5, 5:-5].mean().item(), abs=1e-6)
        expected = peak_signal_noise_ratio(*images, data_range=1.0)
        assert ratio[row].item() == pytest.approx(float(expected), abs=1e-4)
    expected = (one - other).abs().flatten(1).mean(1).double()
    torch.testing.assert_close(l1_distance(one, other), expected, rtol=1e-5, atol=0)


def test_pixels_count_from_0_to_1():
    one, other = (images.mul(255).round().to(torch.uint8) for images in pair(2, 3, 16, 16))
    for metric in (l1_distance, psnr, ssim):
        torch.testing.assert_close(metric(one, other), metric(one / 255.0, other / 255.0), rtol=1e-5, atol=1e-6)


def test_equal_images_are_as_near_as_pixels_can_tell():
    one, _ = pair(2, 1, 16, 16)
    assert l1_distance(one, one).tolist() == [0, 0]
    torch.testing.assert_close(ssim(one, one), torch.ones(2, dtype=torch.float64))
    assert psnr(one, one).tolist() == pytest.approx([10 * math.log10(12 * 255**2)] * 2)
    assert psnr(one, one)[0].item() == pytest.approx(58.9, abs=0.05)


def test_what_cannot_be_compared_is_refused():
    one, other = pair(2, 1, 16, 16)
    for wrong in (other[:1], other[0], other[:, :, :8], other.int()):
        with pytest.raises(MetricError, match="do not fit together"):
            l1_distance(one, wrong)
    with pytest.raises(MetricError, match="SSIM needs larger images"):
        ssim(one[..., :10], other[..., :10])
