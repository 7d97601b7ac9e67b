"""What ``import saddle`` offers: train, load, and the trained run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from saddle.config import Config, load_recipe, resolve
from saddle.config.schema import DataConfig
from saddle.data import Store, from_object, open_data
from saddle.errors import ConfigError
from saddle.progress import Progress, for_stream
from saddle.runs import RunFolder
from saddle.sampling import Generator, load
from saddle.training.session import Networks, run_session


class Run:
    """A run folder with a trained generator.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path, *, network: nn.Module | None = None) -> None:
        self.folder = RunFolder(Path(path))
        self._network = network

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def log(self) -> list[dict[str, Any]]:
        """One dict for each log interval: images, epoch, losses, d_real, d_fake, seconds, images_per_second."""
        return self.folder.read_log()

    @property
    def generator(self) -> Generator:
        """The averaged generator as last saved."""
        return load(self.path, network=self._network)

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """As ``Generator.sample``: images (count, C, H, W) in [0, 1], or points (count, d)."""
        return self.generator.sample(count, seed=seed)

    def report(self) -> Path:
        """Write ``report.html`` with all pictures inside and return its path."""
        return report(self.path, network=self._network)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def train(
    recipe: str = "digits",
    *,
    data: object = None,
    labels: Tensor | Sequence[int] | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a recipe, or go on with a run that was started by the same call.

    Args:
        recipe: a recipe's name, or the path of a ``.toml`` file.
        data: a data set's name, a path, or the data themselves: a tensor, an array or a map-style dataset.
        labels: class indices for data given as a tensor or array.
        out: the run folder; ``runs/RECIPE`` if not given.
        settings: config keys, nested (``{"game": {"r1": 1.0}}``) or dotted (``{"game.r1": 1.0}``).
        generator: own module, latents (B, latent.size) → samples (B, *shape) in the range of
            ``generator.network.output``.
        discriminator: own module, samples (B, *shape) → logits (B,).
        progress: who is told; by default a bar on a terminal, lines elsewhere.

    Raises:
        SaddleError: see ``saddle.errors``.
    """
    layers: list[Mapping[str, Any]] = [_nested(settings or {})]
    if isinstance(data, str | Path):
        layers.append({"data": {"source": str(data)}})
    layers += _custom("generator", generator, layers[0]) + _custom("discriminator", discriminator, layers[0])
    config = resolve(load_recipe(recipe), *layers)
    progress = progress or for_stream(sys.stderr)
    run = RunFolder(Path(out) if out is not None else default_folder(config))
    store = _store(config.data, data, labels, progress)
    run_session(config, store, run, Networks(generator, discriminator), progress)
    return Run(run.path, network=generator)


def report(path: str | Path, *, network: nn.Module | None = None) -> Path:
    """Write the report of the run in ``path``; see ``Run.report``."""
    from saddle.errors import RunError
    from saddle.show.grid import save_picture, tile
    from saddle.show.report import write_report
    from saddle.training.record import to_pixels

    run = RunFolder(Path(path))
    if not run.exists():
        raise RunError(f"{path} holds no run", expected="a folder that saddle train made")
    if run.generator.is_file():
        trained = load(run.path, network=network)
        if trained.header.kind == "images":
            strips = [trained.interpolate(seed, seed + 1, 10) for seed in range(1, 11, 2)]
            save_picture(tile(to_pixels(_join(strips)), columns=10), run.interpolation)
    return write_report(run)


def default_folder(config: Config) -> Path:
    """Where a run goes that was given no folder."""
    return Path("runs") / config.recipe


def _join(pieces: list[Tensor]) -> Tensor:
    import torch

    return torch.cat(pieces)


def _store(config: DataConfig, data: object, labels: Any, progress: Progress) -> Store:
    if data is None or isinstance(data, str | Path):
        if labels is not None:
            raise ConfigError("labels go with data given as a tensor or array", got=f"data = {data!r}")
        return open_data(config, progress=progress)
    return from_object(data, labels, config=config)


def _custom(role: str, module: nn.Module | None, settings: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if module is None:
        return []
    network: dict[str, Any] = {
        "family": "custom",
        "name": type(module).__qualname__,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
    }
    given = settings.get(role, {}).get("network", {})
    if "output" in given:
        network["output"] = given["output"]
    return [{role: {"network": network}}]


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for key, value in settings.items():
        *parents, last = key.split(".")
        table = tables
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = _nested(value) if isinstance(value, Mapping) else value
    return tables
