"""What ``import saddle`` offers: train, report, and the trained run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from saddle.base import processes
from saddle.base.progress import Progress, Silent, for_stream
from saddle.config import Config, load_config, load_recipe, resolve
from saddle.config.resolve import merge_settings, nest
from saddle.config.schema import DataConfig
from saddle.data import Store, from_object, open_data
from saddle.data.scaling import to_pixels
from saddle.errors import CheckpointError, ConfigError, RunError
from saddle.health.course import Health, read_health
from saddle.pages.comparison import Comparison, write_comparison
from saddle.pages.comparison import compare as read_comparison
from saddle.pages.report import write_report
from saddle.runs.control import Do, ask, wait_for
from saddle.runs.edits import read_edits
from saddle.runs.folder import RunFolder, find_member
from saddle.runs.scores import Evaluation
from saddle.runs.status import Status, read_status
from saddle.scoring.evaluate import evaluate
from saddle.show.grid import save_picture, tile
from saddle.trained.generator import Generator, load
from saddle.trained.likelihood import why_not_smooth
from saddle.training.assemble import Networks
from saddle.training.fork import fork_at
from saddle.training.population import take_out
from saddle.training.scorer import GoOn
from saddle.training.session import run_session


class Run:
    """A run folder with a trained generator.

    Args:
        path: the folder.
        generator: for a generator that is the user's own module, one built as for training.

    Raises:
        RunError: there is no run.
    """

    def __init__(self, path: str | Path, *, generator: nn.Module | None = None) -> None:
        self.folder = RunFolder(Path(path))
        self.network = generator
        if not self.folder.exists():
            raise RunError(f"{path} holds no run", expected="a folder that saddle train made")

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def config(self) -> Config:
        """Every setting that the run began with, those among them that ``auto`` chose; ``edits`` come on top."""
        return load_config(self.folder.config)

    @property
    def status(self) -> Status:
        """Whether it is being trained, how far it is, and when it last wrote something."""
        return read_status(self.folder, self.config)

    @property
    def log(self) -> list[dict[str, Any]]:
        """One dict for each log interval: images, epoch, losses, d_real, d_fake, seconds, images_per_second."""
        return self.folder.read_log()

    @property
    def health(self) -> Health:
        """What the looks at samples in the log say: the verdict now, and those told before.

        Raises:
            RunError: the log holds no look.
        """
        return read_health(self.folder)

    @property
    def scores(self) -> list[dict[str, Any]]:
        """One dict for each score taken during training: images, epoch, the figures, and whether it was the best."""
        return self.folder.read_scores()

    @property
    def generator(self) -> Generator:
        """The averaged generator as last saved."""
        return load(self.path, generator=self.network)

    def member(self, number: int) -> Run:
        """One member of a population, by its number from 0: what it wrote, and its generator.

        Raises:
            RunError: there is none.
        """
        return Run(find_member(self.path, number))

    def sample(self, count: int, **options: Any) -> Any:
        """As ``Generator.sample``: images (count, C, H, W) in [0, 1], or points (count, d)."""
        return self.generator.sample(count, **options)

    def interpolate(self, first: int, last: int | None, steps: int, **options: Any) -> Tensor:
        """As ``Generator.interpolate``: ``steps`` samples on the way from one latent to another."""
        return self.generator.interpolate(first, last, steps, **options)

    def walk(self, places: Sequence[int], steps: int, **options: Any) -> Iterator[Tensor]:
        """As ``Generator.walk``: the frames of a closed walk through latent space."""
        return self.generator.walk(places, steps, **options)

    def evaluate(self, **options: Any) -> Evaluation:
        """As ``saddle.evaluate``; the scores are kept in the run folder."""
        return evaluate(self, **options)

    @property
    def edits(self) -> list[dict[str, Any]]:
        """The changes of settings while the run was trained: images seen, what was set, and from where it went back."""
        return [edit.as_entry() for edit in read_edits(self.folder.edits)]

    def pause(self) -> bool:
        """Let a run that another process trains save a checkpoint and wait.

        This and the following methods wait up to ten seconds until it is done, and return whether it is; if not, it is
        done when the run comes to it, between two rounds.

        Raises:
            RunError: nobody trains the run.
            SaddleError: the folder may not be written to.
        """
        return self._ask("pause")

    def resume(self) -> bool:
        """Let a paused run go on; as ``pause``."""
        return self._ask("resume")

    def stop(self) -> bool:
        """Let a run save everything and end; as ``pause``. ``train`` with the same arguments resumes it."""
        return self._ask("stop")

    def save(self) -> bool:
        """Let a run save a checkpoint now; as ``pause``."""
        return self._ask("save")

    def edit(self, settings: Mapping[str, Any]) -> bool:
        """Change settings of a run that another process trains, from its next round on; as ``pause``.

        The change is kept in ``edits.jsonl`` with its position, so that the run stays reproducible.

        Args:
            settings: nested or by dotted key: learning rates, penalties and intervals, among others.

        Raises:
            ConfigError: a setting may not change while a run goes on, or is not valid; nothing has changed.
        """
        return self._ask("edit", settings)

    def _ask(self, do: Do, settings: Mapping[str, Any] | None = None) -> bool:
        return wait_for(ask(self.folder, do, settings))

    def report(self) -> Path:
        """Write ``report.html`` with all pictures inside and return its path."""
        return report(self.path, generator=self.network)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def train(
    recipe: str = "digits",
    *,
    data: object = None,
    labels: Tensor | Sequence[int] | None = None,
    out: str | Path | None = None,
    images: int | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    threads: int | str | None = None,
    settings: Mapping[str, Any] | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    edits: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a recipe, or resume a run that was started by the same call.

    Args:
        recipe: a recipe's name, or the path of a ``.toml`` file.
        data: a data set's name, a path, or the data themselves: a tensor, an array or a map-style dataset.
        labels: class indices for data given as a tensor or array.
        out: the run folder; ``runs/RECIPE`` if not given, with ``-seed-N`` behind it for a seed other than 0.
        images: the length in images that D sees; or ``epochs``: in epochs.
        batch_size: real samples for each turn of D.
        seed: decides everything random.
        device: cpu, cuda, mps or auto.
        threads: CPU threads; auto tries some.
        settings: further config keys, nested (``{"game": {"r1": 1.0}}``) or dotted (``{"game.r1": 1.0}``).
        generator: own module, latents (B, latent.size) → samples (B, *shape) in the range of
            ``generator.network.output``, the recipe's if not set: tanh and linear [-1, 1], sigmoid [0, 1] for images.
            In a conditional game both modules get labels (B,) as a second argument.
        discriminator: own module, samples (B, *shape) → logits (B,).
        edits: the ``edits.jsonl`` of another run, whose changes of settings a new run repeats where they were made.
        progress: who is told; by default a bar on a terminal, lines elsewhere.

    Raises:
        SaddleError: see ``saddle.errors``.
    """
    chosen = load_recipe(recipe)
    layers = [merge_settings(nest(key.split("."), value) for key, value in (settings or {}).items())]
    named = {"images": images, "epochs": epochs, "batch_size": batch_size, "seed": seed, "threads": threads}
    if device != "auto":
        named["device"] = device
    layers.append({key: value for key, value in named.items() if value is not None})
    if isinstance(data, str | Path):
        layers.append({"data": {"source": str(data)}})
        data = None
    elif data is not None:
        layers.append({"data": {"source": type(data).__name__}})
    config = resolve(chosen, *layers)
    if generator is not None:
        layers.append({"generator": {"network": _custom(generator) | {"output": config.generator.network.output}}})
    if discriminator is not None:
        layers.append({"discriminator": {"network": _custom(discriminator)}})
    config = resolve(chosen, *layers)
    networks = Networks(generator, discriminator)
    replayed = None if edits is None else Path(edits)
    run, _ = train_config(
        config, data=data, labels=labels, out=out, networks=networks, progress=progress, edits=replayed
    )
    return run


