from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from saddle.config import load_recipe, resolve
from saddle.config.networks import LatentConfig
from saddle.config.schema import DiscriminatorConfig, GeneratorConfig
from saddle.errors import ConfigError
from saddle.networks.dcgan import grids
from saddle.networks.families import build_discriminator, build_generator
from saddle.networks.virtual import REFERENCE, ReferencedGenerator, VirtualBatchNorm

LATENT = LatentConfig(size=5)
LARGE_SIZES = [(1, 252, 252), (3, 256, 256)]
SHAPES = [
    *[(1, 16, 16), (3, 20, 20), (1, 28, 28), (3, 32, 32), (4, 36, 36), (1, 48, 48), (3, 64, 64), (3, 96, 64)],
    *[(3, 16, 100), (1, 8, 8), (2, 17, 31), *LARGE_SIZES],
]
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as in the paper": ({}, {}),
    "resize": ({"upsampling": "resize"}, {"norm": "none", "initialisation": "default"}),
    "blocks": ({"upsampling": "resize", "blocks": 2}, {"norm": "none", "initialisation": "default"}),
    "blocks, layer norm": ({"blocks": 1, "norm": "layer"}, {"norm": "layer"}),
    "layer norm": ({"norm": "layer"}, {"norm": "layer", "input_norm": True}),
    "no norm": ({"norm": "none", "initialisation": "default"}, {"norm": "none", "initialisation": "orthogonal"}),
    "virtual": ({"norm": "virtual"}, {"input_norm": True}),
    "virtual, resize": ({"norm": "virtual", "upsampling": "resize"}, {"max_width": 4}),
    "dropout": ({"dropout": 0.3, "activation": "silu"}, {"dropout": 0.3, "activation": "gelu"}),
}


def make(shape: tuple[int, ...], classes: int = 0, condition: str = "concatenate", generator: Any = None, **d: Any):
    to_g = "embedding" if condition == "embedding" else "concatenate"
    g = GeneratorConfig(network={"family": "dcgan", "width": 4, **(generator or {})}, condition=to_g)
    d = {"network": {"family": "dcgan", "width": 4, **d.pop("network", {})}, "condition": condition, **d}
    return build_generator(g, LATENT, shape, classes), build_discriminator(DiscriminatorConfig(**d), shape, classes)


def check_step(generator, discriminator, shape: tuple[int, ...], labels: torch.Tensor | None = None) -> None:
    more = () if labels is None else (labels,)
    samples = generator(torch.randn(3, LATENT.size), *more)
    assert samples.shape == (3, *shape)
    logits = discriminator(samples, *more)
    assert logits.shape == (3,)
    parameters = [*generator.parameters(), *discriminator.parameters()]
    before = [parameter.detach().clone() for parameter in parameters]
    logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)
    torch.optim.SGD(parameters, lr=1.0).step()
    moved = [not torch.equal(old, new) for old, new in zip(before, parameters, strict=True)]
    assert sum(moved) > 0.8 * len(moved)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_shapes_gradients_and_one_step(shape: tuple[int, ...], variant: str):
    torch.manual_seed(0)
    generator, discriminator = VARIANTS[variant]
    if shape in LARGE_SIZES and "virtual" in variant:
        pytest.skip("64 reference images of this size take seconds")
    check_step(*make(shape, generator=generator, network=discriminator), shape)


@pytest.mark.parametrize("condition", ["concatenate", "embedding", "projection"])
@pytest.mark.parametrize(
    "side",
    [{}, {"weights": "spectral"}, {"weights": "weight"}, {"minibatch_kernels": 3}, {"input_noise": 0.1}],
    ids=str,
)
@pytest.mark.parametrize("norm", ["batch", "virtual"])
def test_labels_and_sides_of_d(condition: str, side: dict[str, Any], norm: str):
    torch.manual_seed(0)
    shape, labels = (1, 20, 16), torch.tensor([0, 2, 1])
    generator, discriminator = make(shape, 3, condition, {"norm": norm}, **side)
    samples = torch.rand(1, *shape).repeat(3, 1, 1, 1)
    assert discriminator.eval()(samples, torch.arange(3)).unique().numel() == 3
    assert generator.eval()(torch.ones(3, LATENT.size), torch.arange(3)).unique(dim=0).shape[0] == 3
    check_step(generator.train(), discriminator.train(), shape, labels)


@pytest.mark.parametrize(
    ("side", "coarsest", "halvings"),
    [(16, 4, 2), (20, 5, 2), (28, 7, 2), (32, 4, 3), (36, 4, 3), (48, 6, 3), (64, 4, 4), (100, 6, 4), (256, 4, 6)],
)
def test_sides_are_halved_down_to_four_to_seven(side: int, coarsest: int, halvings: int):
    found = grids((1, side, side))
    assert found[-1] == (coarsest, coarsest)
    assert len(found) == halvings + 1


