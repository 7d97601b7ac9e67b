"""Decoding image files into the rows of a memory-mapped file, in this process or in several."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import queue
import subprocess
import sys
import warnings
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from saddle.base.machine import usable_cores
from saddle.base.opening import kind_at, open_regular, read_at_most
from saddle.data.formats.pixels import ORIENTATION, SIDEWAYS, Fit, Size, is_grey, is_transparent, render, standard
from saddle.data.formats.reading import LARGEST_FILE, open_zip, reading, reason_of
from saddle.errors import DataError

# A list of our own, because Pillow also has formats that start other programs (EPS) or that are containers.
FORMATS = (
    *("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "TGA", "JPEG2000", "ICO", "AVIF", "QOI", "MPO"),
)
IN_PROCESS = 500  # so many files are decoded before other processes would have started
CHUNK = 128  # files in each job


@dataclass(frozen=True)
class Plan:
    """What a decoder needs to know. ``shape`` is (N, C, H, W) of the raw uint8 file ``values``.

    Without a file, images are looked at and not written; the smaller ``shape`` is, the quicker. Of ``parts`` > 1, each
    row holds several images side by side, of which those decoded now are number ``part``. ``half``: which half of an
    image is taken for the whole.
    """

    root: str
    values: str | None
    shape: tuple[int, int, int, int]
    fit: Fit
    resize: bool  # if not, an image of another size is reported and not written
    part: int = 0
    parts: int = 1
    half: Literal["left", "right"] | None = None


@dataclass(frozen=True)
class Decoded:
    """What was in one file: its mode and size before any change, whether it is grey, and whether one can see through.

    ``digest`` is the file's content, hashed; it is empty where images are written.
    """

    mode: str
    width: int
    height: int
    grey: bool
    transparent: bool
    digest: str = ""


Outcome = Decoded | str  # or the reason why the file could not be read


class Reader:
    """Reads files below a folder or in a zip into memory; nothing is extracted to disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open = contextlib.ExitStack()
        self._archive = self._open.enter_context(open_zip(root)) if kind_at(root) == "file" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def read(self, name: str) -> bytearray:
        """The content of one file.

        Raises:
            OSError: it is too large, or no regular file.
            Exception: whatever the file system or zipfile raises.
        """
        stream = self._archive.open(name) if self._archive else open_regular(f"{self._root}/{name}")
        with stream:
            return read_at_most(stream, LARGEST_FILE)


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # older Pillows know fewer


def decode(content: bytes | bytearray, size: Size | None) -> tuple[Image.Image, Decoded]:
    """A ``standard`` image, which may already be reduced towards ``size``, and what it was before.

    Raises:
        Exception: whatever Pillow raises on a broken file.
    """
    image = Image.open(io.BytesIO(content), formats=_formats())
    mode = image.mode
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        sideways = image.getexif().get(ORIENTATION, 1) in SIDEWAYS
        if size is not None:
            # The JPEG decoder can halve an image for free. Twice the wanted size is enough for an antialiased resize.
            image.draft(None, (2 * size[0], 2 * size[1]) if sideways else (2 * size[1], 2 * size[0]))
        image.load()
        if sideways:
            width, height = height, width
        upright = standard(image)
    else:
        image.load()
        upright = standard(image)
        width, height = upright.size
    return upright, Decoded(mode, width, height, is_grey(upright), is_transparent(upright))


def open_values(plan: Plan) -> NDArray[np.uint8] | None:
    """The file that rows are decoded into; None where images are only looked at."""
    # As an array, since each access of a memmap makes a memmap, which takes time.
    return None if plan.values is None else np.asarray(np.memmap(plan.values, np.uint8, "r+", shape=plan.shape))


