from __future__ import annotations

import pytest
import torch

from saddle.config.networks import GeneratorMLPConfig, LatentConfig, MLPConfig
from saddle.config.schema import DiscriminatorConfig, GeneratorConfig
from saddle.errors import ConfigError
from saddle.networks.families import build_discriminator, build_generator
from saddle.networks.layers import Maxout, MinibatchDiscrimination

LATENT = LatentConfig(size=5)


def make_generator(
    shape: tuple[int, ...],
    classes: int = 0,
    condition: str = "concatenate",
    latent: LatentConfig = LATENT,
    **network: object,
):
    config = GeneratorConfig(network=GeneratorMLPConfig(**network), condition=condition)
    return build_generator(config, latent, shape, classes)


def make_discriminator(shape: tuple[int, ...], classes: int = 0, network: object = None, **config: object):
    return build_discriminator(DiscriminatorConfig(network=MLPConfig(**network), **config), shape, classes)


VARIANTS = {
    "plain": {},
    "batch norm after": {"norm": "batch", "norm_after": True, "activation": "relu"},
    "layer norm": {"norm": "layer"},
    "dropout": {"dropout": 0.5, "activation": "elu"},
    "normal": {"initialisation": "normal", "scale": 0.5},
    "uniform": {"initialisation": "uniform", "scale": 0.5, "activation": "softplus"},
    "orthogonal": {"initialisation": "orthogonal", "activation": "silu"},
    "gelu": {"activation": "gelu"},
    "tanh": {"activation": "tanh"},
    "sigmoid": {"activation": "sigmoid"},
    "maxout": {"activation": "maxout", "pieces": 3, "norm": "batch"},
    "maxout, norm after": {"activation": "maxout", "pieces": 2, "norm": "layer", "norm_after": True},
    "noise": {"noise": 0.3, "input_dropout": 0.2},
}
SIDES = {
    "plain": {},
    "spectral": {"weights": "spectral"},
    "weight": {"weights": "weight"},
    "minibatch discrimination": {"minibatch_kernels": 4, "minibatch_dimensions": 2},
    "input noise": {"input_noise": 0.1},
}


def check_step(generator, discriminator, shape: tuple[int, ...], labels: torch.Tensor | None = None) -> None:
    more = () if labels is None else (labels,)
    samples = generator(torch.randn(4, LATENT.size), *more)
    assert samples.shape == (4, *shape)
    logits = discriminator(samples, *more)
    assert logits.shape == (4,)
    parameters = [*generator.parameters(), *discriminator.parameters()]
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)
    optimizer.step()
    moved = [not torch.equal(old, new) for old, new in zip(before, parameters, strict=True)]
    assert sum(moved) > len(moved) / 2


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 4, 4), (2,)])
def test_shapes_gradients_and_one_step(variant: str, shape: tuple[int, ...]):
    torch.manual_seed(0)
    network = VARIANTS[variant]
    generator = make_generator(shape, widths=(8, 6), **network)
    check_step(generator, make_discriminator(shape, network={"widths": (6, 8), **network}), shape)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("condition", ["none", "concatenate", "embedding", "projection"])
def test_sides_of_d_and_ways_to_take_labels(side: str, condition: str):
    torch.manual_seed(0)
    shape, classes = (1, 4, 4), 0 if condition == "none" else 3
    labels = torch.tensor([0, 1, 2, 1]) if classes else None
    to_g = condition if condition == "embedding" else "concatenate"
    to_d = "concatenate" if condition == "none" else condition
    generator = make_generator(shape, classes, to_g, widths=(8,))
    discriminator = make_discriminator(shape, classes, network={"widths": (8,)}, condition=to_d, **SIDES[side])
    check_step(generator, discriminator, shape, labels)


@pytest.mark.parametrize("condition", ["concatenate", "embedding", "projection"])
def test_labels_matter(condition: str):
    torch.manual_seed(0)
    discriminator = make_discriminator((2,), 3, network={"widths": (8,)}, condition=condition)
    samples = torch.randn(1, 2).repeat(3, 1)
    assert discriminator(samples, torch.tensor([0, 1, 2])).unique().numel() == 3


def test_maxout_takes_the_largest_piece():
    values = torch.tensor([[1.0, 5.0, 2.0, -1.0, -3.0, -2.0]])
    assert Maxout(3)(values).tolist() == [[2.0, 5.0]]
    assert Maxout(2)(values).tolist() == [[1.0, 5.0, 2.0]]


def test_the_gradient_of_maxout_is_that_of_amax_and_differentiable():
    torch.manual_seed(0)
    values = torch.randn(4, 15, dtype=torch.float64)
    values[0] = 1.0  # all pieces tie
    values[1, :10] = 2.0
    weights = torch.randn(4, 3, dtype=torch.float64)
    (expected,) = torch.autograd.grad((values.requires_grad_().unflatten(1, (5, 3)).amax(1) * weights).sum(), values)
    (got,) = torch.autograd.grad((Maxout(5)(values) * weights).sum(), values)
    assert torch.equal(got, expected)
    free = torch.randn(4, 15, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Maxout(5), free)
    assert torch.autograd.gradgradcheck(lambda x: Maxout(5)(x).square(), free)


