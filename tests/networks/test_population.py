"""A population computes and draws what its members would alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saddle.config.networks import (
    DiscriminatorDCGANConfig,
    DiscriminatorR3GANConfig,
    GeneratorDCGANConfig,
    GeneratorMLPConfig,
    GeneratorR3GANConfig,
    LatentConfig,
    MLPConfig,
)
from saddle.config.schema import DiscriminatorConfig, GeneratorConfig
from saddle.networks.families import build_discriminator, build_generator
from saddle.networks.population import Chance, Population

MEMBERS, BATCH = 3, 6
CPU = torch.device("cpu")
LATENT = LatentConfig(size=5)


def mlp_generator(norm: str, classes: int = 0) -> nn.Module:
    network = GeneratorMLPConfig(widths=(8, 8), norm=norm, dropout=0.3, noise=0.1)  # pyright: ignore
    return build_generator(GeneratorConfig(network=network, condition="embedding"), LATENT, (3,), classes)


def decided_generator() -> nn.Module:
    """Of its 21 numbers the last 16 decide which of the hidden units it drops; a label stands behind them."""
    network = GeneratorMLPConfig(widths=(8, 8), dropout=0.3, dropout_in_samples=True)
    return build_generator(GeneratorConfig(network=network), LatentConfig(size=21), (3,), 4)


def dcgan_generator(norm: str, upsampling: str = "transposed", blocks: int = 0) -> nn.Module:
    network = GeneratorDCGANConfig(width=4, norm=norm, dropout=0.2, upsampling=upsampling, blocks=blocks)  # pyright: ignore
    return build_generator(GeneratorConfig(network=network), LATENT, (3, 16, 16), 0)


def mlp_discriminator(weights: str, norm: str = "none") -> nn.Module:
    network = MLPConfig(widths=(8, 8), activation="maxout", norm=norm, dropout=0.4, input_dropout=0.2, noise=0.1)  # pyright: ignore
    config = DiscriminatorConfig(network=network, weights=weights, input_noise=0.1, minibatch_kernels=4)  # pyright: ignore
    return build_discriminator(config, (3,), 0)


def dcgan_discriminator(weights: str, norm: str) -> nn.Module:
    network = DiscriminatorDCGANConfig(width=4, norm=norm, dropout=0.2)  # pyright: ignore
    return build_discriminator(
        DiscriminatorConfig(network=network, weights=weights, condition="projection"),  # pyright: ignore
        (3, 16, 16),
        4,
    )


def r3gan_generator() -> nn.Module:
    network = GeneratorR3GANConfig(widths=(4, 8), group_width=4)
    return with_values(build_generator(GeneratorConfig(network=network), LATENT, (3, 16, 16), 4))


def r3gan_discriminator() -> nn.Module:
    network = DiscriminatorR3GANConfig(widths=(4, 8), group_width=4, features=6)
    config = DiscriminatorConfig(network=network, condition="projection")
    return with_values(build_discriminator(config, (3, 16, 16), 4))


def with_values(network: nn.Module) -> nn.Module:
    """Values in what begins at zero too."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network


# What builds a network, the shape of its inputs, its labels, and whether it can be differentiated twice: where batch
# norm does not mix samples, so that a penalty makes sense.
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, bool]] = {
    "mlp generator": (lambda: mlp_generator("none"), (5,), 0, True),
    "mlp generator, batch": (lambda: mlp_generator("batch"), (5,), 0, False),
    "mlp generator, layer": (lambda: mlp_generator("layer"), (5,), 0, True),
    "mlp generator, virtual, labels": (lambda: mlp_generator("virtual", 4), (5,), 4, True),
    "mlp generator, dropout in samples": (decided_generator, (21,), 4, True),
    "dcgan generator, batch": (lambda: dcgan_generator("batch"), (5,), 0, False),
    "dcgan generator, resize": (lambda: dcgan_generator("batch", "resize"), (5,), 0, False),
    "dcgan generator, blocks": (lambda: dcgan_generator("batch", "resize", 1), (5,), 0, False),
    "dcgan generator, virtual": (lambda: dcgan_generator("virtual"), (5,), 0, False),
    "mlp discriminator": (lambda: mlp_discriminator("plain"), (3,), 0, True),
    "mlp discriminator, spectral": (lambda: mlp_discriminator("spectral"), (3,), 0, True),
    "mlp discriminator, direction, batch": (lambda: mlp_discriminator("direction", "batch"), (3,), 0, False),
    "dcgan discriminator, spectral": (lambda: dcgan_discriminator("spectral", "none"), (3, 16, 16), 4, True),
    "dcgan discriminator, weight, layer": (lambda: dcgan_discriminator("weight", "layer"), (3, 16, 16), 4, True),
    "dcgan discriminator, batch": (lambda: dcgan_discriminator("plain", "batch"), (3, 16, 16), 4, False),
    "r3gan generator": (r3gan_generator, (5,), 4, True),
    "r3gan discriminator": (r3gan_discriminator, (3, 16, 16), 4, True),
}


