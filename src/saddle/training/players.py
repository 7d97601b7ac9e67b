"""A player: a network, the optimizer that moves it, and the average that follows it."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from saddle.base import processes
from saddle.config.schedules import Schedule, value_at
from saddle.config.schema import AverageConfig, OptimizerConfig, SGDConfig
from saddle.game.numbers import number_on, set_number


class Player:
    """A network and the optimizer that moves it.

    Args:
        network: whose parameters move.
        config: of the optimizer.
        clip: all weights are held within ±clip (Arjovsky et al. 2017, algorithm 1, line 7); 0: free.
        historical: weight of ‖θ - mean of all past θ‖² in the loss (Salimans et al. 2016, section 3.3); 0: none.
        replayed_on: the device where rounds are recorded and replayed; None: they are played one by one.
    """

    def __init__(
        self,
        network: nn.Module,
        config: OptimizerConfig,
        *,
        clip: float = 0.0,
        historical: float = 0.0,
        replayed_on: torch.device | None = None,
    ) -> None:
        self.network = network
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._rate = number_on(replayed_on)
        self.optimizer = _optimizer(self.parameters, config, replayed=replayed_on is not None)
        self._config = config
        self._clip = clip
        self._historical = historical
        self._past = [parameter.detach().clone() for parameter in self.parameters] if historical else []
        self._steps = torch.ones(()) if historical else None
        self.schedule(0)

    def retune(self, config: OptimizerConfig, clip: float = 0.0) -> None:
        """Take over the numbers that may change while a run goes on, of an optimizer of the same kind."""
        assert type(config) is type(self._config)
        self._config, self._clip = config, clip

    def schedule(self, images_seen: int) -> None:
        """Set the numbers of the optimizer for the round that begins at ``images_seen``."""
        config = self._config
        self._rate = set_number(self._rate, value_at(config.learning_rate, images_seen))
        if isinstance(config, SGDConfig):
            numbers = {"lr": self._rate, "momentum": value_at(config.momentum, images_seen)}
        else:
            numbers = {"lr": self._rate, "betas": tuple(value_at(beta, images_seen) for beta in config.betas)}
        for group in self.optimizer.param_groups:
            group.update(numbers)

    @property
    def obstacle(self) -> str | None:
        """Why a step cannot be recorded and replayed; None if it can."""
        config = self._config
        inertia = (config.momentum,) if isinstance(config, SGDConfig) else config.betas
        if any(isinstance(number, Schedule) for number in inertia):
            return "momentum or betas are schedules, which torch's optimizers do not read from the device"
        return "historical averaging counts its steps outside the device" if self._historical else None

    def step(self, loss: Tensor, *, retain_graph: bool = False) -> None:
        """Move along the gradient of ``loss``, a scalar, with respect to this player's parameters alone."""
        if self._historical:
            pairs = zip(self.parameters, self._past, strict=True)
            loss = loss + self._historical * torch.stack([(now - past).square().sum() for now, past in pairs]).sum()
        loss.backward(inputs=self.parameters, retain_graph=retain_graph)
        # Each process has the loss of its part of the batch, and all parts are equally large.
        processes.average(parameter.grad for parameter in self.parameters if parameter.grad is not None)
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
        """Take over what ``state`` gave.

        Raises:
            RuntimeError, LookupError, ValueError: names, shapes or types do not fit.
        """
        self.network.load_state_dict(below("network.", tensors))
        self.optimizer.state.clear()  # it may hold more by now than was saved, such as momentum that came later
        saved: dict[int, dict[str, Tensor]] = {}
        for name, value in below("optimizer.", tensors).items():
            index, _, key = name.partition(".")
            saved.setdefault(int(index), {})[key] = value
        for index, state in saved.items():
            parameter = self.parameters[index]
            # torch's fused optimizers compare nothing: where a moment is too short, they leave its memory.
            wanted = {key: torch.Size() if key == "step" else parameter.shape for key in _kept_by(self.optimizer)}
            floats = all(value.dtype == parameter.dtype for value in state.values())
            if not floats or {key: value.shape for key, value in state.items()} != wanted:
                raise RuntimeError(f"the optimizer's state of parameter {index} does not fit it")
            self.optimizer.state[parameter] = {
                key: value.to(parameter.device, copy=True) for key, value in state.items()
            }
        if self._steps is not None:
            self._steps.copy_(tensors["past.steps"])
            for index, past in enumerate(self._past):
                past.copy_(tensors[f"past.{index}"])


