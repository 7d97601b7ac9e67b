from __future__ import annotations

import pytest
import torch

from saddle.config.schema import GeneratorMLPConfig, MLPConfig
from saddle.networks import build_discriminator, build_generator

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
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 4, 4), (2,)])
def test_shapes_gradients_and_one_step(variant: str, shape: tuple[int, ...]):
    torch.manual_seed(0)
    generator = build_generator(GeneratorMLPConfig(widths=(8, 6), **VARIANTS[variant]), latent_size=5, shape=shape)
    discriminator = build_discriminator(MLPConfig(widths=(6, 8), **VARIANTS[variant]), shape=shape)
    samples = generator(torch.randn(4, 5))
    assert samples.shape == (4, *shape)
    logits = discriminator(samples)
    assert logits.shape == (4,)
    parameters = [*generator.parameters(), *discriminator.parameters()]
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)
    optimizer.step()
    moved = [not torch.equal(old, new) for old, new in zip(before, parameters, strict=True)]
    assert sum(moved) > len(moved) / 2


@pytest.mark.parametrize(("output", "low", "high"), [("sigmoid", 0, 1), ("tanh", -1, 1)])
def test_output_stays_in_its_range(output: str, low: float, high: float):
    torch.manual_seed(0)
    config = GeneratorMLPConfig(widths=(8,), output=output, initialisation="normal", scale=10.0)
    samples = build_generator(config, latent_size=5, shape=(1, 3, 3))(torch.randn(64, 5))
    assert low <= samples.min() < low + 0.1
    assert high - 0.1 < samples.max() <= high


def test_initialisation_scale_is_what_the_name_says():
    torch.manual_seed(0)
    normal = build_discriminator(MLPConfig(widths=(200, 200), initialisation="normal", scale=0.02), shape=(200,))
    uniform = build_discriminator(MLPConfig(widths=(200, 200), initialisation="uniform", scale=0.05), shape=(200,))
    assert normal.hidden[0].weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert uniform.hidden[0].weight.abs().max().item() == pytest.approx(0.05, rel=0.01)
    assert normal.hidden[0].bias.abs().max() == 0
