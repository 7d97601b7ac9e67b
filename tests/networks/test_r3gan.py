"""R3GAN's networks against the paper's formulas and its table of sizes (Huang et al. 2024, section 3 and table 9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu

import saddle
from saddle.base.progress import Silent
from saddle.config import load_recipe, parse_settings, resolve
from saddle.config.networks import DiscriminatorR3GANConfig, GeneratorR3GANConfig, LatentConfig
from saddle.config.schema import DiscriminatorConfig, GeneratorConfig
from saddle.errors import ConfigError
from saddle.networks.families import build_discriminator, build_generator
from saddle.networks.grids import grids
from saddle.networks.memory import without_values
from saddle.networks.r3gan import Down, R3GANBody, R3GANGenerator, ResidualBlock, Up

LATENT = LatentConfig(size=5)
SMALL: dict[str, Any] = {"family": "r3gan", "widths": (8, 16), "group_width": 8}
SHAPES = [(3, 8, 8), (1, 28, 28), (3, 32, 48), (3, 33, 20), (4, 64, 64)]


def make(shape: tuple[int, ...], classes: int = 0, condition: str = "projection", **more: Any):
    g = GeneratorConfig(network=SMALL | {"output": "tanh"} | more)
    d = DiscriminatorConfig(network=SMALL | more, condition=condition)
    return build_generator(g, LATENT, shape, classes), build_discriminator(d, shape, classes)


def all_at_work(network: nn.Module) -> nn.Module:
    """With values in what begins at zero, so that every part shows in what comes out."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network


def millions(network: nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)


@pytest.mark.parametrize(
    ("side", "classes", "network", "sizes"),
    [
        (32, 0, "r3gan-stacked-mnist", (20.73, 20.68)),
        (32, 10, "r3gan-cifar10", (20.78, 21.28)),
        (256, 0, {"widths": (96, 192, 384, 768)}, (23.06, 23.01)),
        (64, 0, {"widths": (384, 768)}, (22.43, 22.38)),
        (32, 1000, {"widths": (1536,), "group_width": 32}, (82.91, 86.55)),
        (64, 1000, {"widths": (1536,), "group_width": 32}, (103.57, 107.21)),
    ],
    ids=["stacked MNIST", "CIFAR-10", "FFHQ-256", "FFHQ-64", "ImageNet-32", "ImageNet-64"],
)
def test_as_many_parameters_as_in_table_9(side: int, classes: int, network: Any, sizes: tuple[float, float]):
    if isinstance(network, str):
        config = resolve(load_recipe(network))
        g, d, latent = config.generator, config.discriminator, config.latent
        assert config.data.size in (side, None)
    else:
        network = {"family": "r3gan", "blocks": (2,), **network}
        features = {"features": network["widths"][-1]} if classes else {}
        g, d, latent = GeneratorConfig(network=network), None, LatentConfig(size=64)
        d = DiscriminatorConfig(network=network | features, condition="projection")
    shape = (3, side, side)
    generator = without_values(build_generator, g, latent, shape, classes)
    discriminator = without_values(build_discriminator, d, shape, classes)
    assert (millions(generator), millions(discriminator)) == sizes


def test_a_block_equals_its_formula():
    torch.manual_seed(0)
    config = GeneratorR3GANConfig(widths=(8,), expansion=3, group_width=12, slope=0.3)
    block = all_at_work(ResidualBlock(config, 8, 1)).double()
    first, second, third = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
    values = torch.randn(2, 8, 5, 4, dtype=torch.float64)

    product = torch.einsum("oc,bchw->bohw", first.weight[:, :, 0, 0], values)
    inside = leaky_relu(product + first.bias[:, None, None], 0.3)
    halves = [conv2d(inside[:, g * 12 :][:, :12], second.weight[g * 12 :][:12], padding=1) for g in range(2)]
    inside = leaky_relu(torch.cat(halves, 1) + second.bias[:, None, None], 0.3)
    expected = values + torch.einsum("oc,bchw->bohw", third.weight[:, :, 0, 0], inside)
    torch.testing.assert_close(block(values), expected)
    assert third.bias is None


