"""All state of a run in one file; the last good one is found again whatever happened to the newest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from saddle.base import processes
from saddle.base.tensors import load_tensors, save_tensors
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError, DamagedFile
from saddle.runs.folder import RunFolder
from saddle.trained.files import GeneratorHeader, NetworkHeader, load_network, save_network
from saddle.training.best import Best
from saddle.training.health import check_weights
from saddle.training.learner import Learner
from saddle.training.record import Record
from saddle.training.scorer import Scorer

_FORMATS = "saddle-checkpoint-"
_FORMAT = f"{_FORMATS}5"


@dataclass
class Checkpoints:
    """Saves and restores the learner, the record and the best score.

    Args:
        run: where.
        identity: of the run, by the settings that decide its result; another run's checkpoints are refused.
        keep: how many of the newest checkpoints stay.
        learner, record, scorer: what is saved; a restored run goes on with exactly these.
        scaling, header: go into the generator file, written beside each checkpoint; the header's position is replaced.
        further: other files that are written beside each checkpoint: where, the network, and its header.
        sound: after how many images the run was sound for the last time: the newest checkpoint up to there stays, too.
            None: it need not.
    """

    run: RunFolder
    identity: str
    keep: int
    learner: Learner
    record: Record
    scorer: Scorer
    scaling: Scaling
    header: GeneratorHeader
    further: Sequence[tuple[Path, nn.Module, NetworkHeader]] = ()
    sound: Callable[[], int | None] = lambda: None
    _saved: float = field(default_factory=time.monotonic, init=False)
    _best_saved: dict[Path, int | None] = field(default_factory=dict[Path, int | None], init=False)

    def save(self, images_seen: int) -> None:
        """Write a checkpoint and the generator file, then drop old checkpoints.

        Raises:
            Diverged: a tensor is not finite; nothing is written.
            CheckpointError: the disk is full or not writable; older files are untouched.
        """
        self.record.agree()
        tensors = self.learner.state() | self.record.state() | self.scorer.state()
        processes.first(lambda: self._write(tensors, images_seen))
        self._saved = time.monotonic()

    def _write(self, tensors: Mapping[str, Tensor], images_seen: int) -> None:
        check_weights(tensors, images_seen)
        header = header_of(self.identity, images_seen, self.record.header(), self.scorer.header())
        header["processes"] = processes.count()
        # The checkpoint comes last: a kill in between is made good by the rounds that are then played again.
        for path, network, kind in self._shared:
            header_now = kind.model_copy(update={"images_seen": images_seen})
            save_network(path, network.state_dict(), self.scaling, header_now)
        self.save_best()
        save_tensors(self.run.checkpoint(images_seen), tensors, header)
        older = self.run.all_checkpoints()[: -self.keep]
        if (sound := self.sound()) is not None:
            last_sound = max((at for at, _ in self.run.all_checkpoints() if at <= sound), default=None)
            older = [(at, path) for at, path in older if at != last_sound]
        for _, path in older:
            path.unlink()
        for path in self.run.checkpoints.glob("*.damaged"):  # put aside by ``restore``; this one takes their place
            path.unlink()

    def save_best(self) -> None:
        """Write the best generator so far, if it is another one than when it was written last.

        Raises:
            CheckpointError: as ``save``.
        """
        for path, best in self._bests:
            if best.at is not None and best.at != self._best_saved.get(path):
                save_network(path, best.weights, self.scaling, self._header_of(best.at))
                self._best_saved[path] = best.at

    @property
    def _bests(self) -> list[tuple[Path, Best]]:
        """Where the best generator is kept."""
        return [(self.run.best, self.scorer.best)]

    def _header_of(self, images_seen: int) -> GeneratorHeader:
        return self.header.model_copy(update={"images_seen": images_seen})

    def regain(self, images_seen: int, say: Callable[[str], None]) -> None:
        """Write the files that one shares anew from the restored state where they are missing, damaged or older."""
        for path, network, kind in self._shared:
            header = kind.model_copy(update={"images_seen": images_seen})
            if not _is_whole(path, header):
                save_network(path, network.state_dict(), self.scaling, header)
                say(f"{path} was missing or damaged, and is made again from the checkpoint")

    def _regain_best(self, say: Callable[[str], None]) -> None:
        """The same for the best generator, which the checkpoint holds."""
        for path, best in self._bests:
            if best.at is not None and not _is_whole(path, header := self._header_of(best.at)):
                save_network(path, best.weights, self.scaling, header)
                say(f"{path} was missing, damaged or newer, and is made again from the checkpoint")
            self._best_saved[path] = best.at

    @property
    def _shared(self) -> list[tuple[Path, nn.Module, NetworkHeader]]:
        return [(self.run.generator, self.learner.result, self.header), *self.further]

    @property
    def age(self) -> float:
        """Seconds since the last checkpoint of this process, or since it began."""
        return time.monotonic() - self._saved

    def restore(self, say: Callable[[str], None]) -> int:
        """Load the newest checkpoint that is whole; damaged ones are named through ``say`` and put aside.

        Of several processes the first one reads it, and the others get its state.

        Returns:
            Images seen by then; 0 when there is none.

        Raises:
            CheckpointError: a checkpoint cannot be read now, or is whole but does not fit this run.
        """
        images_seen = processes.first(lambda: self._restore(say))
        if processes.count() > 1:
            tensors = processes.shared(self.learner.state() | self.record.state())
            header = processes.first(self.record.header)
            if not processes.is_first():
                self.learner.load(tensors)
                self.record.load(tensors, header)
        return images_seen

    def _restore(self, say: Callable[[str], None]) -> int:
        left = self.run.all_checkpoints()
        while left:
            images_seen, path = left.pop()
            try:
                tensors, header = load_tensors(path)
            except DamagedFile as error:
                say(f"{error.what}: {'going on from the one before it' if left else 'none is left, starting anew'}")
                path.replace(path.with_suffix(".damaged"))
                continue
            check_header(path, header, self.identity, images_seen)
            try:
                self.learner.load(tensors)
                self.record.load(tensors, header["record"])
                self.scorer.load(tensors, header["scorer"])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise CheckpointError(
                    f"{path} holds nothing that saddle wrote", got=repr(error), remedy=f"remove {path} and resume"
                ) from None
            self._regain_best(say)
            if (before := header.get("processes", 1)) != processes.count():
                say(
                    f"the number of processes is {processes.count()} instead of {before}: from here on, the bytes may "
                    "differ from those of a run that kept it"
                )
            return images_seen
        return 0


def check_header(path: Path, header: Any, identity: str, images_seen: int) -> None:
    """Raises:
    CheckpointError: this is no checkpoint of that run, after so many images.
    """
    found = str(header.get("format")) if isinstance(header, dict) else "none"
    if found != _FORMAT and found.startswith(_FORMATS):
        raise CheckpointError(
            f"{path} is a checkpoint of another version of saddle", expected=_FORMAT, got=found,
            remedy="train with the version that made it, or start anew with another --out",
        )  # fmt: skip
    if found != _FORMAT:
        raise CheckpointError(
            f"{path} is no checkpoint", expected=_FORMAT, got=found, remedy=f"remove {path} and resume"
        )
    if header.get("run") != identity:
        raise CheckpointError(
            f"{path.name} belongs to another run, with other settings", remedy=f"remove {path} and resume"
        )
    if header.get("images_seen") != images_seen:
        raise CheckpointError(
            f"{path.name} was saved at another position",
            expected=f"{images_seen:,} images seen, as its name says",
            got=header.get("images_seen"),
            remedy=f"remove {path} and resume",
        )


def header_of(identity: str, images_seen: int, record: Mapping[str, Any], scorer: Mapping[str, Any]) -> dict[str, Any]:
    """The header of a checkpoint: whose it is and when it was, and the headers of the record and of the scorer."""
    return {"format": _FORMAT, "run": identity, "images_seen": images_seen, "record": record, "scorer": scorer}


def _is_whole(path: Path, header: NetworkHeader) -> bool:
    """Whether a file that one shares is there with this header."""
    try:
        return load_network(path, type(header))[2] == header
    except CheckpointError:
        return False
