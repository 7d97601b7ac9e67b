"""G, D, their optimizers and the averaged G: one object, one state."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from saddle.config.schedules import scheduled
from saddle.config.schema import AverageConfig, Config, OptimizerConfig, SGDConfig
from saddle.errors import CheckpointError
from saddle.game.batch import Batch
from saddle.game.latents import draw


class Player:
    """A network and the optimizer that moves it.

    Args:
        network: whose parameters move.
        config: of the optimizer.
        clip: all weights are held within ±clip (Arjovsky et al. 2017, algorithm 1, line 7); 0: free.
        historical: weight of ‖θ - mean of all past θ‖² in the loss (Salimans et al. 2016, section 3.3); 0: none.
    """

    def __init__(
        self, network: nn.Module, config: OptimizerConfig, *, clip: float = 0.0, historical: float = 0.0
    ) -> None:
        self.network = network
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = _optimizer(self.parameters, config)
        self._config = config
        self._clip = clip
        self._historical = historical
        self._past = [parameter.detach().clone() for parameter in self.parameters] if historical else []
        self._steps = torch.ones(()) if historical else None

    def schedule(self, images_seen: int) -> None:
        """Set what the optimizer's schedules say for the round that begins at ``images_seen``."""
        config = self._config
        for group in self.optimizer.param_groups:
            if config.schedule is not None:
                group["lr"] = scheduled(config.learning_rate, config.schedule, images_seen)
            if isinstance(config, SGDConfig) and config.momentum_schedule is not None:
                group["momentum"] = scheduled(config.momentum, config.momentum_schedule, images_seen)

    def step(self, loss: Tensor, *, retain_graph: bool = False) -> None:
        """Move along the gradient of ``loss``, a scalar, with respect to this player's parameters alone."""
        if self._historical:
            pairs = zip(self.parameters, self._past, strict=True)
            loss = loss + self._historical * torch.stack([(now - past).square().sum() for now, past in pairs]).sum()
        loss.backward(inputs=self.parameters, retain_graph=retain_graph)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self._clip or self._historical:
            self._after_step()

    @torch.no_grad()
    def _after_step(self) -> None:
        for parameter in self.parameters if self._clip else ():
            parameter.clamp_(-self._clip, self._clip)
        if self._steps is not None:
            self._steps += 1
            for past, now in zip(self._past, self.parameters, strict=True):
                past.lerp_(now, 1 / self._steps.item())

    def state(self) -> dict[str, Tensor]:
        """Weights, buffers and optimizer state, by name."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for index, parameter in enumerate(self.parameters):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{index}.{key}"] = value
        if self._steps is not None:
            tensors["past.steps"] = self._steps
            tensors |= {f"past.{index}": past for index, past in enumerate(self._past)}
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave."""
        self.network.load_state_dict(_below("network.", tensors))
        for name, value in _below("optimizer.", tensors).items():
            index, _, key = name.partition(".")
            parameter = self.parameters[int(index)]
            self.optimizer.state[parameter][key] = value.to(parameter.device, copy=True)
        if self._steps is not None:
            self._steps.copy_(tensors["past.steps"])
            for index, past in enumerate(self._past):
                past.copy_(tensors[f"past.{index}"])


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
        game = config.game
        self.generator = Player(
            generator.to(device).train(), config.generator.optimizer, historical=game.historical_averaging
        )
        self.discriminator = Player(
            discriminator.to(device).train(),
            config.discriminator.optimizer,
            clip=game.clip,
            historical=game.historical_averaging,
        )
        self._latent = config.latent
        self._average = config.average
        # Labels for generated samples are drawn as the real ones occur: D must not tell them apart by the label alone.
        self._label_edges = torch.tensor(class_shares, device=device).cumsum(0)[:-1] if class_shares else None
        # Without averaging, these are the players themselves. D is averaged where it is the result: a classifier.
        self.averaged = generator
        self.averaged_discriminator = discriminator
        self._averages: dict[str, tuple[nn.Module, nn.Module]] = {}
        if config.average.half_life:
            self.averaged = copy.deepcopy(generator).eval()
            self._averages["averaged"] = (self.averaged, generator)
        if config.average.half_life and game.rule == "semi_supervised":
            self.averaged_discriminator = copy.deepcopy(discriminator).eval()
            self._averages["averaged_discriminator"] = (self.averaged_discriminator, discriminator)

    def schedule(self, images_seen: int) -> None:
        """Set the optimizers for the round that begins at ``images_seen``."""
        self.generator.schedule(images_seen)
        self.discriminator.schedule(images_seen)

    def generate(self, count: int) -> Batch:
        """``count`` samples of G from fresh latents, and labels in a conditional game."""
        latents = draw(self._latent, count, self.device)
        if self._label_edges is None:
            return Batch(self.generator.network(latents))
        labels = torch.bucketize(torch.rand(count, device=self.device), self._label_edges, right=True)
        return Batch(self.generator.network(latents, labels), labels)

    def follow(self, images_seen: int, images_since: int) -> None:
        """Move the averages towards the players after a round of ``images_since`` that ended at ``images_seen``."""
        if not self._averages:
            return
        weight = averaging_weight(self._average, images_seen, images_since)
        for averaged, live in self._averages.values():
            _move_average(averaged, live, weight)

    def state(self) -> dict[str, Tensor]:
        """All state, by name."""
        parts = {"generator": self.generator.state(), "discriminator": self.discriminator.state()}
        parts |= {name: dict(averaged.state_dict()) for name, (averaged, _) in self._averages.items()}
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave.

        Raises:
            CheckpointError: names or shapes do not fit these networks.
        """
        try:
            self.generator.load(_below("generator.", tensors))
            self.discriminator.load(_below("discriminator.", tensors))
            for name, (averaged, _) in self._averages.items():
                averaged.load_state_dict(_below(f"{name}.", tensors))
        except (RuntimeError, IndexError, KeyError) as error:
            raise CheckpointError("the checkpoint does not fit the networks of this run", got=error) from None


def averaging_weight(config: AverageConfig, images_seen: int, images_since: int) -> float:
    """The share of G that enters the averaged G.

    It is (1 - ½^(images_since / half-life)) / (1 - ½^(images_seen / half-life)). The divisor makes the average one of G
    after each round alone, without the first weights, as in Kingma & Ba 2015, section 3. The half-life is held below
    ``rampup`` times the images seen, so that early weights are soon forgotten (Karras et al. 2020, "Training GANs with
    limited data", their implementation's EMA ramp-up).
    """
    half_life = float(config.half_life)
    if config.rampup:
        half_life = min(half_life, config.rampup * images_seen)
    half_life = max(half_life, 1e-8)
    return (1 - 0.5 ** (images_since / half_life)) / (1 - 0.5 ** (images_seen / half_life))


@torch.no_grad()
def _move_average(averaged: nn.Module, live: nn.Module, weight: float) -> None:
    """Average weights and running statistics; other buffers, such as counters and directions, are taken over."""
    old: list[Tensor] = list(averaged.parameters())
    new: list[Tensor] = list(live.parameters())
    for (name, kept), current in zip(averaged.named_buffers(), live.buffers(), strict=True):
        if name.endswith(("running_mean", "running_var")):
            old.append(kept)
            new.append(current)
        else:
            kept.copy_(current)
    torch._foreach_lerp_(old, new, weight)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


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