def decode_rows(
    plan: Plan, values: NDArray[np.uint8] | None, reader: Reader, start: int, names: Sequence[str]
) -> list[Outcome]:
    """Decode ``names`` into ``values[start:]``, or look at them; one outcome a name."""
    _, channels, height, width = plan.shape
    width //= plan.parts
    if values is not None:
        values = values[..., plan.part * width : (plan.part + 1) * width]
    reduced = plan.resize and plan.half is None  # the middle of an image must stay between two pixels
    outcomes: list[Outcome] = []
    with warnings.catch_warnings():
        # Pillow warns of odd metadata. Only an image with too many pixels matters here.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for row, name in enumerate(names, start):
            try:
                content = reader.read(name)
                image, found = decode(content, (height, width) if reduced else None)
                if plan.half is not None:
                    image, found = _half(image, plan.half), replace(found, width=found.width // 2)
                if values is None:
                    found = replace(found, digest=hashlib.blake2b(content, digest_size=16).hexdigest())
                elif plan.resize or (found.height, found.width) == (height, width):
                    values[row] = render(image, (height, width), channels, plan.fit)
                outcomes.append(found)
            except Exception as error:  # noqa: BLE001  broken files raise almost anything
                outcomes.append(_why_not(error))
    return outcomes


def _half(image: Image.Image, which: Literal["left", "right"]) -> Image.Image:
    """One half of an image.

    Raises:
        ValueError: the halves would not be equally wide.
    """
    if image.width % 2:
        raise ValueError(f"a width of {image.width:,} pixels does not hold two images of one size")
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height) if which == "left" else (middle, 0, image.width, image.height))


def _why_not(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    return reason_of(error)


def first_readable(root: Path, names: Sequence[str]) -> Decoded | None:
    """What is in the first file that can be read, or None if there is none."""
    with Reader(root) as reader, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for name in names:
            try:
                return decode(reader.read(name), None)[1]
            except Exception:  # noqa: BLE001  see decode_rows
                continue
    return None


def read_image(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """One image file as uint8 (C, H, W) of the given shape. If its aspect ratio differs, the longer side is cut.

    Raises:
        DataError: it cannot be read.
    """
    values = np.empty((1, *shape), np.uint8)
    plan = Plan(str(path.parent), None, values.shape, "crop", resize=True)
    with reading(path, "image"), Reader(path.parent) as reader:
        (outcome,) = decode_rows(plan, values, reader, 0, [path.name])
    if isinstance(outcome, str):
        raise DataError(f"{path} cannot be read as an image", got=outcome)
    return values[0]


def decode_all(plan: Plan, names: Sequence[str]) -> Generator[list[Outcome], None, None]:
    """Decode all files: outcomes in the order of ``names``, chunk by chunk. Closing the iterator stops the work."""
    starts = range(0, len(names), CHUNK)
    chunks = [(start, names[start : start + CHUNK]) for start in starts]
    if len(names) < IN_PROCESS:
        values = open_values(plan)
        with Reader(Path(plan.root)) as reader:
            for start, part in chunks:
                yield decode_rows(plan, values, reader, start, part)
        return
    workers = [_Worker(plan) for _ in range(min(usable_cores(), len(chunks)))]
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def ask(chunk: tuple[int, Sequence[str]]) -> list[Outcome]:
        worker = idle.get()
        try:
            return worker.ask(*chunk)
        finally:
            idle.put(worker)

    executor = ThreadPoolExecutor(len(workers))
    try:
        yield from executor.map(ask, chunks)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.stop()
        executor.shutdown()


class _Worker:
    """A process that runs ``saddle.data.formats.worker``. A job is one line of JSON, and so is its answer.

    It is a plain process and not multiprocessing, which would import the user's ``__main__`` again and use pickle.
    """

    def __init__(self, plan: Plan) -> None:
        package_root = str(Path(__file__).parents[3])
        paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "saddle.data.formats.worker",
            ],  # -P: no module is taken from the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What libraries print of a file may hold anything; and when this process ends, so does that one, quietly.
            stderr=None if os.environ.get("SADDLE_DEBUG") == "1" else subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self._send(asdict(plan))

    def ask(self, start: int, names: Sequence[str]) -> list[Outcome]:
        assert self._process.stdout is not None
        self._send([start, list(names)])
        line = self._process.stdout.readline()
        if not line:
            raise DataError(
                "a process that decodes images ended",
                got=f"exit status {self._process.wait()}, among the files from {names[0]} to {names[-1]}",
                remedy="check whether the memory was full, or remove those files",
            )
        return [Decoded(**answer) if isinstance(answer, dict) else answer for answer in json.loads(line)]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # a job that was not sent completely
                pipe.close()

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # the process has ended, which the missing answer shows
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
