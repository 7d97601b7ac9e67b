"""A likelihood model as a learner: one network, an average of it, and the negative log-likelihood of the data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from saddle.base import processes
from saddle.config.networks import PixelCNNConfig
from saddle.config.schema import Config
from saddle.data.store import Store
from saddle.errors import CheckpointError
from saddle.game.batch import Batch
from saddle.networks.pixelcnn import PixelCNN
from saddle.trained.likelihood import check_levels
from saddle.training.gan import Member
from saddle.training.players import Average, Player, averaging_weight, below


class Likelihood:
    """A network with a likelihood, learning from real samples by maximum likelihood; see ``Learner``.

    Args:
        config: of the run.
        network: what is trained.
        device: where it lives.
        replayed: whether rounds are recorded and replayed (see ``saddle.training.replay``).
    """

    turns = 1
    generators: Sequence[torch.Generator] = ()

    def __init__(self, config: Config, network: PixelCNN, device: torch.device, *, replayed: bool = False) -> None:
        self.device = device
        replayed_on = device if replayed else None
        self.player = Player(network.to(device).train(), config.generator.optimizer, replayed_on=replayed_on)
        self._network = network
        self._latent = config.latent
        self._half_life = config.average
        self._average = Average(network) if config.average.half_life else None
        self._bits = 1 / (math.prod(network.shape) * math.log(2))

    @property
    def result(self) -> PixelCNN:
        """The averaged network; without averaging, the network itself."""
        averaged = self._network if self._average is None else self._average.network
        assert isinstance(averaged, PixelCNN)
        return averaged

    def retune(self, config: Config) -> None:
        """Take over the numbers that may change while a run goes on; see ``Learner.retune``."""
        self.player.retune(config.generator.optimizer)
        self._half_life = config.average

    def schedule(self, position: int) -> None:
        """Set the optimizer's numbers for the round that begins at ``position``."""
        self.player.schedule(position)

    def kind(self, number: int) -> Hashable:
        """All rounds are alike."""
        return ()

    @property
    def obstacle(self) -> str | None:
        """Why rounds cannot be recorded and replayed; None if they can."""
        if processes.count() > 1:
            return "several processes exchange their gradients in the middle of a round"
        return self.player.obstacle

    def loss(self, real: Batch) -> Tensor:
        """The mean negative log-likelihood of a batch, in nats: (1,)."""
        return real.mean(-self._network.log_likelihood(real.samples, real.condition))

    def play(self, batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
        """One step along the gradient of the loss; the loss, by two units."""
        (real,) = batches
        nats = self.loss(real)
        self.player.step(nats.sum())
        return {"nats": nats.detach(), "bits_per_dim": nats.detach() * self._bits}

    def follow(self, position: int, since: int) -> None:
        """Move the average towards the network after a round of ``since`` images that ended at ``position``."""
        if self._average is not None:
            self._average.move(averaging_weight(self._half_life, position, since))

    def sample(self, seed: int, start: int, count: int, condition: Tensor | None = None) -> Tensor:
        """The samples numbered from ``start`` of stream ``seed``; see ``Learner.sample``."""
        return Member(self.result, self._latent, self.device).sample(seed, start, count, condition)

    def state(self) -> dict[str, Tensor]:
        """All state, by name."""
        parts = {"generator": self.player.state()}
        if self._average is not None:
            parts["averaged"] = dict(self._average.network.state_dict())
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave.

        Raises:
            CheckpointError: names or shapes do not fit this network.
        """
        try:
            self.player.load(below("generator.", tensors))
            if self._average is not None:
                self._average.network.load_state_dict(below("averaged.", tensors))
        except (RuntimeError, LookupError, ValueError) as error:
            raise CheckpointError("the checkpoint does not fit the network of this run", got=error) from None


def settled_latent(config: Config, store: Store) -> dict[str, Any]:
    """The latents of a likelihood model of these data, a number from [0, 1) for each value of a sample.

    Raises:
        DataError: the data hold values that the network does not know.
    """
    network = config.generator.network
    assert isinstance(network, PixelCNNConfig)
    if store.kind == "images" and network.levels < 256:
        with warnings.catch_warnings():  # a store may be read-only; nothing is written
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            values = torch.from_numpy(store.values)
        check_levels(f"the images of {store.name}", values, network.levels)
    return {"size": math.prod(store.shape), "distribution": "uniform", "low": 0.0, "high": 1.0}
