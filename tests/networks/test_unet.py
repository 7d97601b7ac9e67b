"""pix2pix's networks: a U-Net whose dropout is its noise, and a discriminator of patches."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, relu

from saddle.config.networks import LatentConfig, PatchGANConfig, UNetConfig
from saddle.config.schema import DiscriminatorConfig, GeneratorConfig
from saddle.errors import ConfigError
from saddle.networks.families import build_discriminator, build_generator
from saddle.networks.memory import without_values
from saddle.networks.norms import BatchNormAtHand
from saddle.networks.unet import UNet, noise_of

SMALL = {"width": 4, "max_width": 8}


def make_unet(shape: tuple[int, ...], inputs: int = 3, **settings: object) -> tuple[UNet, int]:
    torch.manual_seed(0)
    config = UNetConfig.model_validate({**SMALL, **settings})
    latent = noise_of(config, shape)
    build = without_values if config.width == 64 else lambda function, *arguments: function(*arguments)
    unet = build(build_generator, GeneratorConfig(network=config), latent, shape, 0, inputs)
    assert isinstance(unet, UNet)
    return unet, latent.size


def make_patchgan(shape: tuple[int, ...], **settings: object) -> nn.Module:
    torch.manual_seed(0)
    config = PatchGANConfig.model_validate({**SMALL, **settings})
    build = without_values if config.width == 64 else lambda function, *arguments: function(*arguments)
    return build(build_discriminator, DiscriminatorConfig(network=config), shape, 0)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_networks_have_the_published_sizes():
    """Counted by the paper's layers (appendix 6.1): 4x4 kernels; two numbers for each normed channel, else a bias."""
    paper = {"width": 64, "max_width": 512}
    down = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    expected = sum(16 * a * b for a, b in pairwise(down)) + 64 + 512 + 2 * sum(down[2:8])
    up = [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64), (128, 3)]
    expected += sum(16 * a * b for a, b in up) + 2 * sum(b for _, b in up[:-1]) + 3
    unet, noise = make_unet((3, 256, 256), **paper)
    patchgan = make_patchgan((6, 256, 256), **paper)
    assert count(unet) == expected == 54_414_531
    assert noise == 512 * (2**2 + 4**2 + 8**2)
    d = [6, 64, 128, 256, 512]
    expected = sum(16 * a * b for a, b in pairwise(d)) + 64 + 2 * sum(d[2:]) + 16 * 512 + 1
    assert count(patchgan) == expected == 2_768_705


