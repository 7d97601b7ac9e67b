"""Use a trained generator: load it, sample, walk through its latents, find the latent of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from saddle.base.chance import stream
from saddle.base.machine import find_device
from saddle.base.suggest import suggest
from saddle.config.networks import CustomNetworkConfig
from saddle.config.schema import GeneratorConfig
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError, ConfigError, DataError
from saddle.game.latents import numbered
from saddle.networks.families import build_generator
from saddle.networks.sides import generate
from saddle.runs.folder import RunFolder
from saddle.trained.draw import draw_samples, in_data_units
from saddle.trained.files import GeneratorHeader, fill, load_network
from saddle.trained.inversion import find_latents
from saddle.trained.walks import Place, along

# A class by its name or index.
Label = str | int

class Inversion(NamedTuple):
    """What ``Generator.invert`` found.

    Args:
        latents: (B, latent size).
        labels: (B,) of a conditional generator, else None.
        errors: (B,) mean squared error of the samples, images in [0, 1] and points in their own units.
    """

    latents: Tensor
    labels: Tensor | None
    errors: Tensor


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

    def latent(self, place: Place, count: int = 1) -> Tensor:
        """The latent at a place, a seed or (seed, number), and those that follow it: (count, latent size)."""
        seed, number = (place, 0) if isinstance(place, int) else place
        return self.latents(count, seed, start=number)

    def label(self, name: Label) -> int:
        """The index of a class given by name or by index.

        Raises:
            ConfigError: it takes no labels, or not this one.
        """
        names = self.class_names
        if not names:
            raise self._takes_no_labels()
        if isinstance(name, str) and name in names:
            return names.index(name)
        if str(name).isdecimal() and int(name) < len(names):
            return int(name)
        known = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise ConfigError(
            f"there is no class {name!r}",
            expected=f"an index below {len(names)}, or one of {known}",
            remedy=suggest(str(name), names),
        )

    def labels(self, label: Label | Sequence[Label] | None = None) -> Tensor | None:
        """The indices (k,) of one class or of several; without any, of all; None for an unconditional generator.

        Raises:
            ConfigError: as ``label``, or an empty list.
        """
        if label is None:
            return torch.arange(len(self.class_names)) if self.class_names else None
        chosen = [self.label(name) for name in ([label] if isinstance(label, str | int | np.integer) else label)]
        if not chosen:
            raise ConfigError("no class is given", expected="at least one")
        return torch.tensor(chosen)

    def class_list(self, text: str) -> list[int]:
        """The classes that a text names: ``0,3,cat``, or ``balanced`` for all of them.

        Raises:
            ConfigError: as ``label``.
        """
        if text == "balanced" and self.class_names:
            return list(range(len(self.class_names)))
        return [self.label(name.strip()) for name in text.split(",")]

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples for ``latents`` (B, latent size): images (B, C, H, W) in [0, 1], or points (B, d), on the CPU.

        Args:
            labels: for a conditional generator: class indices (B,), or mixtures, the share of each class (B, classes).

        Raises:
            ConfigError: shapes or labels that do not fit, or a mixture for a module of the user's own, which takes
                indices.
            NotFinite: a value of a sample is NaN or infinite.
        """
        latents, labels = self._fitting(latents, labels)
        if labels is not None and labels.is_floating_point() and isinstance(self.header.network, CustomNetworkConfig):
            raise ConfigError(
                f"{self.header.network.name} is a module of the user's own, which takes classes and no mixtures",
                remedy="stay in one class",
            )
        return in_data_units(self._make(latents, labels), self._scaling)

    def _make(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        labels = None if labels is None else labels.to(self._device)
        return generate(self.network, latents.to(self._device), labels)

    def sample(
        self, count: int, *, seed: int = 0, label: Label | Sequence[Label] | None = None, truncation: float = 1.0
    ) -> Tensor:
        """``count`` samples: images (count, C, H, W) float in [0, 1], or points (count, d).

        Args:
            label: one class, by name or index, or several, which take turns. Without it a conditional generator goes
                through all its classes in turn.
            truncation: see ``latents``.

        Raises:
            ConfigError: ``count`` is not positive, or the label or truncation is impossible.
        """
        pieces = self.stream(count, seed=seed, label=label, truncation=truncation)
        return torch.cat([samples for samples, _ in pieces])

    def stream(
        self, count: int, *, seed: int = 0, label: Label | Sequence[Label] | None = None, truncation: float = 1.0
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The samples of ``sample``, and their labels, in pieces, so that any number fits in memory."""
        if count < 1:
            raise ConfigError("cannot draw this many samples", expected="a count of at least 1", got=count)
        classes = self.labels(label)

        def labels_of(start: int, size: int) -> Tensor | None:
            return None if classes is None else classes[torch.arange(start, start + size) % len(classes)]

        def make(start: int, size: int) -> Tensor:
            latents = self.latents(size, seed, start=start, truncation=truncation)
            return self._make(latents, labels_of(start, size))

        start = 0
        for samples in draw_samples(make, count, self.shape, self._scaling):
            yield samples, labels_of(start, len(samples))
            start += len(samples)

    def class_grid(
        self,
        columns: int = 8,
        *,
        seed: int = 0,
        label: Label | Sequence[Label] | None = None,
        truncation: float = 1.0,
    ) -> Tensor:
        """The same ``columns`` latents in each class: (classes, columns, *shape).

        Args:
            label: the classes; all if not given.

        Raises:
            ConfigError: as ``sample``, or the generator takes no labels.
        """
        classes = self.labels(label)
        if classes is None:
            raise self._takes_no_labels()
        latents = self.latents(columns, seed, truncation=truncation)
        return torch.stack([self.decode(latents, one.expand(columns)) for one in classes])

    def interpolate(
        self,
        first: Place,
        last: Place | None,
        steps: int,
        *,
        space: str | None = None,
        label: Label | None = None,
        last_label: Label | None = None,
    ) -> Tensor:
        """``steps`` samples on the way from one latent to another, ends included.

        Args:
            first, last: a seed, which means its first latent, or (seed, number). Without ``last``, z stays.
            space: ``linear``, ``spherical`` or None; see ``saddle.trained.walks.along``.
            label: the class of all steps, for a conditional generator; its first class if not given.
            last_label: the class at the end. The labels' vectors are mixed linearly on the way.

        Raises:
            ConfigError: fewer than two steps, an unknown space or an impossible label.
        """
        if steps < 2:
            raise ConfigError("an interpolation has two ends", expected="at least 2 steps", got=steps)
        share = torch.linspace(0, 1, steps)[:, None]
        start = self.latent(first)
        path = along(start, start if last is None else self.latent(last), share, space, self.header.latent)
        labels = None
        if label is not None or last_label is not None or self.class_names:
            first_label = self.label(0 if label is None else label)
            labels = torch.full((steps,), first_label)
            if last_label is not None:
                begin, end = one_hot(torch.tensor([first_label, self.label(last_label)]), len(self.class_names)).float()
                labels = torch.lerp(begin, end, share)
        return self.decode(path, labels)

    def walk(
        self,
        places: Sequence[Place],
        steps: int,
        *,
        count: int = 1,
        space: str | None = None,
        label: Label | Sequence[Label] | None = None,
    ) -> Iterator[Tensor]:
        """A closed walk from place to place and back to the first: ``steps`` frames a leg, each (count, *shape).

        Args:
            places: at least two, as in ``interpolate``.
            count: walkers side by side: from each place on, so many latents that follow it.
            space: as in ``interpolate``.
            label: the walkers' class; of several, or without any of all, the walkers take turns.

        Raises:
            ConfigError: fewer than two places, no steps or walkers, an unknown space or an impossible label.
        """
        if len(places) < 2:
            raise ConfigError("a walk leads from place to place", expected="at least 2 seeds", got=len(places))
        if steps < 1 or count < 1:
            raise ConfigError(
                "there is nothing to walk", expected="steps and walkers of at least 1", got=(steps, count)
            )
        classes = self.labels(label)
        labels = None if classes is None else classes[torch.arange(count) % len(classes)]
        stops = [self.latent(place, count) for place in places]
        for start, end in zip(stops, [*stops[1:], stops[0]], strict=True):
            for share in torch.arange(steps) / steps:
                yield self.decode(along(start, end, share, space, self.header.latent), labels)

    def mean_latent(self, places: Sequence[Place]) -> Tensor:
        """The mean of the latents at ``places``: (1, latent size), to be added and subtracted.

        Latent arithmetic (Radford et al. 2015, section 6.3.2) is ``decode(mean_latent([1, 2, 3]) - ...)``.
        """
        return torch.cat([self.latent(place) for place in places]).mean(0, keepdim=True)

    def invert(
        self,
        samples: Tensor,
        *,
        steps: int = 500,
        restarts: int = 4,
        seed: int = 0,
        label: Label | Sequence[Label] | None = None,
    ) -> Inversion:
        """Latents whose samples come as near as possible to given ones; see ``saddle.trained.inversion``.

        Args:
            samples: images (B, C, H, W) in [0, 1], or points (B, d).
            steps: of each search.
            restarts: searches for each sample, from different starts; the best one counts.
            seed: decides the starts.
            label: the class. Without it, or with several, a conditional generator's searches take the classes in
                turn, each at least once, so that the class is found too.

        Raises:
            DataError: ``samples`` have another shape than the generator's.
            ConfigError: no steps or restarts, or an impossible label.
        """
        if tuple(samples.shape[1:]) != self.shape:
            raise DataError("these samples have another shape", expected=("B", *self.shape), got=tuple(samples.shape))
        if steps < 1 or restarts < 1:
            raise ConfigError("nothing to search", expected="at least 1 step and 1 restart", got=(steps, restarts))
        classes = self.labels(label)
        restarts = max(restarts, 0 if classes is None else len(classes))
        turns = None if classes is None else classes[torch.arange(restarts) % len(classes)]
        values = samples.to(self._device) * (255 if self.header.kind == "images" else 1)
        latents, winners = find_latents(
            self.network,
            self._scaling.forward(values),
            None if turns is None else turns.to(self._device),
            self.header.latent,
            steps=steps,
            restarts=restarts,
            chance=torch.Generator().manual_seed(stream(seed, "inversion")),
        )
        labels = None if turns is None else turns[winners.cpu()]
        errors = (self.decode(latents, labels) - samples).square().flatten(1).mean(1)
        return Inversion(latents.cpu(), labels, errors)

    def _fitting(self, latents: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Both as the network takes them: float32, and int64 or float32."""
        size, classes = self.header.latent.size, len(self.class_names)
        if latents.ndim != 2 or latents.shape[1] != size:
            raise ConfigError("these are no latents", expected=f"shape (B, {size})", got=tuple(latents.shape))
        if labels is None:
            if classes:
                raise ConfigError("this generator needs labels", expected=f"one of {classes} classes for each latent")
            return latents.float(), None
        if not classes:
            raise self._takes_no_labels()
        mixture = labels.is_floating_point()
        if labels.shape != ((len(latents), classes) if mixture else (len(latents),)):
            raise ConfigError(
                "labels do not fit the latents", expected=f"shape ({len(latents)},), or for mixtures another {classes}",
                got=tuple(labels.shape),
            )  # fmt: skip
        if not mixture and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ConfigError(
                "there is no such class", expected=f"from 0 to {classes - 1}",
                got=f"{int(labels.min())} to {int(labels.max())}",
            )  # fmt: skip
        return latents.float(), labels.float() if mixture else labels.long()

    def _takes_no_labels(self) -> ConfigError:
        return ConfigError(
            f"the generator of recipe {self.header.recipe!r} takes no labels", remedy="ask without a label"
        )


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
    weights, scaling, header = load_network(path, GeneratorHeader)
    if network is None or not isinstance(header.network, CustomNetworkConfig):
        config = GeneratorConfig(network=header.network, condition=header.condition)
        network = build_generator(config, header.latent, header.shape, len(header.class_names))
    fill(network, weights, path)
    return Generator(network, scaling, header, find_device(device))