def test_minibatch_discrimination_equals_its_definition():
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(6, kernels=4, dimensions=3)
    features = torch.randn(5, 6)
    matrices = features @ layer.projection.weight.T
    matrices = matrices.reshape(5, 4, 3)
    expected = torch.zeros(5, 4)
    for i in range(5):
        for j in range(5):
            if i != j:
                expected[i] += torch.exp(-(matrices[i] - matrices[j]).abs().sum(1))
    out = layer(features)
    assert torch.equal(out[:, :6], features)
    torch.testing.assert_close(out[:, 6:], expected)


def test_spectral_norm_bounds_the_largest_singular_value():
    torch.manual_seed(0)
    network = {"widths": (30,), "initialisation": "normal", "scale": 3.0}
    discriminator = make_discriminator((40,), network=network, weights="spectral")
    for _ in range(30):
        discriminator(torch.randn(4, 40))
    layer = discriminator.body.hidden[0]
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.02)


def test_noise_is_there_in_training_only():
    torch.manual_seed(0)
    discriminator = make_discriminator((4,), network={"widths": (8,), "noise": 0.5}, input_noise=0.5)
    samples = torch.randn(3, 4)
    assert not torch.equal(discriminator(samples), discriminator(samples))
    discriminator.eval()
    assert torch.equal(discriminator(samples), discriminator(samples))


@pytest.mark.parametrize("joint", [False, True])
def test_dropout_in_samples_is_decided_by_the_last_numbers_of_z(joint: bool):
    """Against the formula, in training and in sampling: kept units are scaled by 1 / (1 - p), the others are 0."""
    torch.manual_seed(0)
    widths = {"widths": (6,), "label_widths": (5,), "joint_widths": (7,)} if joint else {"widths": (11, 7)}
    network = GeneratorMLPConfig(**widths, activation="relu", dropout=0.25, dropout_in_samples=True, output="linear")
    latent = LatentConfig(size=3 + 18, distribution="uniform", low=0.0, high=1.0)
    generator = build_generator(GeneratorConfig(network=network), latent, (2,), 4)
    z, labels = torch.rand(8, latent.size), torch.arange(8) % 4
    kept, label = (z[:, 3:] >= 0.25) / 0.75, torch.nn.functional.one_hot(labels, 4).float()
    *first, second, last = (layer for layer in generator.modules() if isinstance(layer, torch.nn.Linear))
    sides = [(first[0], z[:, :3]), (first[1], label)] if joint else [(first[0], torch.cat([z[:, :3], label], 1))]
    hidden = torch.cat([layer(values).relu() for layer, values in sides], 1) * kept[:, :11]
    expected = last(second(hidden).relu() * kept[:, 11:])
    torch.testing.assert_close(generator.train()(z, labels), expected)
    torch.testing.assert_close(generator.eval()(z, labels), expected)


def test_z_must_have_a_number_for_each_unit_that_may_be_dropped():
    with pytest.raises(ConfigError, match=r"more than the 18 of 10 \+ 8 units[\s\S]*18[\s\S]*latent.size=118"):
        make_generator((2,), widths=(10, 8), dropout=0.5, dropout_in_samples=True, latent=LatentConfig(size=18))


def test_features_are_without_the_noise_that_the_output_layer_sees():
    torch.manual_seed(0)
    samples = torch.randn(3, 4)
    one_layer = make_discriminator((4,), network={"widths": (8,), "noise": 0.5})
    assert torch.equal(one_layer.features(samples), one_layer.features(samples))
    assert not torch.equal(one_layer(samples), one_layer(samples))
    two_layers = make_discriminator((4,), network={"widths": (8, 8), "noise": 0.5})
    assert not torch.equal(two_layers.features(samples), two_layers.features(samples))


def test_only_the_last_layer_learns_its_lengths_under_direction():
    torch.manual_seed(0)
    discriminator = make_discriminator((4,), network={"widths": (8, 8)}, weights="direction")
    fixed = [name for name, parameter in discriminator.named_parameters() if not parameter.requires_grad]
    assert fixed == [f"body.hidden.{number}.parametrizations.weight.original0" for number in (0, 2)]


@pytest.mark.parametrize(("output", "low", "high"), [("sigmoid", 0, 1), ("tanh", -1, 1)])
def test_output_stays_in_its_range(output: str, low: float, high: float):
    torch.manual_seed(0)
    generator = make_generator((1, 3, 3), widths=(8,), output=output, initialisation="normal", scale=10.0)
    samples = generator(torch.randn(64, 5))
    assert low <= samples.min() < low + 0.1
    assert high - 0.1 < samples.max() <= high


def test_initialisation_scale_is_what_the_name_says():
    torch.manual_seed(0)
    normal = make_discriminator((200,), network={"widths": (200,), "initialisation": "normal", "scale": 0.02})
    uniform = make_discriminator((200,), network={"widths": (200,), "initialisation": "uniform", "scale": 0.05})
    assert normal.body.hidden[0].weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert uniform.body.hidden[0].weight.abs().max().item() == pytest.approx(0.05, rel=0.01)
    assert normal.body.hidden[0].bias.abs().max() == 0
