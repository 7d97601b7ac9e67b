"""A population: independent copies of a network, whose parameters are stacked and which are run side by side.

Everything outside sees plain tensors, member-major: (members · B, ...). ``torch.func.vmap`` maps over the members
inside the module, so that penalties differentiate through it as through any other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap  # pyright: ignore[reportPrivateImportUsage]
from torch.nn.functional import linear, normalize
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.utils.parametrizations import _SpectralNorm, _WeightNorm  # pyright: ignore[reportPrivateUsage]
from torch.overrides import TorchFunctionMode

from saddle.base import processes
from saddle.networks.layers import ChannelsLast, GaussianNoise


class Chance:
    """Where random numbers come from: torch's global generators, or for a population a generator for each member.

    Args:
        device: of what is drawn.
        members: how many networks are run side by side.

    Attributes:
        generators: of the members; none for a single network.
    """

    def __init__(self, device: torch.device, members: int = 1) -> None:
        self.members = members
        self._device = device
        self.generators = [torch.Generator(device) for _ in range(members)] if members > 1 else []

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin anew with a seed for each member; torch's global generators, which others seed, are left alone."""
        for generator, seed in zip(self.generators, seeds, strict=False):
            generator.manual_seed(seed)

    def each(self, draw: Callable[[torch.Generator | None], Tensor]) -> Tensor:
        """What ``draw`` gives (n, ...) from each member's generator: (members · n, ...).

        A single network draws from torch's global generator, or from what several processes have in common.
        """
        if not self.generators:
            return draw(processes.common(self._device))
        return torch.cat([draw(generator) for generator in self.generators])

    def __deepcopy__(self, memo: object) -> Chance:
        return self  # an averaged network draws nothing


