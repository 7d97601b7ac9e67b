"""A new run from a checkpoint of another one: it goes on from there by itself, with other settings if wanted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from saddle.base.files import write_text
from saddle.base.tensors import load_tensors
from saddle.config import Config, load_config
from saddle.config.editing import edited
from saddle.config.keys import identity_of
from saddle.errors import CheckpointError, DamagedFile, RunError
from saddle.runs.edits import Edit, config_after, in_force, read_edits, write_edits
from saddle.runs.folder import RunFolder
from saddle.runs.reading import unsaid
from saddle.runs.status import command_into, read_status
from saddle.trained.files import ClassifierHeader, GeneratorHeader, NetworkHeader, load_network, save_network
from saddle.training.checkpoint import check_header
from saddle.training.players import below


def fork_at(run: RunFolder, out: RunFolder, at: int | None = None, settings: Mapping[str, Any] | None = None) -> int:
    """Make a run folder that stands at a checkpoint of ``run``, with its log, scores and grids up to there.

    Its config is the one that ``run`` began with, so what makes it another run are its edits: those of ``run`` up to
    the checkpoint, and ``settings``.

    Args:
        run: a single run; it may be in training.
        out: a folder that is new or empty.
        at: images seen; the newest checkpoint at or before this is taken, None: the newest.
        settings: what changes there, as of an edit.

    Returns:
        The images seen at the checkpoint.

    Raises:
        RunError: there is no such checkpoint, it is a population, or ``out`` is in use.
        ConfigError: the settings may not change, or are not valid.
        CheckpointError: the checkpoint is damaged.
    """
    config = load_config(run.config)
    if config.members > 1:
        raise RunError(
            f"{run.path} is a population", remedy="--member NUMBER takes a member out, and that can be forked"
        )
    known = [(position, path) for position, path in run.all_checkpoints() if at is None or position <= at]
    if not known:
        have = ", ".join(f"{position:,}" for position, _ in run.all_checkpoints())
        raise RunError(
            f"{run.path} has no checkpoint" + ("" if at is None else f" at or before {at:,} images"),
            expected=f"at least one of those that are there: {have}" if have else None,
            remedy=None if have else "train it until its first checkpoint",
        )
    position, source = known[-1]
    edits = [edit for edit in in_force(read_edits(run.edits)) if edit.images <= position]
    holds = config_after(config, edits)
    if settings:
        edits.append(Edit(position, edited(holds, settings, read_status(run, config).total)[1]))
    with new_run(out) as made:
        made.checkpoints.mkdir()
        made.samples.mkdir()
        kept = made.checkpoint(position)
        try:
            shutil.copyfile(source, kept)
        except FileNotFoundError:
            raise RunError(f"{source} was replaced by a newer one just now", remedy="run the command again") from None
        tensors = _read(kept, source, config, position)
        for file in (run.config, run.data_preview, run.log, run.scores, *(path for _, path in run.sample_grids())):
            if file.is_file() and not file.is_symlink():
                shutil.copyfile(file, made.path / file.relative_to(run.path))
        made.rewind(position, unsaid)
        write_environment(run, made, out.path)
        if edits:
            write_edits(made.edits, edits)
        for file, kind in ((made.generator, GeneratorHeader), (made.classifier, ClassifierHeader)):
            _remake(run.path / file.name, file, kind, tensors, position)
        write_parent(made, run, position, kept)
    return position


@contextmanager
def new_run(out: RunFolder) -> Generator[RunFolder]:
    """A folder to make a run in, which becomes ``out`` if the body succeeds, and vanishes if it does not.

    Raises:
        RunError: ``out`` is in use, or cannot hold a run.
    """
    if out.path.exists() and (not out.path.is_dir() or any(out.path.iterdir())):
        raise RunError(f"{out.path} is not empty", expected="a new or empty folder", remedy="give another --out")
    out.check()
    out.path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.path.name}.", dir=out.path.parent) as folder:
        made = RunFolder(Path(folder) / "run")
        made.path.mkdir()
        yield made
        if out.path.is_dir():
            out.path.rmdir()
        made.path.replace(out.path)


def write_parent(
    made: RunFolder, run: RunFolder, images_seen: int, checkpoint: Path, member: int | None = None
) -> None:
    """Write down where a forked run comes from: the folder, the position, and the SHA-256 of the checkpoint."""
    with checkpoint.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    entry = {"run": str(run.path.resolve()), "images": images_seen, "checkpoint": digest}
    write_text(made.parent, json.dumps(entry | ({} if member is None else {"member": member})) + "\n")


def write_environment(run: RunFolder, made: RunFolder, out: Path) -> None:
    """Copy where ``run`` was trained; the command is that which trains in ``out``."""
    known = run.read_environment()
    if "command" in known:
        known["command"] = command_into(out, known["command"])
    if known:
        write_text(made.environment, json.dumps(known, indent=2) + "\n")


def _read(kept: Path, source: Path, config: Config, position: int) -> dict[str, Tensor]:
    """The tensors of a copied checkpoint, which is checked."""
    try:
        tensors, header = load_tensors(kept)
    except DamagedFile as error:
        raise CheckpointError(f"{source} is damaged", got=error.got, remedy="give an earlier --at") from None
    check_header(source, header, identity_of(config), position)
    return tensors


def _remake(source: Path, file: Path, kind: type[NetworkHeader], tensors: Mapping[str, Tensor], position: int) -> None:
    """Write a file that one shares as it was at the checkpoint, where there is a later one to tell what it is."""
    try:
        later, scaling, header = load_network(source, kind)
    except CheckpointError:
        return  # it is written with the next checkpoint
    player = "generator" if kind is GeneratorHeader else "discriminator"
    averaged = "averaged" if kind is GeneratorHeader else "averaged_discriminator"
    weights = below(f"{averaged}.", tensors) or below(f"{player}.network.", tensors)
    if {name: tensor.shape for name, tensor in weights.items()} == {
        name: tensor.shape for name, tensor in later.items()
    }:
        save_network(file, weights, scaling, header.model_copy(update={"images_seen": position}))