def test_every_multiple_of_four_has_a_grid():
    for height in range(16, 257, 4):
        for width in (16, height, 256):
            found = grids((3, height, width))
            assert 4 <= min(found[-1]) <= 7
            for fine, coarse in pairwise(found):
                assert coarse == (fine[0] // 2, fine[1] // 2)


@pytest.mark.parametrize(("shape", "remedy"), [((1, 4, 4), "data.size=8"), ((3, 5, 20), r"data.size=\[8, 20\]")])
def test_sizes_too_small_name_the_nearest_that_works(shape: tuple[int, ...], remedy: str):
    with pytest.raises(ConfigError, match=remedy):
        make(shape)


def test_points_are_refused():
    with pytest.raises(ConfigError, match="points"):
        make((2,))


def test_no_hidden_layer_is_fully_connected_and_norms_keep_off_the_ends():
    generator, discriminator = make((3, 64, 64), network={"width": 4})
    kinds = [type(layer).__name__ for layer in generator.layers]
    assert kinds.count("ConvTranspose2d") == 4
    assert kinds[-2:] == ["ConvTranspose2d", "Tanh"]
    kinds = [type(layer).__name__ for layer in discriminator.body.layers]
    assert kinds[:3] == ["Conv2d", "LeakyReLU", "Conv2d"]
    assert kinds.count("BatchNorm2d") == 3
    assert "Linear" not in kinds


def test_initialisation_is_the_authors():
    torch.manual_seed(0)
    generator, _ = make((1, 32, 32), generator={"width": 64})
    assert generator.layers[2].weight.std().item() == pytest.approx(0.02, rel=0.05)
    factors = generator.layers[0].weight
    assert factors.mean().item() == pytest.approx(1, abs=0.01)
    assert factors.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("inner", [(), (3, 2)])
def test_virtual_norm_equals_its_definition(inner: tuple[int, ...]):
    torch.manual_seed(0)
    layer = VirtualBatchNorm(4).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    values = 3 + 2 * torch.randn(REFERENCE + 5, 4, *inner, dtype=torch.float64)
    out = layer(values)
    reference, share = values[:REFERENCE].transpose(0, 1).flatten(1), 1 / (REFERENCE + 1)
    for row in (0, REFERENCE - 1, REFERENCE, REFERENCE + 4):
        for channel in range(4):
            own, weight = values[row, channel], 0 if row < REFERENCE else share
            mean = weight * own.mean() + (1 - weight) * reference[channel].mean()
            square = weight * own.square().mean() + (1 - weight) * reference[channel].square().mean()
            expected = (own - mean) / (square - mean**2 + layer.eps).sqrt()
            expected = expected * layer.weight[channel] + layer.bias[channel]
            torch.testing.assert_close(out[row, channel], expected)


@pytest.mark.parametrize("family", ["mlp", "dcgan"])
def test_samples_of_a_virtual_norm_depend_on_no_others(family: str):
    torch.manual_seed(0)
    network = {"family": family, "norm": "virtual"} | ({"widths": (8,)} if family == "mlp" else {"width": 4})
    generator = build_generator(GeneratorConfig(network=network), LATENT, (1, 16, 16), 3)
    latents, labels = torch.randn(4, LATENT.size), torch.tensor([0, 1, 2, 0])
    together = generator(latents, labels)
    alone = torch.cat([generator(latents[row : row + 1], labels[row : row + 1]) for row in range(4)])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(generator.eval()(latents, labels), together)
    assert "latents" in generator.state_dict()


def test_gradients_of_a_virtual_norm_flow_through_the_reference():
    torch.manual_seed(0)
    generator, _ = make((1, 16, 16), generator={"norm": "virtual"})
    assert isinstance(generator, ReferencedGenerator)
    generator.latents.requires_grad_()
    generator(torch.randn(2, LATENT.size)).square().sum().backward()
    assert generator.latents.grad is not None
    assert generator.latents.grad.abs().sum() > 0


def test_virtual_norm_is_no_norm_of_discriminators():
    with pytest.raises(ConfigError, match="virtual is of generators only"):
        resolve(load_recipe("dcgan"), {"discriminator": {"network": {"norm": "virtual"}}})


def test_failing_recipe_norms_the_input_layer_of_d():
    config = resolve(load_recipe("dcgan-failing"))
    discriminator = build_discriminator(config.discriminator, (1, 28, 28), 0)
    assert [type(layer).__name__ for layer in discriminator.body.layers] == ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 2


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2, 17, 31)], ids=str)
def test_resize_is_nearest_neighbour_and_a_convolution(shape: tuple[int, ...]):
    torch.manual_seed(0)
    generator, _ = make(shape, generator={"upsampling": "resize"})
    passed: list[tuple[Any, torch.Tensor, torch.Tensor]] = []
    steps = [module for module in generator.modules() if hasattr(module, "convolution")]
    for step in steps:
        step.register_forward_hook(lambda step, given, made: passed.append((step, given[0], made)))
    generator.double()(torch.randn(3, LATENT.size, dtype=torch.double))
    assert len(passed) == len(steps) > 0
    for step, given, made in passed:
        wanted = step.convolution(torch.nn.functional.interpolate(given, made.shape[2:], mode="nearest"))
        torch.testing.assert_close(made, wanted, rtol=1e-10, atol=1e-12)