def networks(build: Callable[[], nn.Module]) -> list[nn.Module]:
    made: list[nn.Module] = []
    for seed in range(MEMBERS):
        torch.manual_seed(seed)
        made.append(build().train())
    return made


def loss_of(network: nn.Module, inputs: Tensor, labels: Tensor | None, *, penalised: bool) -> tuple[Tensor, Tensor]:
    """Outputs, and a scalar that is a sum over samples, with the squared gradient of the inputs in it."""
    inputs = inputs.clone().requires_grad_()
    outputs = network(inputs) if labels is None else network(inputs, labels)
    loss = outputs.square().sum()
    if penalised:
        (gradient,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
        loss = loss + gradient.square().sum()
    return outputs, loss


@pytest.mark.parametrize("case", CASES)
def test_members_compute_and_draw_what_they_would_alone(case: str):
    """Outputs, gradients of gradients, running statistics and dropout; to rounding in float32."""
    build, shape, classes, penalised = CASES[case]
    alone = networks(build)
    chance = Chance(CPU, MEMBERS)
    population = Population(alone, chance)
    torch.manual_seed(9)
    inputs = torch.randn(MEMBERS * BATCH, *shape)
    labels = torch.randint(0, classes, (MEMBERS * BATCH,)) if classes else None
    for turn in (1, 2):  # the second one sees the running statistics and directions that the first one has left
        chance.seed([turn * 100 + number for number in range(MEMBERS)])
        outputs, loss = loss_of(population, inputs, labels, penalised=penalised)
        if turn == 2:
            loss.backward()
        for number, network in enumerate(alone):
            rows = slice(number * BATCH, (number + 1) * BATCH)
            torch.manual_seed(turn * 100 + number)
            own, own_loss = loss_of(
                network, inputs[rows], None if labels is None else labels[rows], penalised=penalised
            )
            torch.testing.assert_close(outputs[rows], own, rtol=1e-4, atol=1e-5)
            if turn == 2:
                own_loss.backward()
    stacked = dict(population.network.named_parameters())
    for number, network in enumerate(alone):
        for name, parameter in network.named_parameters():
            given = stacked[name].grad
            assert (given is None) == (parameter.grad is None), name
            if given is not None and parameter.grad is not None:
                scale = 1 + parameter.grad.abs().max().item()
                torch.testing.assert_close(given[number], parameter.grad, rtol=1e-3, atol=1e-4 * scale)
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(dict(population.network.named_buffers())[name][number], buffer)


@pytest.mark.parametrize("case", CASES)
def test_in_half_precision_too(case: str):
    """Products in bfloat16, which has 8 bits: the outputs differ by some of the last ones."""
    build, shape, classes, _ = CASES[case]
    alone = networks(build)
    chance = Chance(CPU, MEMBERS)
    population = Population(alone, chance)
    torch.manual_seed(9)
    inputs = torch.randn(MEMBERS * BATCH, *shape)
    labels = (torch.randint(0, classes, (MEMBERS * BATCH,)),) if classes else ()
    chance.seed(range(MEMBERS))
    kinds: list[torch.dtype] = []
    for network in (population, alone[0]):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda _layer, _inputs, output: kinds.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        outputs = population(inputs, *labels)
        outputs.float().square().sum().backward()
        for number, network in enumerate(alone):
            rows = slice(number * BATCH, (number + 1) * BATCH)
            torch.manual_seed(number)
            own = network(inputs[rows], *(each[rows] for each in labels))
            distance = (outputs[rows].float() - own.float()).abs().mean()
            assert distance < 0.05 * own.float().abs().mean() + 1e-4, (distance, own.float().abs().mean())
    assert kinds == [torch.bfloat16] * len(kinds)  # the products were in half precision, together as alone
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in population.parameters())