def train_config(
    config: Config,
    *,
    data: object = None,
    labels: Any = None,
    out: str | Path | None = None,
    networks: Networks | None = None,
    progress: Progress | None = None,
    go_on: GoOn | None = None,
    edits: Path | None = None,
) -> tuple[Run, bool]:
    """As ``train``, from a config that is already resolved; ``data`` may be a store, and for ``go_on`` see the session.

    Returns:
        The run, and whether anything was left to train.
    """
    networks = networks or Networks()
    progress = (progress or for_stream(sys.stderr)) if processes.is_first() else Silent()
    folder = RunFolder(Path(out) if out is not None else default_folder(config))
    folder.check()
    if isinstance(data, Store):
        store = data
    else:
        store = processes.after_first(lambda: open_store(config.data, data, labels, progress))
    trained = run_session(config, store, folder, networks, progress, go_on, edits)
    return Run(folder.path, generator=networks.generator), trained


def default_folder(config: Config) -> Path:
    """Where a run goes that names no folder: trainings that differ only in the seed do not collide."""
    members = f"-members-{config.members}" if config.members > 1 else ""
    return Path("runs") / (config.recipe + members + (f"-seed-{config.seed}" if config.seed else ""))


def fork(
    run: str | Path | Run,
    *,
    out: str | Path,
    member: int | None = None,
    at: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Run:
    """Make a new run from a checkpoint of another one, or of one member of a population, which goes on by itself.

    ``train`` with the same recipe and settings, and with ``out``, resumes it; of a member, with the member's own.

    Args:
        run: a run, which may be in training, or a population.
        out: a new folder.
        member: of a population, whose last checkpoint is taken then: its number, from 0.
        at: images seen: the newest checkpoint at or before this is taken; None: the newest.
        settings: what changes from there on, as of ``Run.edit``.

    Raises:
        RunError: there is no such checkpoint or member, the member has diverged, or ``out`` is in use.
        ConfigError: the settings may not change while a run goes on, or are not valid.
    """
    source, made = RunFolder(run.path if isinstance(run, Run) else Path(run)), RunFolder(Path(out))
    if not source.exists():
        raise RunError(f"{source.path} holds no run", expected="a folder that saddle train made")
    if member is None:
        fork_at(source, made, at, settings)
    elif at is not None or settings:
        raise ConfigError(
            "a member is taken out at the population's last checkpoint, as it is", remedy="fork what was taken out"
        )
    else:
        take_out(source, member, made)
    return Run(out)


def report(path: str | Path, *, generator: nn.Module | None = None) -> Path:
    """Write the report of the run in ``path`` and return the page's path; see ``Run.report``."""
    run = RunFolder(Path(path))
    if not run.exists():
        raise RunError(f"{path} holds no run", expected="a folder that saddle train made")
    own = load_config(run.config).generator.network.family == "custom"
    notes: list[str] = []
    if run.generator.is_file() and (generator is not None or not own):  # a module of the user's own must be given
        try:
            trained = load(run.path, generator=generator)
        except CheckpointError as error:  # the report shows all the same what there is
            notes.append(f"The interpolation is not made anew: {error.what}")
        else:
            smooth = why_not_smooth(trained.network) is None and trained.header.inputs is None
            if trained.header.kind == "images" and smooth:
                save_picture(_strips(trained), run.interpolation)
    return write_report(run, notes)


def _strips(trained: Generator, count: int = 5, steps: int = 10) -> Image:
    """From one latent to the next in equal steps; of a conditional generator, each strip in a class of its own."""
    names = trained.class_names
    rows = [names[strip % len(names)] for strip in range(count)] if names else None
    images = [
        trained.interpolate(2 * strip + 1, 2 * strip + 2, steps, label=None if rows is None else rows[strip])
        for strip in range(count)
    ]
    return tile(to_pixels(torch.cat(images)), columns=steps, rows=rows)


def compare(*runs: str | Path | Run, out: str | Path | None = None) -> Comparison:
    """Hold runs against each other: settings that differ, figures and scores.

    Args:
        runs: two or more, as folders or as what ``train`` returned.
        out: where an HTML page with curves and samples goes; none if not given.

    Raises:
        RunError: fewer than two, one given twice, or a folder without a run.
    """
    found = read_comparison([run.path if isinstance(run, Run) else Path(run) for run in runs])
    if out is not None:
        write_comparison(found, Path(out))
    return found


def open_store(config: DataConfig, data: object, labels: Any, progress: Progress) -> Store:
    """The samples of ``config``, or ``data`` given as an object; tells what must be known about them."""
    if data is not None:
        store = from_object(data, labels, config=config)
    elif labels is not None:
        raise ConfigError("labels go with data given as a tensor or array", got=f"data {config.source!r}")
    else:
        store = open_data(config, progress=progress)
    for notice in store.notices():
        progress.say(notice)
    return store


def _custom(module: nn.Module) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return {"family": "custom", "name": type(module).__qualname__, "parameters": parameters}
