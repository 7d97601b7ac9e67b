"""All state of a run in one file; the last good one is found again whatever happened to the newest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from saddle.base.tensors import load_tensors, save_tensors
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError, DamagedFile
from saddle.runs.folder import RunFolder
from saddle.trained.files import GeneratorHeader, NetworkHeader, save_network
from saddle.training.health import check_weights
from saddle.training.learner import Learner
from saddle.training.record import Record
from saddle.training.scorer import Scorer

_FORMAT = "saddle-checkpoint-2"


@dataclass
class Checkpoints:
    """Saves and restores the learner, the record and the best score.

    Args:
        run: where.
        keep: how many of the newest checkpoints stay, beside the one with the best score.
        learner, record, scorer: what is saved; a restored run goes on with exactly these.
        scaling, header: go into the generator file, written beside each checkpoint; the header's position is replaced.
        further: other files that are written beside each checkpoint: where, the network, and its header.
    """

    run: RunFolder
    keep: int
    learner: Learner
    record: Record
    scorer: Scorer
    scaling: Scaling
    header: GeneratorHeader
    further: Sequence[tuple[Path, nn.Module, NetworkHeader]] = ()
    _saved: float = field(default_factory=time.monotonic, init=False)

    def save(self, images_seen: int) -> None:
        """Write a checkpoint and the generator file, then drop old checkpoints.

        Raises:
            Diverged: a tensor is not finite; nothing is written.
            CheckpointError: the disk is full or not writable; older files are untouched.
        """
        tensors = self.learner.state() | self.record.state()
        check_weights(tensors, images_seen)
        header = {
            "format": _FORMAT,
            "images_seen": images_seen,
            "record": self.record.header(),
            "scorer": self.scorer.header(),
        }
        # The checkpoint comes last: a kill in between is made good by the rounds that are then played again.
        shared = self.header.model_copy(update={"images_seen": images_seen})
        save_network(self.run.generator, self.learner.result, self.scaling, shared)
        if self.scorer.best_at == images_seen:
            save_network(self.run.best, self.learner.result, self.scaling, shared)
        for path, network, header_there in self.further:
            save_network(path, network, self.scaling, header_there.model_copy(update={"images_seen": images_seen}))
        save_tensors(self.run.checkpoint(images_seen), tensors, header)
        self._saved = time.monotonic()
        for position, path in self.run.all_checkpoints()[: -self.keep]:
            if position != self.scorer.best_at:
                path.unlink()

    @property
    def age(self) -> float:
        """Seconds since the last checkpoint of this process, or since it began."""
        return time.monotonic() - self._saved

    def restore(self, say: Callable[[str], None]) -> int:
        """Load the newest checkpoint that is whole; damaged ones are named through ``say`` and put aside.

        Returns:
            Images seen by then; 0 when there is none.

        Raises:
            CheckpointError: a checkpoint cannot be read now, or is whole but does not fit this run.
        """
        left = self.run.all_checkpoints()
        while left:
            images_seen, path = left.pop()
            try:
                tensors, header = load_tensors(path)
            except DamagedFile as error:
                say(f"{error.what}: {'going on from the one before it' if left else 'none is left, starting anew'}")
                path.replace(path.with_suffix(".damaged"))
                continue
            self._check(path.name, header)
            self.learner.load(tensors)
            self.record.load(tensors, header["record"])
            self.scorer.load(header["scorer"])
            return images_seen
        return 0

    def _check(self, name: str, header: dict[str, Any]) -> None:
        if header.get("format") != _FORMAT:
            raise CheckpointError(f"{name} is no checkpoint", expected=_FORMAT, got=header.get("format"))
