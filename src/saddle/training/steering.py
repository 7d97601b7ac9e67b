"""What is asked of a run while it is trained, and the edits that change its settings on the way.

An edit holds from the round that begins at its position. It is in ``edits.jsonl``, on the disk, before that round is
played, so whoever plays the same rounds with the same edits, after a kill or from nothing, gets the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from saddle.base import processes
from saddle.base.chance import stream
from saddle.base.progress import Progress
from saddle.base.tensors import load_tensors
from saddle.config.editing import edited
from saddle.config.keys import decides
from saddle.config.resolve import difference
from saddle.config.schema import Config
from saddle.errors import RunError, SaddleError
from saddle.game.feed import Feed
from saddle.runs.control import Inbox, Request
from saddle.runs.edits import Edit, add_edit, config_after, in_force, in_words, read_edits, write_edits
from saddle.runs.folder import RunFolder
from saddle.runs.reading import Say
from saddle.training.checkpoint import Checkpoints, check_header
from saddle.training.engine import Engine
from saddle.training.health import check_figures
from saddle.training.learner import Learner, Turning
from saddle.training.record import Record

_REST = 0.1  # seconds from one look to the next while the run is paused


class Steering:
    """Reads requests between rounds and meets them, and replays edits where they were made.

    Args:
        config: that the run began with.
        total: the run's length in images seen.
        run, learner, engine, feed, record, checkpoints: of the run.
        progress: is told.
        stopping: whether something else, such as a signal, ends the run.
    """

    stopped: bool = False  # whether the run was asked to stop

    def __init__(
        self,
        config: Config,
        total: int,
        run: RunFolder,
        learner: Learner,
        engine: Engine,
        feed: Feed,
        record: Record,
        checkpoints: Checkpoints,
        progress: Progress,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.config = config
        self._begun, self._total = config, total
        self._run, self._learner, self._engine, self._feed = run, learner, engine, feed
        self._record, self._checkpoints, self._progress = record, checkpoints, progress
        self._stopping = stopping
        self._inbox = Inbox(run)
        self._paused = False
        self._asked: list[Request] = []  # by this process itself
        self._left: list[Edit] = []  # that come into force later
        self._turns = -1, 0  # the position of the last turn beside the rounds, and how many came there before it

    @property
    def rollbacks(self) -> int:
        """How often the run went back to where it was trained from then on: those that led to where it is."""
        ahead = len(self._left)  # asked by the first of several processes alone, so nothing is exchanged
        past = in_force(read_edits(self._run.edits))[: -ahead or None]
        return sum(edit.rolled_back_from is not None for edit in past)

    def begin(self, position: int) -> None:
        """The run goes on from ``position``: what earlier edits have set holds from now on."""
        edits = self._read()
        past = [edit for edit in edits if self._place(edit) < position]
        self._left = edits[len(past) :]
        self._turns = -1, 0
        self._take(config_after(self._begun, past, total=self._total))
        if past:
            self._progress.say(f"edits so far: {len(past)}; the last: {in_words(past[-1])}")
        if late := sum(self._place(edit) >= self._total for edit in self._left):
            self._progress.say(f"edits beyond the end of this run, which do not come into force: {late}")

    def end(self) -> None:
        """The run is trained no more."""
        if processes.is_first():
            self._inbox.close()

    def stops(self) -> bool:
        """Whether the run ends before the next round."""
        return self.stopped or self._stopping()

    def is_asked(self, position: int) -> bool:
        """Whether there is something for ``answer`` to do before the round at ``position``."""
        if self._left and self._place(self._left[0]) <= position:
            return True
        return bool(self._asked) or (processes.is_first() and self._inbox.has_some())

    def answer(self, position: int) -> int:
        """Bring edits of this position into force, meet requests, and wait while the run is paused.

        Returns:
            The position that the run goes on from: an earlier one if it went back.
        """
        self._replay(position)
        position = self._meet(self._requests(), position)
        while self._paused:
            with self._record.paused():  # the clock stands still
                requests = processes.first(self._wait)
            if not requests:  # a signal has come
                self._pause(position, paused=False)
            position = self._meet([Request(*each) for each in requests], position)
        return position

    def go_back(self, to: int, settings: Mapping[str, Any], why: str) -> None:
        """Let the run go on from its checkpoint after ``to`` images, with other settings, before the next round.

        What came after that checkpoint is dropped, and ``edits.jsonl`` tells of it. Of several processes, the first one
        may ask alone. A run that is replayed from nothing goes straight on at ``to``.

        Args:
            to: the position of a checkpoint that is there.
            settings: what changes, by dotted key; empty: nothing.
            why: in words.
        """
        self._asked.append(Request("back", settings, to, why=why))

    def _read(self) -> list[Edit]:
        """The edits that are in force, by position."""
        entries = processes.first(lambda: [edit.as_entry() for edit in read_edits(self._run.edits)])
        return in_force(Edit(**entry) for entry in entries)

    def _place(self, edit: Edit) -> int:
        """Where the first round begins in which an edit holds."""
        images = self._begun.batch_size * self._learner.turns
        return -(-edit.images // images) * images

    def _requests(self) -> list[Request]:
        found: list[Any] = processes.first(lambda: [*self._asked, *self._inbox.take(self._progress.say)])
        self._asked.clear()
        return [Request(*each) for each in found]

    def _wait(self) -> list[Request]:
        """What is asked next; nothing if the run ends."""
        while not self.stops():
            if self._asked or self._inbox.has_some():
                found = [*self._asked, *self._inbox.take(self._progress.say)]
                self._asked.clear()
                if found:
                    return found
            time.sleep(_REST)
        return []

    def _meet(self, requests: list[Request], position: int) -> int:
        for number, request in enumerate(requests):
            met = True
            match request.do:
                case "pause" | "resume":
                    self._pause(position, paused=request.do == "pause")
                case "stop":
                    self.stopped = True
                    self._pause(position, paused=False)
                    for late in requests[number + 1 :] if processes.is_first() else ():
                        self._inbox.refuse(late.name, "the run was asked to stop before it came to this")
                    return position  # it is met when the run has ended
                case "save":
                    self.save(position)
                case "sample":
                    self._record.draw_samples(position)
                case "edit":
                    met = self._edit(request, position)
                case "turn_d" | "turn_g":
                    met = self._turn(request, position)
                case "back":
                    position, met = self._back(request, position)
            if met and processes.is_first():
                self._inbox.met(request.name)
        return position

    def _pause(self, position: int, *, paused: bool) -> None:
        if paused and not self._paused:
            self.save(position)
            self._progress.say(f"paused at {position:,} images seen; `saddle resume {self._run.path}` goes on")
        elif self._paused and not paused and not self.stops():
            self._progress.say("going on")
        self._paused = paused
        if processes.is_first():
            self._inbox.pause(paused=paused)

    def save(self, position: int) -> None:
        """Save a checkpoint, unless there is one of this position already: edits and turns are played again from it."""
        if not processes.first(lambda: self._run.checkpoint(position).is_file()):
            self._checkpoints.save(position)

    def _edit(self, request: Request, position: int) -> bool:
        """Note an edit and bring it into force; whether it was one."""

        def note() -> dict[str, Any] | None:
            def work() -> dict[str, Any]:
                config, settings = edited(self.config, request.set, self._total)
                config_after(config, self._left, total=self._total)
                edit = Edit(position, settings)
                add_edit(self._run.edits, edit)
                self._progress.say(f"edit at {position:,} images seen: {in_words(edit)}")
                return edit.as_entry()

            return self._unless_refused(request, work)

        entry = processes.first(note)
        if entry is None:
            return False
        self._left.insert(0, Edit(**entry))
        self._replay(position)
        return True

    def _turn(self, request: Request, position: int) -> bool:
        """Note that a player has a turn of its own, and play it; whether it could.

        The checkpoint of this position is from before it, since a run that is resumed there plays it again.
        """

        def note() -> dict[str, Any] | None:
            def work() -> dict[str, Any]:
                if not isinstance(self._learner, Turning):
                    raise RunError("this run has neither G nor D", expected="learner = gan")
                edit = Edit(position, {}, turn=request.do[-1].upper())
                self._progress.say(f"at {position:,} images seen: {in_words(edit)}")
                return edit.as_entry()

            return self._unless_refused(request, work)

        entry = processes.first(note)
        if entry is None:
            return False
        self.save(position)
        processes.first(lambda: add_edit(self._run.edits, Edit(**entry)))
        self._left.insert(0, Edit(**entry))
        self._replay(position)
        return True

    def _replay(self, position: int) -> None:
        """Bring the edits of this position into force. What was summed up to here has a log line of its own."""
        while self._left and self._place(self._left[0]) <= position:
            check_figures(self._record.write(position), position)
            edit = self._left.pop(0)
            if edit.turn:
                self._play_turn(edit.turn, position)
            else:
                self._take(config_after(self.config, [edit], total=self._total))

    def _play_turn(self, player: str, position: int) -> None:
        at, count = self._turns
        count = count + 1 if at == position else 0
        self._turns = position, count
        batch = self._begun.batch_size
        number = position // (batch * self._learner.turns)
        self._learner.schedule(position)
        real = self._feed.batch(position, batch)
        self._engine.turn(player, real, number, stream(self._begun.seed, "turn", position, count))

    def _take(self, config: Config) -> None:
        """Let a config hold from the next round on."""
        changed = [key for key, *_ in difference(self.config, config)]
        self.config = config
        self._checkpoints.keep = config.checkpoint.keep
        if any(map(decides, changed)):
            self._learner.retune(config)
            self._engine.forget()

    def _back(self, request: Request, position: int) -> tuple[int, bool]:
        """Go back to a checkpoint; where the run stands then, and whether it went."""
        to = request.to
        assert to is not None

        def note() -> bool:
            def work() -> bool:
                path = self._run.checkpoint(to)
                if not path.is_file() or to > position:
                    raise RunError(f"there is no checkpoint after {to:,} images to go back to")
                check_header(path, load_tensors(path)[1], self._checkpoints.identity, to)  # it is whole, and ours
                edits = in_force(read_edits(self._run.edits))  # here alone: the other processes are waiting
                config = config_after(self._begun, edits, to, self._total)
                settings = edited(config, request.set, self._total)[1] if request.set else {}
                edit = Edit(to, settings, position, request.why)
                config_after(self._begun, in_force([*edits, edit]), total=self._total)
                # A kill between these two leaves a run that stands at ``to`` and has not changed.
                for later, checkpoint in self._run.all_checkpoints():
                    if later > to:
                        checkpoint.unlink()
                add_edit(self._run.edits, edit)
                self._progress.say(f"at {to:,} images seen again: {in_words(edit)}")
                return True

            return self._unless_refused(request, work) or False

        if not processes.first(note):
            return position, False
        self._record.close()
        position = self._checkpoints.restore(self._progress.say)
        self._record.begin(position, self._total)
        self.begin(position)
        self._engine.forget()  # whatever the edits change, the state was loaded anew
        self._replay(position)
        return position, True

    def _unless_refused(self, request: Request, work: Callable[[], Any]) -> Any:
        """What ``work`` gives; None where it makes no sense, which ends no run: it is said, and to whom asked."""
        try:
            return work()
        except SaddleError as error:
            why = " ".join(" ".join(str(error).split()).split("\n"))
            self._progress.say(f"a request to {request.do} is refused: {why}")
            self._inbox.refuse(request.name, why)
            return None


def prepare_edits(run: RunFolder, source: Path | None, config: Config, total: int, say: Say) -> None:
    """Find out what is wrong with the edits of a run before it begins, and give them to a new run.

    Args:
        run: its folder.
        source: a file of edits that a new run replays; one that is resumed has them already. None: there is none.
        config: that the run begins or began with.
        total: its length in images seen.
        say: told of what is left out.

    Raises:
        RunError: a file is not there or damaged, an edit does not fit the run, or it began with other edits.
        SaddleError: the folder cannot be written.
    """
    own = read_edits(run.edits, say)
    if source is not None:
        if not source.is_file():
            raise RunError(f"there is no file {source}", expected="edits.jsonl of a run")
        given = read_edits(source, say)
        if own[: len(given)] != given and (own or run.exists()):
            raise RunError(
                f"{run.path} holds a run that did not begin with these edits",
                expected="a new folder, or the same edits", remedy="give another --out",
            )  # fmt: skip
        own = own or given
    config_after(config, in_force(own), total=total)
    if source is not None and not run.exists():
        write_edits(run.edits, own)
