"""A trained generator: load it, sample, walk through its latents, find the latent of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Literal, overload

import torch
from PIL import Image
from torch import Tensor, nn

from saddle.base.chance import stream
from saddle.base.machine import find_device
from saddle.base.sizes import check_memory
from saddle.config.networks import CustomNetworkConfig
from saddle.data.scaling import Scaling, to_pixels
from saddle.errors import ConfigError
from saddle.game.latents import numbered
from saddle.networks.mlp import drops_by_z
from saddle.networks.sides import generate
from saddle.show.grid import to_pictures
from saddle.trained.draw import draw_samples, in_data_units
from saddle.trained.files import GeneratorHeader, save_network
from saddle.trained.inputs import check_inputs, check_latents_alone
from saddle.trained.inversion import Inversion, check_search, find_latents
from saddle.trained.labels import Label, Labels, check_labels, find_class, find_classes, takes_no_labels
from saddle.trained.likelihood import check_smooth
from saddle.trained.opening import open_generator
from saddle.trained.walks import Place, along, way_between

_FEW = 2**20  # numbers, which fit anywhere


class Generator:
    """A trained generator: called with latents, it makes samples.

    Args:
        network: latents (B, latent width), and labels (B,) if it is conditional → samples in its own range.
        scaling: from that range to images in [0, 1] or to points.
        header: what it is and what it was trained on.
        device: where it runs.
    """

    def __init__(self, network: nn.Module, scaling: Scaling, header: GeneratorHeader, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.header = header
        self._scaling = scaling.to(device)
        self._device = device

    @property
    def device(self) -> torch.device:
        """Where it runs. What it gives back is always on the CPU."""
        return self._device

    def to(self, device: str | torch.device) -> Generator:
        """Move to a device, by its name or ``auto``, and return itself, as modules of PyTorch do.

        Raises:
            DeviceError: there is no such device on this machine.
        """
        self._device = find_device(str(device))
        self.network.to(self._device)
        self._scaling = self._scaling.to(self._device)
        return self

    def save(self, path: str | Path) -> None:
        """Write a generator file, as the ``generator.safetensors`` of a run, which ``saddle.load`` reads.

        Raises:
            ConfigError: another suffix than ``.safetensors``.
            CheckpointError: it cannot be written.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise ConfigError(
                f"a generator file cannot be called {path.name}",
                expected="the suffix .safetensors",
                remedy=f"name it {path.stem}.safetensors",
            )
        save_network(path, self.network.state_dict(), self._scaling, self.header)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (C, H, W) or (d,)."""
        return self.header.shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes it takes as labels; empty when it is not conditional."""
        return self.header.class_names

    def latents(self, count: int, seed: int, *, start: int = 0, truncation: float = 1.0) -> Tensor:
        """The latents of ``seed`` from number ``start`` on: (count, latent width), on every machine the same.

        Each is z and, where the generator has codes, 1 for the chosen code and 0 for the others.

        Args:
            truncation: factor in (0, 1] by which latents are moved towards the middle of their distribution. A smaller
                one gives more typical samples with less variety.

        Raises:
            ConfigError: ``truncation`` is out of range, or below 1 where z decides dropout.
        """
        if count * self.header.latent.width > _FEW:  # to ask what is free takes longer than to draw one
            check_memory(4 * count * self.header.latent.width, f"{count:,} latents")
        if not 0 < truncation <= 1:
            raise ConfigError("the truncation is out of range", expected="above 0 and at most 1", got=truncation)
        if truncation < 1 and drops_by_z(self.network):
            raise ConfigError(
                "this generator's dropout is decided by z, and truncation would drop another share of the units",
                expected=1,
                got=truncation,
                remedy="leave the truncation out",
            )
        latent = self.header.latent
        latents = numbered(latent, seed, start, count)
        middle = (latent.low + latent.high) / 2 if latent.distribution == "uniform" else 0.0
        if truncation < 1:
            latents[:, : latent.size].sub_(middle).mul_(truncation).add_(middle)  # a code has no middle
        return latents

    def latent(self, place: Place, count: int = 1) -> Tensor:
        """The latent at a place, a seed or (seed, number), and those that follow it: (count, latent width)."""
        seed, number = (place, 0) if isinstance(place, int) else place
        return self.latents(count, seed, start=number)

    def label(self, name: Label) -> int:
        """The index of a class given by name or by index.

        Raises:
            ConfigError: it takes no labels, or not this one.
        """
        return find_class(name, self.class_names)

    def labels(self, label: Labels = None) -> Tensor | None:
        """The indices (k,) of one class or of several; without any, of all; None for an unconditional generator.

        Raises:
            ConfigError: as ``label``, or an empty list.
        """
        return find_classes(label, self.class_names)

    def __call__(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples for ``latents`` (B, latent width): images (B, C, H, W) in [0, 1], or points (B, d), on the CPU.

        Args:
            latents: such as ``latents`` and ``latent`` give.
            labels: for a conditional generator: class indices (B,), or mixtures, the share of each class (B, classes).

        Raises:
            ConfigError: shapes or labels that do not fit, or a mixture for a module of your own, which takes indices.
            NotFinite: a value of a sample is NaN or infinite.
        """
        check_latents_alone(self.header)
        size = self.header.latent.width
        if latents.ndim != 2 or latents.shape[1] != size:
            raise ConfigError(
                "these are no latents of this generator", expected=f"shape (B, {size})", got=tuple(latents.shape)
            )
        labels = check_labels(labels, len(latents), len(self.class_names))
        if labels is not None and labels.is_floating_point() and isinstance(self.header.network, CustomNetworkConfig):
            raise ConfigError(
                "this generator is your own module, which takes class indices and cannot mix classes",
                remedy="stay in one class",
            )
        return in_data_units(self._make(latents.float(), labels), self._scaling)

    def _make(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        condition = None if condition is None else condition.to(self._device)
        return generate(self.network, latents.to(self._device), condition)

    def translate(self, images: Tensor, *, seed: int = 0, first: int = 0) -> Tensor:
        """What it makes of images, if it learned from pairs: (B, C, H, W) in [0, 1], one for each of them.

        Args:
            images: (B, channels, H, W) of the size that it makes, uint8 or floats in [0, 1].
            seed: decides the noise of each image, together with its number; ``first``: that of the first one.

        Raises:
            ConfigError: it did not learn from pairs.
            DataError: images of another shape or range.
            TooLarge: so many would not fit in memory.
        """
        inputs = check_inputs(images, self.header)
        check_memory(4 * len(images) * prod(self.shape), f"{len(images):,} images", remedy="take fewer at once")

        def make(start: int, size: int) -> Tensor:
            piece = self._scaling.forward(inputs[start : start + size].to(self._device))
            return self._make(self.latents(size, seed, start=first + start), piece)

        return torch.cat([torch.zeros(0, *self.shape), *draw_samples(make, len(images), self.shape, self._scaling)])

    @overload
    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        label: Labels = None,
        truncation: float = 1.0,
        as_images: Literal[False] = False,
    ) -> Tensor: ...

    @overload
    def sample(
        self, count: int, *, seed: int = 0, label: Labels = None, truncation: float = 1.0, as_images: Literal[True]
    ) -> list[Image.Image]: ...

    def sample(
        self, count: int, *, seed: int = 0, label: Labels = None, truncation: float = 1.0, as_images: bool = False
    ) -> Tensor | list[Image.Image]:
        """``count`` samples: images (count, C, H, W) float in [0, 1], or points (count, d).

        Args:
            count: at least 1.
            seed: decides the latents.
            label: one class, by name or index, or several, which take turns. Without it a conditional generator goes
                through all its classes in turn.
            truncation: see ``latents``.
            as_images: give pictures of the package Pillow instead, one for each sample.

        Raises:
            ConfigError: ``count`` is not positive, the label or truncation is impossible, or pictures are asked for
                and it makes points.
            TooLarge: so many would not fit in memory.
        """
        check_memory(4 * count * prod(self.shape), f"{count:,} samples", remedy="take fewer, or use stream()")
        if as_images and self.header.kind != "images":
            raise ConfigError(
                "this generator makes points, not images", remedy="leave out as_images for a tensor of them"
            )
        pieces = self.stream(count, seed=seed, label=label, truncation=truncation)
        if as_images:
            return [picture for samples, _ in pieces for picture in to_pictures(to_pixels(samples))]
        return torch.cat([samples for samples, _ in pieces])

    def stream(
        self, count: int, *, seed: int = 0, label: Labels = None, truncation: float = 1.0, first: int = 0
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The samples of ``sample`` in pieces with their labels, so that any number fits; ``first``: its number."""
        check_latents_alone(self.header)
        if count < 1:
            raise ConfigError("this number of samples cannot be drawn", expected="a count of at least 1", got=count)
        classes = self.labels(label)
        self.latents(1, seed, truncation=truncation)  # an impossible truncation shows now, not with the first sample

        def labels_of(start: int, size: int) -> Tensor | None:
            return None if classes is None else classes[torch.arange(start, start + size) % len(classes)]

        def make(start: int, size: int) -> Tensor:
            latents = self.latents(size, seed, start=first + start, truncation=truncation)
            return self._make(latents, labels_of(first + start, size))

        def pieces() -> Iterator[tuple[Tensor, Tensor | None]]:
            start = first
            for samples in draw_samples(make, count, self.shape, self._scaling):
                yield samples, labels_of(start, len(samples))
                start += len(samples)

        return pieces()

    def class_grid(self, columns: int = 8, *, seed: int = 0, label: Labels = None, truncation: float = 1.0) -> Tensor:
        """The same ``columns`` latents in each class: (classes, columns, *shape).

        Args:
            label: the classes; all if not given.

        Raises:
            ConfigError: as ``sample``, or the generator takes no labels.
        """
        classes = self.labels(label)
        if classes is None:
            raise takes_no_labels()
        latents = self.latents(columns, seed, truncation=truncation)
        return torch.stack([self(latents, one.expand(columns)) for one in classes])

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
        """``steps`` samples on the way from one latent to another, both ends included.

        Args:
            first, last: a seed, which means its first latent, or (seed, number). Without ``last``, z stays the same.
            steps: at least 2.
            space: ``linear``, ``spherical`` or None; see ``saddle.trained.walks.along``.
            label: the class of all steps, for a conditional generator; its first class if not given.
            last_label: the class at the end. On the way, the vectors of the two labels are mixed linearly.

        Raises:
            ConfigError: fewer than two steps, an unknown space, an impossible label, or a pixelcnn.
        """
        return self(*way_between(self, first, last, steps, space=space, label=label, last_label=last_label))

    def walk(
        self, places: Sequence[Place], steps: int, *, count: int = 1, space: str | None = None, label: Labels = None
    ) -> Iterator[Tensor]:
        """A walk through several latents and back to the first one: its frames, each (count, *shape).

        Args:
            places: at least two latents, each as in ``interpolate``.
            steps: frames from one latent to the next.
            count: samples in each frame. They walk side by side: at a place (seed, number), these are the latents of
                that seed from that number on.
            space: as in ``interpolate``.
            label: the class of all samples; several classes, or without any all of them, take turns.

        Raises:
            ConfigError: too few places, steps or samples, an unknown space, an impossible label, or a pixelcnn.
        """
        check_smooth(self.network)
        if len(places) < 2:
            raise ConfigError("a walk passes at least two latents", expected="2 seeds or more", got=len(places))
        if steps < 1 or count < 1:
            raise ConfigError(
                "this walk would have no frames or no samples",
                expected="at least 1 step and 1 sample",
                got=f"{steps} steps, {count} samples",
            )
        classes = self.labels(label)
        labels = None if classes is None else classes[torch.arange(count) % len(classes)]
        stops = [self.latent(place, count) for place in places]
        for start, end in zip(stops, [*stops[1:], stops[0]], strict=True):
            for share in torch.arange(steps) / steps:
                yield self(along(start, end, share, space, self.header.latent), labels)

    def mean_latent(self, places: Sequence[Place]) -> Tensor:
        """The mean of the latents at ``places``: (1, latent width), to be added and subtracted.

        Latent arithmetic (Radford et al. 2015, section 6.3.2) is ``generator(generator.mean_latent([1, 2, 3]) - ...)``.
        """
        check_smooth(self.network)
        return torch.cat([self.latent(place) for place in places]).mean(0, keepdim=True)

    def invert(
        self, samples: Tensor, *, steps: int = 500, restarts: int = 4, seed: int = 0, label: Labels = None
    ) -> Inversion:
        """Latents whose samples come as near as possible to given ones; see ``saddle.trained.inversion``.

        Args:
            samples: images (B, C, H, W) in [0, 1], or points (B, d).
            steps: of each search.
            restarts: searches for each sample, from different starts; the best one counts.
            seed: decides the starts.
            label: the class. Without it, or with several, the searches of a conditional generator take the classes in
                turn, each at least once, so that the class is found too.

        Raises:
            DataError: ``samples`` have another shape than the generator's.
            ConfigError: no steps or restarts, an impossible label, or a pixelcnn.
        """
        check_smooth(self.network)
        check_latents_alone(self.header)
        check_search(samples, self.shape, steps, restarts)
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
        errors = (self(latents, labels) - samples).square().flatten(1).mean(1)
        return Inversion(latents.cpu(), labels, errors)


def load(path: str | Path, *, device: str = "auto", generator: nn.Module | None = None) -> Generator:
    """The trained generator in a run folder or a generator file.

    Args:
        path: a run folder, or a ``.safetensors`` file that saddle wrote.
        device: cpu, cuda, mps, or auto for the best that is there.
        generator: for a generator that is your own module, one built as for training.

    Raises:
        CheckpointError: there is none, it is damaged or foreign, or ``generator`` does not fit.
        ConfigError: it needs ``generator`` and got none, or got one that it does not need.
        DeviceError: there is no such device on this machine.
    """
    network, scaling, header = open_generator(Path(path), generator)
    return Generator(network, scaling, header, find_device(device))
