"""A gated PixelCNN is a distribution: its probabilities sum to 1, and what it draws follows them."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch
from torch import Tensor

from saddle.config.networks import LatentConfig, PixelCNNConfig
from saddle.config.schema import GeneratorConfig
from saddle.errors import ConfigError
from saddle.networks.families import build_generator
from saddle.networks.pixelcnn import PixelCNN

Shape = tuple[int, int, int]


def make(shape: Shape, classes: int = 0, condition: str = "concatenate", **network: object) -> PixelCNN:
    """Small, in double precision, with weights that are far from the first ones: every path matters."""
    torch.manual_seed(0)
    config = PixelCNNConfig(**{"width": 12, "blocks": 2, "kernel": 3, **network})  # pyright: ignore
    config = GeneratorConfig(network=config, condition=condition)  # pyright: ignore
    made = build_generator(config, LatentConfig(size=prod(shape)), shape, classes).double().eval()
    assert isinstance(made, PixelCNN)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def some_images(network: PixelCNN, count: int) -> Tensor:
    top = network.levels - 1
    return torch.randint(0, top + 1, (count, *network.shape)).double() / top


@pytest.mark.parametrize(("classes", "condition"), [(0, "concatenate"), (3, "concatenate"), (3, "embedding")])
def test_the_probabilities_of_all_images_sum_to_one(classes: int, condition: str):
    images = torch.tensor(list(product([0.0, 1.0], repeat=9)), dtype=torch.float64).reshape(512, 1, 3, 3)
    network = make((1, 3, 3), classes, condition, levels=2)
    sums = [
        network.log_likelihood(images, None if not classes else torch.full((512,), label)).exp()
        for label in range(max(classes, 1))
    ]
    for probabilities in sums:
        assert probabilities.sum().item() == pytest.approx(1, abs=1e-12)
        assert probabilities.std() > 1e-3  # not all alike
    assert len({round(probabilities[7].item(), 9) for probabilities in sums}) == max(classes, 1)


def test_the_probabilities_of_coloured_images_sum_to_one():
    values = torch.tensor(list(product([0.0, 0.5, 1.0], repeat=6)), dtype=torch.float64).reshape(-1, 3, 2, 1)
    assert make((3, 2, 1), levels=3).log_likelihood(values).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 5, 4)])
def test_each_value_sees_all_that_come_before_it_and_none_after(shape: Shape, monkeypatch: pytest.MonkeyPatch):
    channels, height, width = shape
    network = make(shape, levels=4, blocks=4)
    images = some_images(network, 4).requires_grad_()
    monkeypatch.setattr(network, "_numbers", lambda images: 3 * images)  # without rounding there is a gradient
    logits = network.logits(images)
    order = [(c, h, w) for h in range(height) for w in range(width) for c in range(channels)]
    for number, (c, h, w) in enumerate(order):
        (gradient,) = torch.autograd.grad(logits[:, c, :, h, w].square().sum(), images, retain_graph=True)
        seen = {tuple(place) for place in gradient.abs().sum(0).nonzero().tolist()}
        assert seen == set(order[:number]), (c, h, w)


@pytest.mark.parametrize(("shape", "levels"), [((1, 5, 4), 2), ((1, 3, 9), 17), ((3, 4, 4), 4)])
@pytest.mark.parametrize("classes", [0, 3])
def test_drawing_inverts_the_distribution_functions(shape: Shape, levels: int, classes: int):
    """Numbers just above a step of the functions, in its middle and just below its end all give the image itself."""
    network = make(shape, classes, levels=levels)
    images = some_images(network, 30)
    labels = torch.randint(0, classes, (30,)) if classes else None
    shares = network.logits(images, labels).softmax(2)
    chosen = (images * (levels - 1)).round().long().unsqueeze(2)
    ends, sizes = shares.cumsum(2).gather(2, chosen).squeeze(2), shares.gather(2, chosen).squeeze(2)
    assert torch.allclose(sizes.log().flatten(1).sum(1), network.log_likelihood(images, labels))
    for share in (1e-6, 0.5, 1 - 1e-6):
        drawn = network((ends - (1 - share) * sizes).flatten(1), labels)
        assert torch.equal(drawn.mul(levels - 1).round(), images.mul(levels - 1).round())


def test_the_same_images_alone_and_among_many():
    network = make((1, 4, 4), levels=2)
    latents = torch.rand(300, 16, dtype=torch.float64)  # more than are drawn at once
    together = network(latents)
    assert torch.equal(together[295:], network(latents[295:]))
    assert together.unique().tolist() == [0, 1]
    assert len(together.flatten(1).unique(dim=0)) > 20


def test_mixed_labels_lie_between():
    network = make((1, 3, 3), 2, levels=2)
    image = some_images(network, 1)
    shares = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], dtype=torch.float64)
    mixed = network.log_likelihood(image.expand(3, -1, -1, -1), shares)
    pure = network.log_likelihood(image.expand(2, -1, -1, -1), torch.tensor([0, 1]))
    assert torch.allclose(mixed[[0, 2]], pure)
    assert not torch.isclose(mixed[1], pure).any()


def test_dropout_is_of_training_alone():
    network = make((1, 4, 4), levels=2, dropout=0.5)
    images = some_images(network, 2)
    assert torch.equal(network.log_likelihood(images), network.log_likelihood(images))
    network.train()
    assert not torch.equal(network.log_likelihood(images), network.log_likelihood(images))


@pytest.mark.parametrize(
    ("shape", "size", "settings", "told"),
    [
        ((2,), 2, {}, "points"),
        ((3, 8, 8), 192, {"width": 32}, "a multiple of 3"),
        ((1, 8, 8), 100, {}, "latent.size = 64"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], size: int, settings: dict[str, int], told: str):
    config = GeneratorConfig(network=PixelCNNConfig(**settings))  # pyright: ignore
    with pytest.raises(ConfigError) as refused:
        build_generator(config, LatentConfig(size=size), shape, 0)
    assert told in f"{refused.value.what} {refused.value.expected} {refused.value.got}"
