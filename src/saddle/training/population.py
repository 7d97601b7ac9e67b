"""What a population writes down: for each member what a run of its own would, and for the whole one checkpoint."""

from __future__ import annotations

import math
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from saddle.base.files import write_text
from saddle.base.progress import Progress, Silent
from saddle.base.tensors import load_tensors, save_tensors
from saddle.config import Config, load_config, to_toml
from saddle.config.keys import identity_of
from saddle.config.members import member_config
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.errors import DamagedFile, Diverged, RunError
from saddle.runs.edits import config_after, in_force, read_edits, write_edits
from saddle.runs.folder import RunFolder
from saddle.runs.reading import unsaid
from saddle.scoring.look import Real
from saddle.trained.files import NetworkHeader
from saddle.training.alarm import Alarm
from saddle.training.best import Best
from saddle.training.checkpoint import Checkpoints, check_header, header_of
from saddle.training.fork import new_run, write_environment, write_parent
from saddle.training.gan import GAN
from saddle.training.health import check_figures, check_weights
from saddle.training.record import Record
from saddle.training.scorer import Scorer

_PENALTIES = {"r1", "r2", "gradient_penalty"}  # figures that bear the names of their settings
_SHOWN, _SIDE, _GAP = 16, 320, 8  # members in the picture of the whole; the larger side of each, and between, in pixels


class Members:
    """The members of a population, and which of them have diverged: those are left out while the others go on.

    Args:
        config: of the population.
        run: its folder.
        learner: all of them.
        progress: is told of those that diverge.
    """

    def __init__(self, config: Config, run: RunFolder, learner: GAN, progress: Progress) -> None:
        self.configs = [member_config(config, number) for number in range(config.members)]
        self.folders = [run.member(number) for number in range(config.members)]
        self.learners = [learner.member(number) for number in range(config.members)]
        self.learner = learner
        self.lost: list[int] = []
        self._progress = progress

    @property
    def living(self) -> list[int]:
        """The numbers of those that have not diverged."""
        return [number for number in range(len(self.folders)) if number not in self.lost]

    def complete_folders(self) -> None:
        """Make what is missing in the members' folders."""
        for config, folder in zip(self.configs, self.folders, strict=True):
            folder.samples.mkdir(parents=True, exist_ok=True)
            text = to_toml(config)
            if not folder.exists() or folder.config.read_text(encoding="utf-8") != text:
                write_text(folder.config, text)

    @contextmanager
    def watching(self, number: int) -> Generator[None]:
        """A member that diverges in the body is told of, and left out from now on.

        Raises:
            Diverged: it was the last one.
        """
        try:
            yield
        except Diverged as error:
            self.lose(number, error)

    def lose(self, number: int, error: Diverged) -> None:
        """A member has diverged; as ``watching``."""
        self.lost.append(number)
        write_text(self.folders[number].diverged, f"{error.what}\n")
        self.learner.forget(number)
        if not self.living:
            raise Diverged(
                f"all {len(self.folders)} members have diverged; of the last: {error.what}", remedy=error.remedy
            )
        self._progress.say(f"member {number} has diverged and is left out; {len(self.living)} go on. {error.what}")