class Population(nn.Module):
    """Copies of one network with weights of their own, run side by side.

    Parameters and buffers keep their names, below ``network``, and have a first axis of members. What the layers draw,
    such as dropout, comes from the generators of ``chance``: each member draws what it would draw alone. The layers of
    a family that is registered from outside draw from torch's global generator, for each member apart.

    Args:
        networks: the members: equal in everything but their values.
        chance: the members' generators.
    """

    def __init__(self, networks: Sequence[nn.Module], chance: Chance) -> None:
        super().__init__()
        self.members = len(networks)
        # Hidden from ``modules``: what a member looks like alone, without values.
        self._alone = (copy.deepcopy(networks[0]).to("meta"),)
        self.network = copy.deepcopy(networks[0])
        self._asked = (_Asked(self.network),)
        states = [_values(network) for network in networks]
        _put(self.network, {name: torch.stack([state[name] for state in states]) for name in states[0]})
        _prepare(self.network, chance)

    @property
    def judges_alone(self) -> bool:
        """As of the discriminator that the members are copies of; see ``saddle.networks.sides.Judging``."""
        return bool(getattr(self.network, "judges_alone", False))

    @property
    def judges_patches(self) -> bool:
        """As ``judges_alone``."""
        return bool(getattr(self.network, "judges_patches", False))

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the members' ``forward``, on inputs (members · B, ...)."""
        return self._ask("forward", *inputs)

    def features(self, *inputs: Tensor) -> Tensor:
        """As ``forward``, of the members' method ``features``."""
        return self._ask("features", *inputs)

    def class_logits(self, *inputs: Tensor) -> Tensor:
        """As ``forward``, of the members' method ``class_logits``."""
        return self._ask("class_logits", *inputs)

    def judge_and_classify(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """As ``forward``, of the members' method ``judge_and_classify``."""
        return self._ask("judge_and_classify", *inputs)

    def _ask(self, method: str, *inputs: Tensor) -> Any:
        def ask(state: dict[str, Tensor], *inputs: Tensor) -> Any:
            return functional_call(self._asked[0], state, (method, *inputs))

        state = {f"network.{name}": value for name, value in _values(self.network).items()}
        apart = [each.unflatten(0, (self.members, -1)) for each in inputs]
        device = inputs[0].device.type
        with _Products(device) if torch.is_autocast_enabled(device) else nullcontext():
            found = vmap(ask, randomness="different")(state, *apart)
        return tuple(each.flatten(0, 1) for each in found) if isinstance(found, tuple) else found.flatten(0, 1)

    def member(self, number: int) -> nn.Module:
        """The network of one member, in evaluation mode. Its values are views: it follows what is done to these."""
        network = copy.deepcopy(self._alone[0])
        _put(network, {name: value.detach()[number] for name, value in _values(self.network).items()})
        return network.eval().requires_grad_(False)


class _Asked(nn.Module):
    """A network any of whose methods can be called through ``functional_call``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, method: str, *inputs: Tensor) -> Tensor:
        return getattr(self.network, method)(*inputs)


class _Products(TorchFunctionMode):
    """Linear layers and convolutions in the precision of ``torch.autocast``, which does not see them under vmap."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._kind = torch.get_autocast_dtype(device)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (linear, torch.conv2d, torch.conv_transpose2d):
            args = [each.to(self._kind) if isinstance(each, Tensor) else each for each in args]
        return func(*args, **(kwargs or {}))


class _Drawing(nn.Module):
    """A layer that draws ``draw(values of one member, its generator)`` in training, and joins it to the values."""

    def __init__(self, layer: nn.Module, chance: Chance, order: torch.memory_format) -> None:
        super().__init__()
        self._order = order  # in memory, of what the layer sees in a member alone: numbers are drawn in it
        self.training = layer.training
        self._chance = chance
        self._dropped = layer.p if isinstance(layer, nn.Dropout) else None
        self._sigma = layer.sigma if isinstance(layer, GaussianNoise) else 0.0

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return values
        if self._dropped is not None:
            return values * cast(Tensor, _Drawn.apply(values, self._draw, self._chance))
        return values + self._sigma * cast(Tensor, _Drawn.apply(values, self._draw, self._chance))

    def _draw(self, values: Tensor, generator: torch.Generator | None) -> Tensor:
        """As ``torch.nn.functional.dropout`` on a CPU, or ``torch.randn_like``."""
        order = self._order if values.dim() == 4 else torch.contiguous_format
        drawn = torch.empty_like(values, memory_format=order)
        if self._dropped is None:
            return drawn.normal_(generator=generator)
        return drawn.bernoulli_(1 - self._dropped, generator=generator).div_(1 - self._dropped)


class _Drawn(torch.autograd.Function):
    """Random numbers of the shape of ``values``, for each member from its own generator. They have no gradient."""

    @staticmethod
    def forward(values: Tensor, draw: Callable[[Tensor, torch.Generator | None], Tensor], chance: Chance) -> Tensor:
        return draw(values, None)

    @staticmethod
    def setup_context(ctx: Any, inputs: object, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        values, draw, chance = args
        rows = iter(values.movedim(in_dims[0], 0))

        def draw_row(generator: torch.Generator | None) -> Tensor:
            return draw(next(rows), generator).unsqueeze(0)

        return chance.each(draw_row), 0

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None]:
        return None, None, None


class _BatchMember(_BatchNorm):
    """Batch norm in single precision: vmap's knows no values in half precision beside weights that are not."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.float()).to(input.dtype)


class _SpectralMember(_SpectralNorm):
    """Torch's spectral norm without ``out=``, which vmap does not know."""

    @torch.no_grad()
    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._u.copy_(normalize(torch.mv(weight_mat, self._v), dim=0, eps=self.eps))
            self._v.copy_(normalize(torch.mv(weight_mat.H, self._u), dim=0, eps=self.eps))


class _WeightMember(_WeightNorm):
    """Torch's weight norm in operations that vmap is quick with."""

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        axes = [axis for axis in range(weight_v.dim()) if axis != self.dim]
        return weight_v * (weight_g / torch.linalg.vector_norm(weight_v, dim=axes, keepdim=True))


def _prepare(network: nn.Module, chance: Chance, order: torch.memory_format = torch.contiguous_format) -> None:
    """Replace what vmap does not know, and what draws."""
    if any(isinstance(layer, ChannelsLast) for layer in network.children()):
        order = torch.channels_last
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.Dropout | GaussianNoise):
            setattr(network, name, _Drawing(layer, chance, order))
        elif isinstance(layer, ChannelsLast):  # there is no such order under vmap; its convolutions find their own
            setattr(network, name, nn.Identity())
        elif isinstance(layer, _BatchNorm):
            layer.__class__ = _BatchMember
        elif isinstance(layer, _SpectralNorm):
            layer.__class__ = _SpectralMember
        elif isinstance(layer, _WeightNorm):
            layer.__class__ = _WeightMember
        else:
            _prepare(layer, chance, order)


def _values(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _put(network: nn.Module, values: dict[str, Tensor]) -> None:
    """Give ``network`` these parameters and buffers, whatever the shapes of its own are."""
    for prefix, layer in list(network.named_modules()):
        for name, old in list(layer.named_parameters(recurse=False)):
            value = values[f"{prefix}.{name}".removeprefix(".")]
            layer.register_parameter(name, nn.Parameter(value, old.requires_grad))
        for name, _ in list(layer.named_buffers(recurse=False)):
            layer.register_buffer(name, values[f"{prefix}.{name}".removeprefix(".")])
