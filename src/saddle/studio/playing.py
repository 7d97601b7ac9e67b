"""Playing with a trained generator: what the page asks for, and the command that does the same."""

from __future__ import annotations

import base64
import io
import shlex
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from saddle.base.text import one_line
from saddle.config.networks import CustomNetworkConfig
from saddle.data.formats.decoding import read_image
from saddle.data.scaling import as_floats, to_pixels
from saddle.errors import ConfigError, DataError
from saddle.runs.folder import RunFolder
from saddle.show.grid import to_pictures
from saddle.show.points import picture_points
from saddle.studio.answers import Refused
from saddle.studio.asked import PlayQuery
from saddle.studio.batching import Wanted
from saddle.studio.drawing import MEDIA, check_form, check_size, encoded
from saddle.trained.generator import Generator, load
from saddle.trained.inputs import check_latents_alone
from saddle.trained.likelihood import check_smooth
from saddle.trained.nearest import check_for_copies
from saddle.trained.walks import along, parse_place, parse_terms, place_name

_KEPT = 3  # generators in memory
_MOST_PICTURES, _MOST_ROWS, _MOST_DOWNLOADED = 100, 12, 4096
_AT_ONCE = 256  # samples
_STEPS = 200  # of a search for a latent


class Loaded(NamedTuple):
    """A generator, and the file that it was read from as it was then."""

    stamp: tuple[int, int]
    generator: Generator


class Player:
    """Draws for the page, one thing at a time, with one thread: a training may need the others."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._lock = threading.Lock()

    def generator(self, run: RunFolder, best: bool) -> Generator:
        """The generator of a run as it is now.

        Raises:
            Refused: there is none yet, or it learned from pairs.
            SaddleError: its file is damaged.
        """
        file = _file(run, best)
        status = file.stat()
        stamp = status.st_mtime_ns, status.st_size
        found = self._loaded.get(str(file))
        if found is None or found.stamp != stamp:
            torch.set_num_threads(1)
            found = self._loaded[str(file)] = Loaded(stamp, load(file, device="cpu"))
        self._loaded.move_to_end(str(file))
        while len(self._loaded) > _KEPT:
            self._loaded.popitem(last=False)
        check_latents_alone(found.generator.header)
        return found.generator

    def info(self, run: RunFolder, query: PlayQuery) -> dict[str, Any]:
        """What one can play with."""
        with self._lock:
            header = self.generator(run, query.best).header
        return {
            "kind": header.kind,
            "shape": header.shape,
            "images": header.images_seen,
            "classes": [one_line(name, 100) for name in header.class_names],
            "mixes": not isinstance(header.network, CustomNetworkConfig),
            "latent": header.latent.model_dump(mode="json"),
        }

    def samples(self, run: RunFolder, query: PlayQuery) -> dict[str, Any]:
        """Samples by seed and number, as pictures."""
        with self._lock:
            generator = self.generator(run, query.best)
            most = _MOST_PICTURES if generator.header.kind == "images" else _MOST_DOWNLOADED
            check_size(query.count, most, generator.shape, "png")
            wanted = _wanted(generator, query)
            samples = generator(*wanted)
        numbers = range(query.first, query.first + query.count)
        words = [*_start(run, query, "sample"), "--seed", str(query.seed), "--count", str(numbers.stop)]
        words += ["--truncation", f"{query.truncation:g}"] if query.truncation < 1 else []
        # A grid of the command has a row for each class; its other forms have the classes in turn, as here.
        words += ["--out", "samples.npz" if generator.class_names and not query.parts else "grid.png"]
        return {
            "pictures": _pictures(samples),
            "places": [place_name((query.seed, number)) for number in numbers],
            "command": _command(generator, words, query.parts),
        }

    def download(self, run: RunFolder, query: PlayQuery) -> tuple[bytes, str]:
        """Samples as a file, and its media type."""
        with self._lock:
            generator, form = self.generator(run, query.best), query.format
            check_form(generator, form)
            check_size(query.count, _MOST_DOWNLOADED, generator.shape, form)
            wanted = _wanted(generator, query)
            pieces: list[Tensor] = []
            for start in range(0, query.count, _AT_ONCE):
                labels = None if wanted.labels is None else wanted.labels[start : start + _AT_ONCE]
                pieces.append(generator(wanted.latents[start : start + _AT_ONCE], labels))
        return encoded(torch.cat(pieces), wanted.labels, form), MEDIA[form]

    def between(self, run: RunFolder, query: PlayQuery) -> dict[str, Any]:
        """The way from one sample to another."""
        with self._lock:
            generator = self.generator(run, query.best)
            check_smooth(generator.network)
            start, end = (generator.latent(parse_place(place)) for place in (query.start, query.end))
            path = along(start, end, torch.linspace(0, 1, query.steps)[:, None], None, generator.header.latent)
            samples = generator(path, _one_label(generator, query.parts, query.steps))
        words = [*_start(run, query, "interpolate"), "--from", query.start, "--to", query.end]
        words += ["--steps", str(query.steps), "--out", "strip.png"]
        return {"pictures": _pictures(samples), "command": _command(generator, words, query.parts, one=True)}

    def arithmetic(self, run: RunFolder, query: PlayQuery) -> dict[str, Any]:
        """The sum of latents: the sample of each term's mean, then that of the result."""
        with self._lock:
            generator = self.generator(run, query.best)
            terms = parse_terms(query.sum)
            if not 1 <= len(terms) <= 20 or sum(len(term.places) for term in terms) > 200:
                raise Refused(422, "this sum has too many terms", expected="at most 20, of at most 200 latents")
            means = [generator.mean_latent(term.places) for term in terms]
            result = torch.stack([term.sign * mean for term, mean in zip(terms, means, strict=True)]).sum(0)
            latents = torch.cat([*means, result])
            samples = generator(latents, _one_label(generator, query.parts, len(latents)))
        names = [f"{'-' if term.sign < 0 else '+'} {one_line(term.names, 60)}" for term in terms]
        words = [*_start(run, query, "arithmetic"), query.sum.strip()]
        command = _command(generator, words, query.parts, one=True)
        return {"pictures": _pictures(samples), "names": [*names, "="], "command": command}

    def nearest(self, run: RunFolder, query: PlayQuery) -> dict[str, Any]:
        """Samples beside their neighbours in the data."""
        with self._lock:
            self.generator(run, query.best)
            count = min(query.count, _MOST_ROWS)
            found = check_for_copies(_file(run, query.best), count, seed=query.seed, neighbours=5, device="cpu")
        distances, indices, copies = found.neighbours
        values = np.asarray(found.data.values)
        images = found.data.kind == "images"
        rows = [
            {
                "sample": _pictures(found.samples[row : row + 1])[0],
                "neighbours": [
                    {
                        "picture": _png(to_pictures(values[index][None].astype(np.uint8))[0]) if images else None,
                        "index": int(index),
                        "distance": float(distance),
                        "copies": int(times),
                    }
                    for distance, index, times in zip(
                        distances[row].tolist(), indices[row].tolist(), copies[row].tolist(), strict=True
                    )
                ],
            }
            for row in range(len(found.samples))
        ]
        words = [*_start(run, query, "nearest"), "--seed", str(query.seed), "--count", str(len(rows))]
        return {"rows": rows, "median": found.median, "held_out": found.held_out, "command": shlex.join(words)}

    def landscape(self, run: RunFolder, query: PlayQuery) -> dict[str, Any]:
        """D's judgement of the plane, with points on it; the newest checkpoint's, whatever the query says."""
        from saddle.studio.landscape import landscape

        del query
        with self._lock:
            return landscape(run)

    def invert(self, run: RunFolder, query: PlayQuery, content: bytes) -> dict[str, Any]:
        """The latent whose sample comes nearest to a picture that was sent.

        Raises:
            DataError: it is no picture.
        """
        with self._lock:
            generator = self.generator(run, query.best)
            if generator.header.kind != "images":
                raise ConfigError("this generator makes points, not images")
            channels, height, width = generator.shape
            with TemporaryDirectory() as folder:
                file = Path(folder) / "picture"
                file.write_bytes(content)
                try:
                    given = as_floats(torch.from_numpy(read_image(file, (channels, height, width))[None]))
                except DataError as error:
                    raise DataError("the picture cannot be read", got=error.got) from None
            found = generator.invert(given, steps=_STEPS, restarts=4)
            samples = generator(found.latents, found.labels)
        label = None if found.labels is None else generator.class_names[int(found.labels[0])]
        words = [*_start(run, query, "invert"), "--image", "FILE", "--steps", str(_STEPS)]
        return {
            "pictures": _pictures(torch.cat([given, samples])),
            "error": float(found.errors[0]),
            "label": label,
            "latent": [round(value, 5) for value in found.latents[0].tolist()],
            "command": shlex.join(words),
        }


def _file(run: RunFolder, best: bool) -> Path:
    file = run.best if best else run.generator
    if file.is_symlink() or not file.is_file():
        raise Refused(
            404, "this run has saved no generator yet", remedy="wait for its first checkpoint, or save it now"
        )
    return file


def _wanted(generator: Generator, query: PlayQuery) -> Wanted:
    latents = generator.latents(query.count, query.seed, start=query.first, truncation=query.truncation)
    if generator.class_names and not query.parts:
        return Wanted(latents, torch.arange(query.first, query.first + query.count) % len(generator.class_names))
    return Wanted(latents, _one_label(generator, query.parts, query.count))


def _one_label(generator: Generator, shares: Sequence[float], count: int) -> Tensor | None:
    """The same class for all, or the same mixture; without any the first class."""
    classes = len(generator.class_names)
    if not classes:
        if shares:
            raise ConfigError("this generator has no classes")
        return None
    chosen = list(shares) or [1.0] + [0.0] * (classes - 1)
    if len(chosen) != classes or min(chosen) < 0 or not 0 < sum(chosen) < 1e6:
        raise ConfigError(
            "these are no shares of the classes", expected=f"{classes} numbers from 0 on, with a sum above 0"
        )
    if sum(1 for share in chosen if share) == 1:
        return torch.full((count,), chosen.index(max(chosen)))
    return (torch.tensor(chosen) / sum(chosen)).expand(count, -1)


def _start(run: RunFolder, query: PlayQuery, command: str) -> list[str]:
    return ["saddle", command, str(run.best if query.best else run.path)]


def _command(generator: Generator, words: Sequence[str], shares: Sequence[float], *, one: bool = False) -> str | None:
    """The command with its class; None for a mixture of several, which no command makes."""
    chosen = [generator.class_names[at] for at, share in enumerate(shares) if share]
    if len(chosen) > 1:
        return None
    if not chosen and one:
        chosen = list(generator.class_names[:1])
    return shlex.join([*words, *(["--label", chosen[0]] if chosen else [])])


def _pictures(samples: Tensor) -> list[str]:
    """Each image, or one plot of all points, as a data address."""
    if samples.ndim == 4:
        return [_png(picture) for picture in to_pictures(to_pixels(samples))]
    return [_png(picture_points(samples.numpy()))]


def _png(picture: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