def test_a_new_block_changes_nothing_and_its_other_layers_are_scaled_by_depth():
    torch.manual_seed(0)
    block = ResidualBlock(GeneratorR3GANConfig(), 64, blocks=16)
    values = torch.randn(2, 64, 4, 4)
    assert torch.equal(block(values), values)
    first, second, _ = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
    gain = (2 / (1 + 0.2**2)) ** 0.5 * 16**-0.25
    assert first.weight.std().item() == pytest.approx(gain / 64**0.5, rel=0.05)
    assert second.weight.std().item() == pytest.approx(gain / (9 * 16) ** 0.5, rel=0.05)
    assert not first.bias.any() and not second.bias.any()


def test_resampling_is_bilinear():
    """Within the border, where torch repeats the last values and here there are zeros."""
    torch.manual_seed(0)
    values = torch.randn(2, 4, 6, 8)
    larger = interpolate(values, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(Up(4, 4, (12, 16))(values)[..., 1:-1, 1:-1], larger[..., 1:-1, 1:-1])
    smaller = interpolate(values, scale_factor=0.5, mode="bilinear", antialias=True)
    torch.testing.assert_close(Down(4, 4)(values)[..., 1:-1, 1:-1], smaller[..., 1:-1, 1:-1])
    line = torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 16
    doubled = values.repeat_interleave(2, 2).repeat_interleave(2, 3)
    blurred = conv2d(doubled, line.expand(4, 1, 3, 3), padding=1, groups=4)
    torch.testing.assert_close(Up(4, 4, (12, 16))(values), blurred)


def test_the_ends_of_g_and_d_equal_their_formulas():
    torch.manual_seed(0)
    config = GeneratorR3GANConfig(widths=(8, 16), group_width=8, output="linear")
    generator = R3GANGenerator(config, 5, 3, (3, 8, 8))
    inputs = torch.randn(2, 8)
    label = inputs[:, 5:] @ generator.embedding.weight.T
    weights = torch.cat([inputs[:, :5], label], 1) @ generator.modulation.weight.T
    begun = torch.einsum("bc,chw->bchw", weights, generator.basis)
    torch.testing.assert_close(generator(inputs), generator.layers(begun))  # new blocks: upsampling and two products
    body = R3GANBody(DiscriminatorR3GANConfig(widths=(8, 16), group_width=8, features=7), (3, 8, 8), 0)
    images = torch.randn(2, 3, 8, 8)
    coarse = body.layers(body.first(images))
    depthwise = conv2d(coarse, body.basis[:, None], groups=16)  # over the whole coarsest grid
    torch.testing.assert_close(body(images, None), depthwise[:, :, 0, 0] @ body.last.weight.T)
    assert body.features == 7


def test_first_images_and_logits_are_of_moderate_size():
    torch.manual_seed(0)
    network = {"family": "r3gan", "widths": (64,), "blocks": (2,)}
    generator = build_generator(GeneratorConfig(network=network), LatentConfig(size=64), (3, 32, 32), 10)
    d = DiscriminatorConfig(network=network | {"features": 64}, condition="projection")
    plain, told = build_discriminator(d, (3, 32, 32), 0), build_discriminator(d, (3, 32, 32), 10)
    labels = torch.arange(20) % 10
    images = generator(torch.randn(20, 64), labels)
    assert 0.2 < images.std().item() < 2
    assert 0.05 < plain(images).std().item() < 3
    assert 0.01 < told(images, labels).std().item() < 3
    assert told.projection.weight.std().item() == pytest.approx((10 * 64) ** -0.5, rel=0.1)
    assert not told.output.weight.any()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("classes", [0, 3])
def test_shapes_gradients_and_penalties(shape: tuple[int, ...], classes: int):
    torch.manual_seed(0)
    generator, discriminator = map(all_at_work, make(shape, classes))
    labels = (torch.tensor([0, 2, 1]),) if classes else ()
    samples = generator(torch.randn(3, LATENT.size), *labels)
    assert samples.shape == (3, *shape)
    discriminator(samples, *labels).sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in generator.parameters())
    assert sum(bool(each.grad.any()) for each in generator.parameters()) == len(list(generator.parameters()))
    images = samples.detach().requires_grad_()
    discriminator.zero_grad()
    (gradient,) = torch.autograd.grad(discriminator(images, *labels).sum(), images, create_graph=True)
    assert gradient.abs().sum((0, 1)).all()  # every pixel is looked at, those at an odd border too
    gradient.square().sum().backward()
    grads = [each.grad for name, each in discriminator.named_parameters() if not name.endswith("bias")]
    assert all(grad is not None and grad.isfinite().all() and grad.any() for grad in grads)


