"""G, D, their optimizers and the averaged G: one object, one state."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from saddle.config.schema import AverageConfig, Config, OptimizerConfig, SGDConfig
from saddle.data.feed import Batch
from saddle.errors import CheckpointError
from saddle.game.latents import draw


class Player:
    """A network and the optimizer that moves it."""

    def __init__(self, network: nn.Module, config: OptimizerConfig, clip: float = 0.0) -> None:
        self.network = network
        self._clip = clip
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = _optimizer(self.parameters, config)

    def step(self, loss: Tensor) -> None:
        """Move along the gradient of ``loss``, a scalar, with respect to this player's parameters alone."""
        loss.backward(inputs=self.parameters)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self._clip:  # Arjovsky et al. 2017, algorithm 1, line 7
            with torch.no_grad():
                for parameter in self.parameters:
                    parameter.clamp_(-self._clip, self._clip)

    def state(self) -> dict[str, Tensor]:
        """Weights, buffers and optimizer state, by name."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for index, parameter in enumerate(self.parameters):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{index}.{key}"] = value
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave."""
        self.network.load_state_dict(_below("network.", tensors))
        for name, value in _below("optimizer.", tensors).items():
            index, _, key = name.partition(".")
            parameter = self.parameters[int(index)]
            # Adam's step counter lives on the CPU; moments live beside their parameter.
            device = parameter.device if value.dim() else value.device
            self.optimizer.state[parameter][key] = value.to(device, copy=True)


class Players:
    """The two players, and the averaged generator that samples are taken from.

    Args:
        config: of the run.
        generator: latents (B, latent.size) → samples (B, *shape).
        discriminator: samples (B, *packed shape) → logits (B,).
        device: where they live.
        class_shares: how often each label occurs, in a conditional game; empty otherwise.
    """

    def __init__(
        self,
        config: Config,
        generator: nn.Module,
        discriminator: nn.Module,
        device: torch.device,
        class_shares: Sequence[float] = (),
    ) -> None:
        self.device = device
        self.generator = Player(generator.to(device).train(), config.generator.optimizer)
        self.discriminator = Player(discriminator.to(device).train(), config.discriminator.optimizer, config.game.clip)
        self._latent = config.latent
        self._average = config.average
        # Labels for generated samples are drawn as the real ones occur: D must not tell them apart by the label alone.
        self._label_edges = torch.tensor(class_shares, device=device).cumsum(0)[:-1] if class_shares else None
        # Without averaging, this is G itself.
        self.averaged = copy.deepcopy(generator).eval() if config.average.half_life else generator

    def generate(self, count: int) -> Batch:
        """``count`` samples of G from fresh latents, and labels in a conditional game."""
        latents = draw(self._latent, count, self.device)
        if self._label_edges is None:
            return Batch(self.generator.network(latents))
        labels = torch.bucketize(torch.rand(count, device=self.device), self._label_edges, right=True)
        return Batch(self.generator.network(latents, labels), labels)

    def follow(self, images_seen: int, images_since: int) -> None:
        """Move the averaged G towards G, after the round that ended at ``images_seen`` and took ``images_since``."""
        if self._average.half_life == 0:
            return
        weight = averaging_weight(self._average, images_seen, images_since)
        with torch.no_grad():
            averaged, live = _tensors(self.averaged), _tensors(self.generator.network)
            floating = [pair for pair in zip(averaged, live, strict=True) if pair[0].is_floating_point()]
            torch._foreach_lerp_([old for old, _ in floating], [new for _, new in floating], weight)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
            for old, new in zip(averaged, live, strict=True):
                if not old.is_floating_point():
                    old.copy_(new)

    def state(self) -> dict[str, Tensor]:
        """All state, by name."""
        parts = {"generator": self.generator.state(), "discriminator": self.discriminator.state()}
        if self._average.half_life:
            parts["averaged"] = dict(self.averaged.state_dict())
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave.

        Raises:
            CheckpointError: names or shapes do not fit these networks.
        """
        try:
            self.generator.load(_below("generator.", tensors))
            self.discriminator.load(_below("discriminator.", tensors))
            if self._average.half_life:
                self.averaged.load_state_dict(_below("averaged.", tensors))
        except (RuntimeError, IndexError) as error:
            raise CheckpointError("the checkpoint does not fit the networks of this run", got=error) from None


def averaging_weight(config: AverageConfig, images_seen: int, images_since: int) -> float:
    """The share of G that enters the averaged G: 1 - ½^(images_since / half-life).

    The half-life is held below ``rampup`` times the images seen, so that early weights are soon forgotten
    (Karras et al. 2020, "Training GANs with limited data", their implementation's EMA ramp-up).
    """
    half_life = float(config.half_life)
    if config.rampup:
        half_life = min(half_life, config.rampup * images_seen)
    return 1 - 0.5 ** (images_since / max(half_life, 1e-8))


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _optimizer(parameters: list[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    if isinstance(config, SGDConfig):
        return torch.optim.SGD(
            parameters, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
        )
    return torch.optim.Adam(
        parameters,
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )
