"""What a run writes down: log lines, sample grids, TensorBoard events, and the line that a person watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from saddle.base import processes
from saddle.base.chance import stream
from saddle.base.progress import Progress
from saddle.config.schema import Config
from saddle.data.scaling import Scaling, to_pixels
from saddle.data.store import Store
from saddle.errors import CheckpointError, ConfigError
from saddle.runs.folder import RunFolder
from saddle.scoring.look import Real
from saddle.show.grid import save_picture, tile, tile_pairs
from saddle.show.points import picture_points
from saddle.show.preview import spread
from saddle.trained.draw import draw_samples
from saddle.training.alarm import Alarm
from saddle.training.health import watched
from saddle.training.learner import Sampled
from saddle.training.sampling import saved_samples

# Fixed latents have a stream of their own, so that pictures never disturb training.
_SAMPLES_SEED = 0
_LOOK_SEED = stream(0, "look")
_GRID_CLASSES = 20  # that a class grid shows at most
_REFERENCE = 10_000  # real points beside generated ones
_SEEN, _SEEN_COLUMNS = 32, 8  # real images beside what D sees of them
_LONGEST = 2**53  # seconds or rounds; more are a mistake


class Record:
    """Collects the figures of each round on the device and writes their means at each interval.

    Args:
        config: of the run.
        run: where.
        store: the data, for epochs and for pictures of points beside them.
        learner, scaling: what samples are drawn from, and how they become pictures.
        progress: who watches.
        sight: what D sees of samples (n, C, H, W) at present, for a picture of it; None: the samples themselves.
        real: what samples are looked at beside; None: they are not looked at.
        note: is told what a look gives, and after how many images seen.
        alarm: reads each line of the log; None: nobody does.
    """

    def __init__(
        self,
        config: Config,
        run: RunFolder,
        store: Store,
        learner: Sampled,
        scaling: Scaling,
        progress: Progress,
        sight: Callable[[Tensor], Tensor] | None = None,
        real: Real | None = None,
        note: Callable[[Mapping[str, float], int], None] | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        self._run = run
        self._store = store
        self._learner = learner
        self._scaling = scaling
        self._progress = progress
        self._sight = sight
        self._real = real
        self._note = note
        self.alarm = alarm
        self._conditional = config.conditional is True
        self._seen: Tensor | None = None  # what was compared in the last look
        self._truth = None if store.distribution is None else store.distribution.coordinate
        self._grid = _Grid.of(config, store)
        self._names: list[str] = []
        self._sums: Tensor | None = None
        self._rounds = 0
        self._since = 0  # images seen at the last log line or start of this process
        self._shown = 0
        self._started = self._lap = time.monotonic()
        self._earlier = 0.0
        self._wants_events = config.log.tensorboard
        self._events: Any = None

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before an interruption included."""
        return self._earlier + time.monotonic() - self._started

    @property
    def _exact(self) -> torch.dtype:
        """Of the sums. Several processes agree on them at checkpoints, too, which must not show in the lines: so many
        digits are never rounded.
        """
        return torch.float32 if processes.count() == 1 else torch.float64

    @contextmanager
    def paused(self) -> Generator[None]:
        """What is done meanwhile, such as scoring, is no training: the clock stands still."""
        began = time.monotonic()
        yield
        gone = time.monotonic() - began
        self._started, self._lap = self._started + gone, self._lap + gone

    def begin(self, images_seen: int, total: int) -> None:
        """Training is about to go on from ``images_seen``: forget what was written after it, start the bar."""
        processes.first(lambda: self._rewind(images_seen))
        if self._wants_events and processes.is_first():
            self._events = _tensorboard(self._run, images_seen)
        self._since = self._shown = images_seen
        self._started = self._lap = time.monotonic()
        self._progress.start("training", total, "images seen", done=images_seen)

    def _rewind(self, images_seen: int) -> None:
        self._run.rewind(images_seen, self._progress.say, unfinished=self._rounds > 0)
        if self.alarm is not None:
            self.alarm.begin(self._run.read_log())

    def add(self, figures: Mapping[str, Tensor], images_seen: int) -> None:
        """Add a round's figures, (members,) on the device, to the running sums and move the bar; waits for nothing.

        Raises:
            CheckpointError: sums of other figures were loaded.
        """
        values = torch.stack([value.to(self._exact) for value in figures.values()])
        if self._sums is not None and (self._names, self._sums.shape) != (list(figures), values.shape):
            raise CheckpointError(
                "the checkpoint that the run was resumed from has other figures", expected=", ".join(figures),
                got=", ".join(map(str, self._names)), remedy="remove that checkpoint and resume",
            )  # fmt: skip
        self._names = list(figures)
        self._sums = values if self._sums is None else self._sums.add_(values)
        self._rounds += 1
        self._progress.advance(images_seen - self._shown)
        self._shown = images_seen

    def write(self, images_seen: int, *, look: bool = False) -> dict[str, float]:
        """Write the means since the last line to ``log.jsonl`` and return them. This waits for the device.

        They are means over all processes.

        Args:
            images_seen: by now.
            look: whether the line tells, too, what a look at samples gives.

        Raises:
            Diverged: the samples are not finite.
            SaddleError: the log cannot be written.
        """
        if self._sums is None:
            return {}
        self.agree()
        means = (self._sums / self._rounds).squeeze(1)
        figures = dict(zip(self._names, means.tolist(), strict=True))
        figures = processes.first(lambda: self._write(figures, images_seen, look=look))
        self._start_line(images_seen)
        return figures

    def _start_line(self, images_seen: int) -> None:
        self._sums, self._rounds, self._since, self._lap = None, 0, images_seen, time.monotonic()

    def _write(self, means: Mapping[str, float], images_seen: int, *, look: bool) -> dict[str, float]:
        figures = {**means, **self._moments(images_seen), **(self._look(images_seen) if look else {})}
        now = time.monotonic()
        rate = (images_seen - self._since) / max(now - self._lap, 1e-9)
        entry: dict[str, Any] = {"images": images_seen, "epoch": round(images_seen / len(self._store), 4)}
        entry |= {name: round(value, 6) for name, value in figures.items()}
        entry |= {"seconds": round(self.seconds, 3), "images_per_second": round(rate, 1)}
        self._run.append_log(entry)
        if self._events is not None:
            for name, value in figures.items():
                self._events.add_scalar(name, value, images_seen)
        verdict = None if self.alarm is None else self.alarm.add(entry)
        self._progress.status(
            _line(figures) + (f"  {verdict.kind}" if verdict is not None and verdict.is_alarm else "")
        )
        return figures

    def draw_samples(self, images_seen: int) -> None:
        """Save a picture of the averaged generator's samples from the fixed latents, and one of what D sees.

        Raises:
            Diverged: the samples are not finite; there is no picture then.
            SaddleError: the picture cannot be written.
        """
        processes.first(lambda: self._draw_picture(images_seen))

    def _draw_picture(self, images_seen: int) -> None:
        self._save_picture(self._picture(images_seen), images_seen)
        self._draw_sight()

    def _draw_sight(self) -> None:
        """Save real images, in every second row as D sees those above, where it does not see them as they are."""
        if self._sight is None:
            return
        real = spread(self._store, _SEEN).astype(np.uint8)
        samples = self._scaling.forward(torch.from_numpy(real).to(self._learner.device))
        seen = to_pixels(self._scaling.backward(self._sight(samples)))
        starts = range(0, len(real), _SEEN_COLUMNS)
        rows = [images[start : start + _SEEN_COLUMNS] for start in starts for images in (real, seen)]
        names = ["real", "D sees"] * len(starts)
        picture = tile(np.concatenate(rows), lengths=[len(row) for row in rows], rows=names)
        save_picture(picture, self._run.augmented)

    def _picture(self, images_seen: int) -> Image.Image:
        with watched(images_seen):
            samples = self._draw()
        if self._grid.pairs is not None:
            inputs, targets = self._grid.pairs.inputs, self._grid.pairs.values
            assert inputs is not None
            return tile_pairs(inputs, targets.astype(np.uint8), to_pixels(samples))
        if self._store.kind == "images":
            return tile(to_pixels(samples), columns=self._grid.columns, rows=self._grid.names)
        reference = spread(self._store, _REFERENCE).astype(np.float32)
        return picture_points(samples.numpy(), reference, truth=self._truth)

    def _save_picture(self, picture: Image.Image, images_seen: int) -> None:
        save_picture(picture, self._run.sample_grid(images_seen))
        if self._events is not None:
            self._events.add_image("samples", np.asarray(picture.convert("RGB")), images_seen, dataformats="HWC")

    def _draw(self) -> Tensor:
        """The samples of the fixed latents, those of each class one after the other; of pairs, of the fixed inputs."""
        inputs = None if self._grid.pairs is None else self._grid.pairs.inputs

        def row(label: Tensor | None) -> Iterator[Tensor]:
            def make(start: int, count: int) -> Tensor:
                condition = None if label is None else label.expand(count)
                if inputs is not None:
                    given = torch.from_numpy(inputs[start : start + count]).to(self._learner.device)
                    condition = self._scaling.forward(given)
                return self._learner.sample(_SAMPLES_SEED, start, count, condition)

            return draw_samples(make, self._grid.each, self._store.shape, self._scaling)

        return torch.cat([piece for label in self._grid.labels for piece in row(label)])

    def _moments(self, images_seen: int) -> dict[str, float]:
        """Mean and standard deviation of generated values, where all of them should follow one distribution."""
        if self._truth is None and self._store.shape != (1,):
            return {}
        with watched(images_seen):
            samples = self._draw()
        return {"sample_mean": samples.mean().item(), "sample_std": samples.std().item()}

    def _look(self, images_seen: int) -> dict[str, float]:
        """The figures of ``saddle.scoring.look``."""
        if self._real is None:
            return {}
        beside, shape = self._real.chosen, self._store.shape
        labels = torch.from_numpy(beside.labels) if self._conditional and beside.labels is not None else None
        with watched(images_seen):
            drawn = self._learner, self._scaling, shape, _LOOK_SEED, len(beside)
            samples = saved_samples(*drawn, labels, beside.inputs)
        figures, self._seen = self._real.look(samples, self._seen)
        if self._note is not None:
            self._note(figures, images_seen)
        return figures

    def agree(self) -> None:
        """Let several processes have the same sums: the mean of theirs."""
        if self._sums is not None:
            processes.average([self._sums])

    def state(self) -> dict[str, Tensor]:
        """Sums since the last log line, and the last look, so that a continued run writes the same lines."""
        tensors = {"record.sums": None if self._sums is None else self._sums.flatten(), "record.seen": self._seen}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def header(self) -> dict[str, Any]:
        """What ``state`` means: the names of its figures, how many rounds they sum, and the seconds so far."""
        return {"figures": self._names, "rounds": self._rounds, "seconds": self.seconds}

    def load(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Take over what ``state`` and ``header`` gave.

        Raises:
            KeyError, TypeError, ValueError: it is not what they give.
        """
        seconds, rounds, names = (header[key] for key in ("seconds", "rounds", "figures"))
        if not isinstance(seconds, int | float) or not 0 <= seconds < _LONGEST:
            raise ValueError(f"{seconds!r} seconds")
        self._earlier = seconds
        self._sums, self._rounds, self._seen = None, 0, None
        if "record.sums" in tensors:
            sums = tensors["record.sums"]
            if not isinstance(rounds, int) or not 0 < rounds < _LONGEST:
                raise ValueError(f"{rounds!r} rounds")
            if not sums.is_floating_point() or not len(names) or not len(sums) or len(sums) % len(names):
                raise ValueError(f"{tuple(sums.shape)} sums of {len(names)} figures")
            self._names, self._rounds = list(names), rounds
            self._sums = sums.to(self._learner.device, self._exact, copy=True).reshape(len(self._names), -1)
        if (seen := tensors.get("record.seen")) is not None and self._real is not None:
            self._seen = self._real.checked(seen)

    def close(self) -> None:
        """End the bar and the event file."""
        self._progress.finish()
        if self._events is not None:
            self._events.close()


class _Grid(NamedTuple):
    """Which samples the pictures of a run show.

    Args:
        labels: of the rows, a scalar each; one None for a generator without labels.
        each: samples of each of these.
        names: of the rows, in a conditional game.
        pairs: those whose inputs samples are made of, in a game on pairs; held-out ones if there are any.
    """

    labels: tuple[Tensor | None, ...]
    each: int
    names: tuple[str, ...] | None
    pairs: Store | None = None

    @property
    def columns(self) -> int | None:
        return None if self.names is None else self.each

    @classmethod
    def of(cls, config: Config, store: Store) -> _Grid:
        """With labels, rows are classes and each column has one z."""
        if store.inputs is not None:
            shown = (store.held_out or store).spread(config.samples.count)
            return cls((None,), len(shown), None, shown)
        if not config.conditional:
            return cls((None,), config.samples.count, None)
        rows = min(len(store.class_names), _GRID_CLASSES, config.samples.count)
        return cls(tuple(torch.arange(rows)), config.samples.count // rows, store.class_names[:rows])


def _line(figures: Mapping[str, float]) -> str:
    names = {"discriminator_loss": "D", "generator_loss": "G", "d_real": "D(x)", "d_fake": "D(G(z))"}
    names |= {"l1": "L1", "nats": "nats", "bits_per_dim": "bits/dim"}
    return "  ".join(f"{short} {figures[name]:.3f}" for name, short in names.items() if name in figures)


def check_tensorboard() -> None:
    """Raises:
    ConfigError: the package that writes TensorBoard events is not there.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError("log.tensorboard needs the tensorboard package", remedy="pip install 'saddle[tensorboard]'")


def _tensorboard(run: RunFolder, images_seen: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # importing it takes seconds

    return SummaryWriter(str(run.tensorboard), purge_step=images_seen + 1)