@pytest.mark.parametrize("case", CASES)
def test_a_member_taken_out_follows_what_is_done_to_the_population(case: str):
    build, shape, classes, _ = CASES[case]
    alone = networks(build)
    population = Population(alone, Chance(CPU, MEMBERS)).eval()
    members = [population.member(number) for number in range(MEMBERS)]
    with torch.no_grad():
        for network in (population, *alone):
            for parameter in network.parameters():
                parameter.mul_(1.5)
    inputs = torch.randn(BATCH, *shape)
    labels = (torch.arange(BATCH) % classes,) if classes else ()
    for network, member in zip(alone, members, strict=True):
        assert not member.training and list(member.state_dict()) == list(network.state_dict())
        assert torch.equal(member(inputs, *labels), network.eval()(inputs, *labels))


def test_a_broken_member_changes_no_bytes_of_the_others():
    def play(value: float) -> list[Tensor]:
        chance = Chance(CPU, MEMBERS)
        population = Population(networks(lambda: dcgan_discriminator("spectral", "none")), chance)
        for parameter in population.parameters():
            parameter.data[1].mul_(value)
        chance.seed([1, 2, 3])
        torch.manual_seed(0)
        outputs, loss = loss_of(
            population, torch.randn(MEMBERS * BATCH, 3, 16, 16), torch.zeros(MEMBERS * BATCH).long(), penalised=True
        )
        loss.backward()
        found = [outputs.unflatten(0, (MEMBERS, -1)), *population.buffers()]
        found += [parameter.grad for parameter in population.parameters() if parameter.grad is not None]
        return found

    for whole, broken in zip(play(1.0), play(torch.nan), strict=True):
        assert torch.equal(whole[[0, 2]], broken[[0, 2]])


def test_other_methods_and_copies():
    network = MLPConfig(widths=(8,))
    alone = networks(lambda: build_discriminator(DiscriminatorConfig(network=network), (3,), 0, outputs=4))
    population: Any = Population(alone, Chance(CPU, MEMBERS))
    copied: Any = copy.deepcopy(population)
    with torch.no_grad():
        for parameter in population.parameters():
            parameter.zero_()
    samples = torch.randn(MEMBERS * BATCH, 3)
    for number, single in enumerate(alone):
        rows = slice(number * BATCH, (number + 1) * BATCH)
        judge: Any = single
        torch.testing.assert_close(copied.features(samples)[rows], judge.features(samples[rows]))
        torch.testing.assert_close(copied.class_logits(samples)[rows], judge.class_logits(samples[rows]))
        torch.testing.assert_close(copied(samples)[rows], judge(samples[rows]))
    assert not population.class_logits(samples).any()
    assert copied.judges_alone
    assert not Population(networks(lambda: mlp_discriminator("plain")), Chance(CPU, MEMBERS)).judges_alone


def test_a_layer_of_another_origin_draws_for_each_member_apart():
    """It draws from torch's global generator, and no two members get the same."""
    torch.manual_seed(0)
    population = Population([nn.Sequential(nn.AlphaDropout(0.5)) for _ in range(MEMBERS)], Chance(CPU, MEMBERS))
    dropped = population.train()(torch.ones(MEMBERS * 200, 5)).unflatten(0, (MEMBERS, -1)) < 0
    assert not torch.equal(dropped[0], dropped[1])
    shares = dropped.float().mean((1, 2))
    assert (shares - 0.5).abs().max() < 0.08  # 1,000 draws: 5 standard deviations