def test_the_unet_is_the_papers_layer_by_layer():
    """On 8 pixels: two skips, dropout behind the norm, activations in front of the convolutions; tolerance 1e-5."""
    unet, noise = make_unet((1, 8, 8), inputs=2, norm="instance")
    z, x = torch.rand(2, noise), torch.randn(2, 2, 8, 8)
    weights = dict(unet.named_parameters())

    def normed(values: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance = values.mean((2, 3), keepdim=True), values.var((2, 3), keepdim=True, correction=0)
        scale, shift = (weights[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return (values - mean) / (variance + 1e-5).sqrt() * scale + shift

    first = conv2d(x, weights["down.0.0.weight"], weights["down.0.0.bias"], 2, 1)
    second = normed(conv2d(leaky_relu(first, 0.2), weights["down.1.1.weight"], None, 2, 1), "down.1.2")
    inner = conv2d(leaky_relu(second, 0.2), weights["down.2.1.weight"], weights["down.2.1.bias"], 2, 1)
    masks = [2.0 * (part >= 0.5) for part in z.split([8 * 2 * 2, 4 * 4 * 4], 1)]
    values = normed(conv_transpose2d(relu(inner), weights["up.0.1.weight"], None, 2, 1), "up.0.2")
    values = torch.cat([values * masks[0].reshape(2, 8, 2, 2), second], 1)
    values = normed(conv_transpose2d(relu(values), weights["up.1.1.weight"], None, 2, 1), "up.1.2")
    values = torch.cat([values * masks[1].reshape(2, 4, 4, 4), first], 1)
    last = conv_transpose2d(relu(values), weights["up.2.1.weight"], weights["up.2.1.bias"], 2, 1)
    torch.testing.assert_close(unet(z, x), last.tanh(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 9, 17), (3, 8, 40), (4, 31, 15)], ids=str)
@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
def test_sizes_gradients_and_patches(shape: tuple[int, ...], norm: str):
    unet, noise = make_unet(shape, norm=norm)
    patchgan = make_patchgan((shape[0] + 3, *shape[1:]), norm=norm)
    inputs = torch.randn(3, 3, *shape[1:])
    made = unet(torch.rand(3, noise), inputs)
    assert made.shape == (3, *shape)
    logits = patchgan(torch.cat([made, inputs], 1))
    assert logits.dim() == 2
    assert logits.shape[1] >= 4
    assert patchgan.features(torch.cat([made, inputs], 1)).dim() == 2
    logits.square().sum().backward()
    every = [*unet.parameters(), *patchgan.parameters()]
    assert all(each.grad is not None and each.grad.isfinite().all() and each.grad.any() for each in every)
    assert patchgan.judges_patches
    assert patchgan.judges_alone == (norm != "batch")


def test_z_is_the_dropout_and_nothing_else_is_random():
    unet, noise = make_unet((1, 16, 16), inputs=1)
    x = torch.randn(1, 1, 16, 16)
    z = torch.rand(1, noise)
    for mode in (True, False):
        unet.train(mode)
        assert torch.equal(unet(z, x), unet(z, x))
        assert not torch.equal(unet(z, x), unet(1 - z, x))
        # Which numbers are below the share is all that counts.
        assert torch.equal(unet(z, x), unet((z >= 0.5).float(), x))
    still, size = make_unet((1, 16, 16), inputs=1, dropout=0.0)
    assert size == 1
    assert torch.equal(still(torch.rand(1, 1), x), still(torch.rand(1, 1), x))


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_no_sample_depends_on_those_that_are_made_with_it(norm: str):
    unet, noise = make_unet((3, 16, 16), norm=norm)
    z, x = torch.rand(5, noise), torch.randn(5, 3, 16, 16)
    x[1:] *= 10
    unet.eval()
    torch.testing.assert_close(unet(z, x)[:1], unet(z[:1], x[:1]), rtol=0, atol=1e-5)
    unet.train()
    assert (unet(z, x)[:1] - unet(z[:1], x[:1])).abs().max().item() > 0.01 or norm == "instance"


def test_batch_norm_at_hand_is_batch_norm_and_in_evaluation_that_of_batches_of_one():
    norm, own = nn.BatchNorm2d(3), BatchNormAtHand(3)
    values = torch.randn(4, 3, 5, 5) * 3 + 1
    torch.testing.assert_close(own(values), norm(values))
    each = torch.cat([nn.BatchNorm2d(3)(values[row : row + 1]) for row in range(4)])
    torch.testing.assert_close(own.eval()(values), each, rtol=1e-4, atol=1e-5)
    assert not list(own.buffers())


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch_of_the_published_size(layers: int, patch: int):
    patchgan = make_patchgan((1, 128, 128), layers=layers, norm="none")
    image = torch.randn(1, 1, 128, 128, requires_grad=True)
    logits = patchgan(image)
    side = int(logits.shape[1] ** 0.5)
    assert side == 128 // 2**layers - 2
    middle = side // 2 * side + side // 2
    (gradient,) = torch.autograd.grad(logits[0, middle], image)
    rows, columns = gradient[0, 0].nonzero(as_tuple=True)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == patch


def test_small_images_have_fewer_layers():
    assert count(make_patchgan((2, 8, 8))) == count(make_patchgan((2, 8, 8), layers=1))
    assert count(make_patchgan((2, 64, 64))) > count(make_patchgan((2, 64, 64), layers=1))


def test_what_a_unet_cannot_make_is_refused():
    with pytest.raises(ConfigError, match="have no inputs"):
        make_unet((1, 8, 8), inputs=0)
    with pytest.raises(ConfigError, match="points"):
        make_unet((2,))
    with pytest.raises(ConfigError, match=r"data\.size=8"):
        make_unet((1, 6, 6))
    with pytest.raises(ConfigError, match="feature that may be dropped"):
        build_generator(GeneratorConfig(network=UNetConfig()), LatentConfig(size=3), (1, 8, 8), 0, 1)