def averaging_weight(config: AverageConfig, images_seen: int, images_since: int) -> float:
    """The share of G that enters the averaged G.

    It is (1 - ½^(images_since / half-life)) / (1 - ½^(images_seen / half-life)). The divisor makes the average one of G
    after each round alone, without the first weights, as in Kingma & Ba 2015, section 3. The half-life is held below
    ``rampup`` times the images seen, so that early weights are soon forgotten (Karras et al. 2020, "Training GANs with
    limited data", their implementation's EMA ramp-up).
    """
    half_life = float(value_at(config.half_life, images_seen))
    if config.rampup:
        half_life = min(half_life, config.rampup * images_seen)
    half_life = max(half_life, 1e-8)
    return (1 - 0.5 ** (images_since / half_life)) / (1 - 0.5 ** (images_seen / half_life))


class Average:
    """A network that follows another one: the moving average of its weights and running statistics.

    Other buffers, such as counters and directions, are taken over.

    Args:
        live: what is followed; its parameters and buffers must stay the same tensors.
    """

    def __init__(self, live: nn.Module) -> None:
        self.network = copy.deepcopy(live).eval()
        # Looked up once: in small networks, this takes longer than the arithmetic.
        self._old: list[Tensor] = list(self.network.parameters())
        self._new: list[Tensor] = list(live.parameters())
        self._taken_over: list[tuple[Tensor, Tensor]] = []
        for (name, kept), current in zip(self.network.named_buffers(), live.buffers(), strict=True):
            if name.endswith(("running_mean", "running_var")):
                self._old.append(kept)
                self._new.append(current)
            else:
                self._taken_over.append((kept, current))

    @torch.no_grad()
    def move(self, weight: float) -> None:
        """Let the live network's share in the average be ``weight``; what was there keeps the rest."""
        for kept, current in self._taken_over:
            kept.copy_(current)
        torch._foreach_lerp_(self._old, self._new, weight)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


def scale_steps(player: Player, factors: Tensor) -> None:
    """Multiply each member's steps by its own factor, which is how learning rates differ in a population.

    A step is proportional to the learning rate, whatever the optimizer remembers.

    Args:
        player: whose network is a population.
        factors: (members,), in [0, 1]: shares of the rate that the optimizer has.
    """
    before: list[Tensor] = []

    def keep(*_: object) -> None:
        before[:] = [parameter.detach().clone() for parameter in player.parameters]

    @torch.no_grad()
    def scale(*_: object) -> None:
        for old, new in zip(before, player.parameters, strict=True):
            new.copy_(torch.lerp(old, new, factors.reshape(-1, *[1] * (new.dim() - 1))))

    player.optimizer.register_step_pre_hook(keep)
    player.optimizer.register_step_post_hook(scale)


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _kept_by(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    """The names of what the optimizer keeps for each parameter."""
    return ("momentum_buffer",) if isinstance(optimizer, torch.optim.SGD) else ("step", "exp_avg", "exp_avg_sq")


def _optimizer(parameters: list[nn.Parameter], config: OptimizerConfig, *, replayed: bool) -> torch.optim.Optimizer:
    """The optimizer; what may be a schedule is set before each round."""
    if isinstance(config, SGDConfig):
        return torch.optim.SGD(parameters, weight_decay=config.weight_decay, fused=True)
    adam = torch.optim.Adam(
        parameters, eps=config.eps, weight_decay=config.weight_decay, fused=True, capturable=replayed
    )
    if replayed:  # it warns of steps that are not captured, and the first ones of each kind are not
        adam._warned_capturable_if_run_uncaptured = True  # pyright: ignore[reportPrivateUsage]
    return adam