class PopulationRecord(Record):
    """Writes down what each member does, and of the whole the means over its members.

    Args:
        config, run, store, learner, scaling, progress: as of ``Record``, for the population.
        members: of it.
        scorer: is told what looks at members give.
        real: what their samples are looked at beside, or None.
    """

    def __init__(
        self,
        config: Config,
        run: RunFolder,
        store: Store,
        scaling: Scaling,
        progress: Progress,
        members: Members,
        scorer: PopulationScorer,
        real: Real | None = None,
    ) -> None:
        super().__init__(config, run, store, members.learner, scaling, progress)
        self._members = members
        total = config.total_images(len(store))

        def alarm_of(number: int) -> Alarm:
            return Alarm(members.folders[number], total, lambda text: progress.say(f"member {number}, {text}"))

        self._each = [
            Record(own, folder, store, learner, scaling, Silent(), sight, real, each.note, alarm_of(number))
            for number, (own, folder, learner, sight, each) in enumerate(
                zip(
                    members.configs, members.folders, members.learners, members.learner.sights, scorer.each, strict=True
                )
            )
        ]

    def begin(self, images_seen: int, total: int) -> None:
        super().begin(images_seen, total)
        for number, record in enumerate(self._each):
            record.begin(images_seen, total)
            if number not in self._members.lost:
                self._members.folders[number].diverged.unlink(missing_ok=True)

    def write(self, images_seen: int, *, look: bool = False) -> dict[str, float]:
        if self._sums is None:
            return {}
        means = (self._sums / self._rounds).T.tolist()
        lines: list[dict[str, float]] = []
        for number in self._members.living:
            record = self._each[number]
            with self._members.watching(number):
                line = record._write(dict(zip(self._names, means[number], strict=True)), images_seen, look=look)
                record._start_line(images_seen)
                check_figures(line, images_seen)
                lines.append(line)
        means_of_all = {name: fmean(line[name] for line in lines) for name in self._names}
        figures = self._write(means_of_all, images_seen, look=False)
        self._start_line(images_seen)
        return figures

    def _moments(self, images_seen: int) -> dict[str, float]:
        return {}  # they are among the members' figures

    def _draw_picture(self, images_seen: int) -> None:
        pictures: list[Image.Image] = []
        for number in self._members.living:
            with self._members.watching(number):
                picture = self._each[number]._picture(images_seen)
                self._each[number]._save_picture(picture, images_seen)
                self._each[number]._draw_sight()
                pictures.append(picture)
        self._save_picture(_montage(pictures[:_SHOWN]), images_seen)

    def state(self) -> dict[str, Tensor]:
        seen = [record._seen for record in self._each]
        if not (known := [one for one in seen if one is not None]):
            return super().state()
        rows = [torch.zeros_like(known[0]) if one is None else one for one in seen]
        return super().state() | {"record.seen": torch.stack(rows)}

    def header(self) -> dict[str, Any]:
        return super().header() | {"lost": self._members.lost}

    def load(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        sums = {name: tensor for name, tensor in tensors.items() if name != "record.seen"}
        super().load(sums, header)
        numbers = range(len(self._each))
        if any(number not in numbers for number in header["lost"]):
            raise ValueError(f"the members {header['lost']!r} have diverged, of {len(self._each)}")
        self._members.lost[:] = header["lost"]
        seen = tensors.get("record.seen")
        for number, record in enumerate(self._each):
            record.load({} if seen is None else {"record.seen": seen[number]}, header)
            record._rounds = self._rounds  # summed by the whole

    def close(self) -> None:
        super().close()
        for record in self._each:
            record.close()


class PopulationScorer(Scorer):
    """Scores each member.

    Args:
        scorer: of the population; it holds the real side.
        members: of it.
    """

    def __init__(self, scorer: Scorer, members: Members) -> None:
        self._settings = scorer._settings
        self._members = members
        self.each = [scorer.of_member(*pair) for pair in zip(members.folders, members.learners, strict=True)]

    def score(self, images_seen: int) -> None:
        for number in self._members.living:
            with self._members.watching(number):
                self.each[number].score(images_seen)

    def state(self) -> dict[str, Tensor]:
        """The best generator of each member; of one that has none yet, what it is now."""
        if all(each.best.at is None for each in self.each):
            return {}
        weights = [each.best.weights or each.best.now() for each in self.each]
        return {f"best.{name}": torch.stack([one[name] for one in weights]) for name in weights[0]}

    def header(self) -> dict[str, Any]:
        return {"members": [each.header() for each in self.each]}

    def load(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        stacked = {name: tensor for name, tensor in tensors.items() if name.startswith("best.")}
        for number, (each, own) in enumerate(zip(self.each, header["members"], strict=True)):
            each.load(
                {name: tensor[number] for name, tensor in stacked.items()} if own["best"] is not None else {}, own
            )


@dataclass
class PopulationCheckpoints(Checkpoints):
    """One checkpoint of the whole, and for each member the files that one shares."""

    members: Members = field(kw_only=True)

    def _write(self, tensors: Mapping[str, Tensor], images_seen: int) -> None:
        count = len(self.members.folders)
        apart = {
            name: _by_member(name, tensor, count)
            for name, tensor in tensors.items()
            if tensor.dim() and not name.startswith("best.")
        }
        for number in self.members.living:
            with self.members.watching(number):
                check_weights({name: tensor[number] for name, tensor in apart.items()}, images_seen)
        for number in self.members.lost:  # zeros, among which the layers that normalise make no numbers
            for tensor in apart.values():
                tensor[number].zero_()
        super()._write(tensors, images_seen)

    @property
    def _shared(self) -> list[tuple[Path, nn.Module, NetworkHeader]]:
        members = self.members
        shared: list[tuple[Path, nn.Module, NetworkHeader]] = []
        for number in members.living:
            shared.append((members.folders[number].generator, members.learners[number].result, self.header))
            for path, _, kind in self.further:
                shared.append((members.folders[number].path / path.name, members.learner.classifier(number), kind))
        return shared

    @property
    def _bests(self) -> list[tuple[Path, Best]]:
        assert isinstance(self.scorer, PopulationScorer)
        each = zip(self.members.folders, self.scorer.each, strict=True)
        return [(folder.best, scorer.best) for folder, scorer in each]


def _by_member(name: str, tensor: Tensor, count: int) -> Tensor:
    """State of a population with one row for each member: a view."""
    return tensor.view(-1, count).T if name == "record.sums" else tensor


def take_out(run: RunFolder, number: int, out: RunFolder) -> None:
    """Make a run folder of one member of a population: it goes on there as a run of its own.

    It stands at the population's last checkpoint; what the member wrote after that is left out.

    Raises:
        RunError: there is no such member, it has diverged, there is no checkpoint yet, or ``out`` is in use.
        CheckpointError: the checkpoint cannot be read.
    """
    config = load_config(run.config)
    if config.members == 1:
        raise RunError(f"{run.path} is a single run and no population", expected="a run with members > 1")
    if not 0 <= number < config.members:
        raise RunError(f"{run.path} has no member {number}", expected=f"a number from 0 to {config.members - 1}")
    member, own = run.member(number), member_config(config, number)
    images_seen, tensors, header = _newest(run, config)
    if number in header["record"]["lost"]:
        raise RunError(f"member {number} of {run.path} has diverged", got=member.read_diverged())
    rows = {name: _by_member(name, tensor, config.members) for name, tensor in tensors.items()}
    state = {_alone(name): tensor[number] if tensor.dim() else tensor for name, tensor in rows.items()}
    edits = [edit for edit in in_force(read_edits(run.edits)) if edit.images <= images_seen]
    game = config_after(own, [edit for edit in edits if edit.images < images_seen]).game
    scorer, record = header["scorer"]["members"][number], {**header["record"]}
    del record["lost"]
    if scorer["best"] is None:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("best.")}
    if "record.sums" in state:  # of penalties that this member does without, a run of its own has no figures
        without = [name for name in _PENALTIES & {*record["figures"]} if not getattr(game, name)]
        places = [place for place, name in enumerate(record["figures"]) if name not in without]
        record["figures"] = [record["figures"][place] for place in places]
        state["record.sums"] = state["record.sums"].reshape(-1)[places]
    with new_run(out) as made:
        shutil.copytree(member.path, made.path, ignore=_not_of_a_run, dirs_exist_ok=True)
        for later in (made.report, made.alarms):  # they are made anew
            later.unlink(missing_ok=True)
        if run.data_preview.is_file():
            shutil.copy(run.data_preview, made.path)
        write_environment(run, made, out.path)
        made.rewind(images_seen, unsaid)
        write_text(made.config, to_toml(own))
        if edits:
            write_edits(made.edits, edits)
        made.checkpoints.mkdir()
        save_tensors(made.checkpoint(images_seen), state, header_of(identity_of(own), images_seen, record, scorer))
        write_parent(made, run, images_seen, run.checkpoint(images_seen), number)


def _not_of_a_run(folder: str, names: list[str]) -> list[str]:
    """What is not copied: links, which may lead anywhere, pipes and the like, and what is hidden or half-written."""
    paths = {name: Path(folder) / name for name in names}
    return [
        name
        for name, path in paths.items()
        if name.startswith(".") or path.is_symlink() or not (path.is_file() or path.is_dir())
    ]


def _newest(run: RunFolder, config: Config) -> tuple[int, dict[str, Tensor], dict[str, Any]]:
    """The newest checkpoint that is whole: images seen, tensors and header."""
    for images_seen, path in reversed(run.all_checkpoints()):
        with suppress(DamagedFile):
            tensors, header = load_tensors(path)
            check_header(path, header, identity_of(config), images_seen)
            return images_seen, tensors, header
    raise RunError(f"{run.path} has no checkpoint yet", remedy="train it until its first checkpoint")


def _alone(name: str) -> str:
    """The name that a tensor of the population's state has in a run of its own."""
    part, dot, rest = name.partition(".")
    if part in ("averaged", "averaged_discriminator"):
        return part + dot + rest.removeprefix("network.")
    return name.replace(".network.network.", ".network.", 1) if part in ("generator", "discriminator") else name


def _montage(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size side by side on white, made smaller where they are large."""
    for picture in pictures:
        picture.thumbnail((_SIDE, _SIDE))
    columns = math.ceil(math.sqrt(len(pictures)))
    width, height = (side + _GAP for side in pictures[0].size)
    whole = Image.new("RGB", (columns * width - _GAP, math.ceil(len(pictures) / columns) * height - _GAP), "white")
    for place, picture in enumerate(pictures):
        whole.paste(picture.convert("RGB"), (place % columns * width, place // columns * height))
    return whole