@pytest.mark.parametrize("name", ["first.weight", "layers.0.branch.2.weight", "basis"])
def test_the_gradient_of_a_penalty_is_right(name: str):
    torch.manual_seed(0)
    body = all_at_work(R3GANBody(DiscriminatorR3GANConfig(widths=(4,), group_width=4), (2, 8, 9), 0)).double()
    images = torch.randn(2, 2, 8, 9, dtype=torch.float64, requires_grad=True)

    def penalty(weight: Tensor) -> Tensor:
        features = torch.func.functional_call(body, {name: weight}, (images, None))
        (gradient,) = torch.autograd.grad(features.sum(), images, create_graph=True)
        return gradient.square().sum()

    assert torch.autograd.gradcheck(penalty, body.get_parameter(name).detach().requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("condition", ["concatenate", "embedding", "projection"])
def test_labels_matter(condition: str):
    torch.manual_seed(0)
    generator, discriminator = make((3, 8, 8), 3, condition)
    every = torch.arange(3)
    assert generator(torch.ones(3, LATENT.size), every).unique(dim=0).shape[0] == 3
    assert discriminator(torch.ones(3, 3, 8, 8), every).unique().numel() == 3
    shares = torch.tensor([[0.0, 1.0, 0.0]])
    mixed, pure = generator(torch.ones(1, LATENT.size), shares), generator(torch.ones(1, LATENT.size), every[1:2])
    torch.testing.assert_close(mixed, pure)


def test_widths_and_blocks_go_by_grid_and_the_last_number_stands_for_the_rest():
    widths, blocks = (8, 16, 24), (0, 1, 2)
    generator, discriminator = make((3, 64, 64), widths=widths, blocks=blocks)
    for network, finest_first in ((discriminator.body, True), (generator, False)):
        found: list[int] = []
        for layer in network.layers if finest_first else reversed(network.layers):
            if isinstance(layer, Up | Down):
                found.append(0)
            elif isinstance(layer, ResidualBlock):
                found.append(layer.branch[0].in_channels)
        assert found == [0, 16, 0, 24, 24, 0, 24, 24, 0, 24, 24]
    assert len(grids((3, 64, 64))) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["discriminator.network.widths=[8, 20]"], "must divide every width times expansion, got 16 and 40"),
        (["generator.network.width=8"], "not a setting of the family"),
        (["discriminator.weights=spectral"], "discriminator.weights"),
    ],
)
def test_settings_that_make_no_network_are_refused(settings: list[str], message: str):
    families = ["generator.network.family=r3gan", "discriminator.network.family=r3gan"]
    with pytest.raises(ConfigError) as caught:
        resolve(load_recipe("images"), parse_settings([*families, *settings]))
    assert message in "".join(map(str, caught.value.details))


def test_what_is_no_image_or_too_small_is_refused():
    with pytest.raises(ConfigError, match="points"):
        make((2,))
    with pytest.raises(ConfigError, match=r"data\.size=8"):
        make((3, 7, 8))


def test_a_run_goes_on_exactly_and_its_file_is_opened(tmp_path: Path):
    images = torch.randint(0, 256, (24, 3, 9, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    network = {"family": "r3gan", "widths": [4, 8], "group_width": 4}
    settings: dict[str, Any] = {
        "data.size": [9, 8],
        "batch_size": 4,
        "threads": 1,
        "samples.count": 4,
        "average.half_life": 10,
        **{f"{player}.network": network for player in ("generator", "discriminator")},
        **{f"{player}.optimizer.learning_rate": 1e-3 for player in ("generator", "discriminator")},
        "game.r1": {"kind": "cosine", "value": 1.0, "to": 0.1, "end": 16},
    }

    def train(out: str, length: int) -> saddle.Run:
        more: dict[str, Any] = {"labels": [number % 3 for number in range(24)], "progress": Silent()}
        every = settings | {"images": length}
        return saddle.train("r3gan-small", data=images, out=tmp_path / out, settings=every, **more)

    train("parts", 8)
    parts, whole = train("parts", 16), train("whole", 16)
    assert parts.folder.generator.read_bytes() == whole.folder.generator.read_bytes()
    generator = saddle.load(whole.folder.generator)
    samples = generator.sample(6, seed=1)
    assert samples.shape == (6, 3, 9, 8)
    assert torch.equal(samples, whole.sample(6, seed=1))
