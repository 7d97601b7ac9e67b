"""Use a trained generator: load it, sample, interpolate."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from saddle.config.schema import CustomNetworkConfig, GeneratorConfig
from saddle.data.feed import Scaling
from saddle.errors import CheckpointError, ConfigError
from saddle.game.latents import numbered
from saddle.generator_file import GeneratorHeader, load_generator
from saddle.networks import build_generator
from saddle.runs import RunFolder
from saddle.training.engine import find_device
from saddle.training.record import generate

# About this many values are generated at once: a thousand samples or a million need the same memory.
_CHUNK_VALUES = 4_000_000


class Generator:
    """A trained generator.

    Args:
        network: latents (B, latent size), and labels (B,) if it is conditional → samples in its own range.
        scaling: from that range to images in [0, 1] or to points.
        header: what it is and what it was trained on.
    """

    def __init__(self, network: nn.Module, scaling: Scaling, header: GeneratorHeader, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.header = header
        self._scaling = scaling.to(device)
        self._device = device

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (C, H, W) or (d,)."""
        return self.header.shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels it takes; empty when it is not conditional."""
        return self.header.class_names

    def latents(self, count: int, seed: int, *, start: int = 0, truncation: float = 1.0) -> Tensor:
        """The latents numbered from ``start`` of stream ``seed``: (count, latent size). Equal on every machine.

        Args:
            truncation: latents are drawn towards the middle of their distribution by this factor in (0, 1]: less
                variety, more typical samples.

        Raises:
            ConfigError: ``truncation`` is out of range.
        """
        if not 0 < truncation <= 1:
            raise ConfigError("no such truncation", expected="a number in (0, 1]", got=truncation)
        latents = numbered(self.header.latent, seed, start, count)
        middle = 0.0
        if self.header.latent.distribution == "uniform":
            middle = (self.header.latent.low + self.header.latent.high) / 2
        return latents if truncation == 1 else middle + truncation * (latents - middle)

    def label(self, name: str | int) -> int:
        """The index of a class given by name or by index.

        Raises:
            ConfigError: it takes no labels, or not this one.
        """
        names = self.class_names
        if not names:
            raise ConfigError(
                f"the generator of recipe {self.header.recipe!r} takes no labels", remedy="ask without a label"
            )
        if name in names:
            return names.index(str(name))
        if str(name).isdigit() and int(name) < len(names):
            return int(name)
        nearest = get_close_matches(str(name), names, n=1)
        known = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise ConfigError(
            f"there is no class {name!r}",
            expected=f"an index below {len(names)}, or one of {known}",
            remedy=f"did you mean {nearest[0]!r}?" if nearest else None,
        )

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples for ``latents`` (B, latent size): images (B, C, H, W) in [0, 1], or points (B, d), on the CPU.

        Args:
            labels: class indices (B,), for a conditional generator.
        """
        labels = None if labels is None else labels.to(self._device)
        return self._scaling.backward(generate(self.network, latents.to(self._device), labels)).cpu()

    def sample(self, count: int, *, seed: int = 0, label: str | int | None = None, truncation: float = 1.0) -> Tensor:
        """``count`` samples: images (count, C, H, W) float in [0, 1], or points (count, d).

        Args:
            label: one class, by name or index. Without it a conditional generator goes through its classes in turn.
            truncation: see ``latents``.
        """
        pieces = self.stream(count, seed=seed, label=label, truncation=truncation)
        return torch.cat([samples for samples, _ in pieces])

    def stream(
        self, count: int, *, seed: int = 0, label: str | int | None = None, truncation: float = 1.0
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The samples of ``sample``, and their labels, in pieces, so that any number fits in memory.

        Raises:
            ConfigError: ``count`` is not positive, or the label or truncation is impossible.
        """
        if count < 1:
            raise ConfigError("cannot draw this many samples", expected="a count of at least 1", got=count)
        chosen = None if label is None else self.label(label)
        size = max(1, min(4096, _CHUNK_VALUES // prod(self.shape)))
        for start in range(0, count, size):
            numbers = torch.arange(start, min(start + size, count))
            latents = self.latents(len(numbers), seed, start=start, truncation=truncation)
            labels = None
            if self.class_names:
                labels = numbers % len(self.class_names) if chosen is None else torch.full_like(numbers, chosen)
            yield self.decode(latents, labels), labels

    def interpolate(
        self, first: int, last: int, steps: int, *, space: str = "spherical", label: str | int | None = None
    ) -> Tensor:
        """``steps`` samples on the way from the first latent of seed ``first`` to that of seed ``last``, ends included.

        Args:
            space: ``linear``, or ``spherical`` (Shoemake 1985), which keeps to the radius where a normal
                distribution has its mass.
            label: the class of all steps, for a conditional generator; its first class if not given.

        Raises:
            ConfigError: fewer than two steps, an unknown space or an impossible label.
        """
        if steps < 2:
            raise ConfigError("an interpolation has two ends", expected="at least 2 steps", got=steps)
        share = torch.linspace(0, 1, steps)[:, None]
        start, end = self.latents(1, first), self.latents(1, last)
        match space:
            case "linear":
                path = torch.lerp(start, end, share)
            case "spherical":
                path = slerp(start, end, share)
            case _:
                raise ConfigError("unknown space", expected="linear or spherical", got=space)
        labels = None
        if label is not None or self.class_names:
            labels = torch.full((steps,), self.label(0 if label is None else label))
        return self.decode(path, labels)


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation; ``start`` and ``end`` (1, n), ``share`` (steps, 1) in [0, 1] → (steps, n)."""
    cosine = nn.functional.cosine_similarity(start, end).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if angle.item() < 1e-3 or angle.item() > torch.pi - 1e-3:  # the arc is a straight line, or not defined
        return torch.lerp(start, end, share)
    return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / torch.sin(angle)


def load(path: str | Path, *, device: str = "cpu", network: nn.Module | None = None) -> Generator:
    """The trained generator in a run folder or a generator file.

    Args:
        path: a run folder, or a ``.safetensors`` file that saddle wrote.
        device: where it is to run.
        network: for a generator that is the user's own module, one built as for training.

    Raises:
        CheckpointError: there is none, it is damaged or foreign, or ``network`` does not fit.
        ConfigError: it needs ``network`` and got none.
    """
    path = Path(path)
    if path.is_dir():
        run = RunFolder(path)
        if not run.exists():
            raise CheckpointError(f"{path} holds no run", expected="a folder that saddle train made")
        if not run.generator.is_file():
            raise CheckpointError(
                f"the run in {path} has no generator yet", remedy="train on until its first checkpoint"
            )
        path = run.generator
    weights, scaling, header = load_generator(path)
    if network is None or not isinstance(header.network, CustomNetworkConfig):
        config = GeneratorConfig(network=header.network, condition=header.condition)
        network = build_generator(config, header.latent, header.shape, len(header.class_names))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights in {path} do not fit the network", got=error) from None
    return Generator(network, scaling, header, find_device(device))
