"""Data that a stranger made: each gets a clear answer, in bounded time and memory."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from saddle.base import sizes
from saddle.config.schema import DataConfig
from saddle.data import Inspection, Store, inspect_data, open_data
from saddle.data.formats import columns, reading
from saddle.data.formats.decoding import read_image
from saddle.data.named import cifar10
from saddle.errors import DataError, SaddleError, TooLarge

Make = Callable[[Path], Path]  # makes data in an empty folder; returns the source
SMALL = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def png(number: int = 0, size: int = 8) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (size, size), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def folder(place: Path, count: int = 8) -> Path:
    for number in range(count):
        (place / f"{number}.png").write_bytes(png(number))
    return place


def refused(source: object, **wanted: Any) -> SaddleError:
    """The error, which must be the same sort whether the data are opened or inspected."""
    config = DataConfig(source=str(source), **wanted)
    with pytest.raises(SaddleError):
        open_data(config)
    with pytest.raises(SaddleError) as caught:
        inspect_data(config)
    return caught.value


def answered(source: object, **wanted: Any) -> Store | SaddleError:
    try:
        return open_data(DataConfig(source=str(source), **wanted))
    except SaddleError as error:
        return error


def inspected(source: object, **wanted: Any) -> Inspection:
    return inspect_data(DataConfig(source=str(source), **wanted))


# --- what may be opened ---------------------------------------------------------------------------------------------


def odd(kind: str, path: Path) -> None:
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            here = Path.cwd()
            os.chdir(path.parent)  # the names of sockets are short
            try:
                server.bind(path.name)
            finally:
                os.chdir(here)
    elif kind == "link to itself":
        path.symlink_to(path.name)
    else:
        path.symlink_to("nowhere")


WORDS = {
    "FIFO": "a FIFO, not a regular file",
    "device": "a device, not a regular file",
    "socket": "a socket, not a regular file",
    "link to itself": "symbolic links",
    "link to nothing": "No such file",
}


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv", "a.zip", "a", "cifar-10-binary.tar.gz"])
@pytest.mark.parametrize("kind", ["FIFO", "device", "socket", "link to itself"])
def test_only_regular_files_are_opened(place: Path, kind: str, name: str) -> None:
    odd(kind, place / name)
    assert WORDS[kind] in str(refused(place / name))


@pytest.mark.parametrize("kind", [*WORDS])
def test_what_cannot_be_opened_in_a_folder_is_skipped_and_named(place: Path, kind: str) -> None:
    odd(kind, folder(place) / "x.png")
    odd(kind, place / "notes")
    skipped = inspected(place).skipped
    assert [item.path for item in skipped] == ["x.png"]
    assert WORDS[kind] in skipped[0].reason
    assert len(open_data(DataConfig(source=str(place), max_unreadable=1))) == 8
    assert "x.png" in str(answered(place))  # by itself, a training does not go on without an eighth of its data


@pytest.mark.parametrize("part", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"])
def test_idx_files_are_regular(place: Path, part: str) -> None:
    (place / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, 5, 8, 8) + bytes(320))
    (place / part).unlink(missing_ok=True)
    os.mkfifo(place / part)
    assert "a FIFO" in str(refused(place))


def test_binary_cifar_files_are_regular(place: Path) -> None:
    (place / "data_batch_1.bin").write_bytes(bytes(cifar10.RECORD))
    for number in range(2, 6):
        os.mkfifo(place / f"data_batch_{number}.bin")
    assert "a FIFO" in str(refused(place))


def test_an_image_to_look_for_is_a_regular_file(place: Path) -> None:
    os.mkfifo(place / "a.png")
    for name in ("a.png", "nope" * 100, "a\0b", "no/such/folder.png"):
        with pytest.raises(DataError):
            read_image(place / name, (1, 8, 8))


NAMES = [
    "nope" * 100,
    "a\0b",
    "d\udcff",
    "\ud800",
    "",
    " ",
    "~nosuchuser/x",
    "/nope" * 1000,
    "a/" * 3000,
    "\n",
    "x" * 10**5,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:12]))
def test_names_that_no_file_can_have(name: str) -> None:
    assert len(str(refused(name))) > 20


def test_a_folder_that_is_not_utf8_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path) + b"/d\xff"
    os.mkdir(place)  # noqa: PTH102
    folder(Path(os.fsdecode(place)))
    assert "not UTF-8" in str(refused(os.fsdecode(place)))
    assert not (tmp_path / "cache").exists()


def test_names_inside_that_are_not_utf8_are_shown_as_text(place: Path) -> None:
    for name in (b"a\xff", b"a\xfe"):
        os.mkdir(os.fsencode(place) + b"/" + name)  # noqa: PTH102
        folder(Path(os.fsdecode(os.fsencode(place) + b"/" + name)))
        Path(os.fsdecode(os.fsencode(place) + b"/" + name + b"/\xff.png")).write_bytes(b"no image")
    found = inspected(place)
    assert [name for name, _ in found.class_counts] == ["a\\udcfe", "a\\udcff"]
    assert len(found.skipped) == 2
    store = open_data(DataConfig(source=str(place), max_unreadable=1))
    "".join(
        [*store.class_names, *(item.path for item in store.skipped), *(item.path for item in found.skipped)]
    ).encode()


# --- sizes before allocation ----------------------------------------------------------------------------------------


def npy(text: str, body: bytes = b"", version: int = 1) -> bytes:
    head = text.encode("latin1") + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(head)) + head + body


def header(descr: str, shape: str, order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


HEADERS = {
    "10^12 rows": npy(header("'|u1'", "(1000000000000, 8, 8)")),
    "overflow": npy(header("'<f4'", "(9223372036854775807, 9)")),
    "far beyond 64 bits": npy(header("'<f4'", f"({10**100}, 9)")),
    "negative": npy(header("'|u1'", "(-1, 8)")),
    "two negatives": npy(header("'|u1'", "(-8, -8)"), bytes(64)),
    "floats": npy(header("'|u1'", "(2.0, 8)")),
    "bools": npy(header("'|u1'", "(True, True)")),
    "100 axes": npy(header("'|u1'", f"({'1, ' * 100})"), b"x"),
    "one byte too few": npy(header("'|u1'", "(9, 8)"), bytes(71)),
    "one byte too many": npy(header("'|u1'", "(9, 8)"), bytes(73)),
    "objects": npy(header("'|O'", "(3,)"), bytes(24)),
    "objects inside": npy(header("[('a', '|O')]", "(3,)"), bytes(24)),
    "no bytes": npy(header("'|S0'", "(10, 10)")),
    "huge type": npy(header("'|S2000000000'", "(1000, )")),
    "type of types": npy(header("[[['<f4']]]", "(3,)")),
    "code": npy("__import__('os').system('touch pwned')"),
    "nested": npy("[" * 9000),
    "nested brackets": npy("(" * 4000 + ")" * 4000),
    "long": npy(" " * 60000),
    "length of 4 GB": b"\x93NUMPY\2\0\xff\xff\xff\xff{",
    "version 9": npy(header("'|u1'", "(3,)"), bytes(3), version=9),
    "keys": npy("{'descr': '|u1'}"),
    "a set": npy("{1, 2}"),
    "a number of 4,500 digits": npy(header("'|u1'", f"({'9' * 4500}, )")),
    "no header": b"\x93NUMPY",
    "nothing": b"",
}


@pytest.mark.parametrize("name", [*HEADERS])
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_headers_of_arrays(place: Path, name: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    path = place / f"a.{form}"
    if form == "npy":
        path.write_bytes(HEADERS[name])
    else:
        zipped(path, {"images.npy": HEADERS[name]})
    message = str(refused(path))
    assert "a.np" in message
    assert len(message) < 15_000
    assert not (place / "pwned").exists()


def zipped(path: Path, parts: dict[str, bytes], edit: Callable[[bytes], bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    if edit:
        path.write_bytes(edit(path.read_bytes()))
    return path


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


IMAGES = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)


def test_only_the_arrays_that_are_used_are_read(place: Path) -> None:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], object), allow_pickle=True)
    parts = {"images.npy": saved(IMAGES), "other.npy": pickled.getvalue(), "huge.npy": HEADERS["10^12 rows"]}
    assert len(open_data(DataConfig(source=str(zipped(place / "a.npz", parts)), held_out=0))) == 300


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (np.full(300, -1), "not negative"),
        (np.zeros(300), "dtype float64"),
        (np.zeros(5, int), "do not match"),
        (np.zeros((300, 1), int), "do not match"),
        (np.zeros(300, complex), "dtype complex"),
        (np.zeros(300, [("a", "f4")]), "cannot be used"),
        (np.full(300, "2020-01-01", "M8[D]"), "cannot be used"),
        (np.full(300, b"\xff"), "cannot be used"),
        (np.frombuffer(b"\xff\xff\xff\x7f" * 300, "<U1"), "no text"),
        (np.frombuffer(b"\x00\xd8\x00\x00" * 300, "<U1"), "no text"),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, np.ndarray) else None,
)
def test_labels_that_are_none(place: Path, labels: np.ndarray, word: str) -> None:
    path = zipped(place / "a.npz", {"images.npy": saved(IMAGES), "labels.npy": saved(labels)})
    assert word in str(refused(path))


@pytest.mark.parametrize("labels", [np.full(300, 2**31), np.full(300, 2**64 - 1, np.uint64), np.zeros(300, bool)])
def test_labels_that_are_odd_and_usable(place: Path, labels: np.ndarray) -> None:
    path = zipped(place / "a.npz", {"images.npy": saved(IMAGES), "labels.npy": saved(labels)})
    store = answered(path)
    assert isinstance(store, Store)
    assert store.class_names == (str(labels[0]),)


def encrypted(raw: bytes) -> bytes:
    content = bytearray(raw)
    content[content.find(b"PK\1\2") + 8] |= 1
    content[content.find(b"PK\3\4") + 6] |= 1
    return bytes(content)


def method(number: int) -> Callable[[bytes], bytes]:
    def edit(raw: bytes) -> bytes:
        content = bytearray(raw)
        content[content.find(b"PK\1\2") + 10] = number
        content[content.find(b"PK\3\4") + 8] = number
        return bytes(content)

    return edit


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda raw: raw[:-30],
    "half": lambda raw: raw[: len(raw) // 2],
    "encrypted": encrypted,
    "unknown method": method(99),
    "LZMA that is none": method(14),
    "BZIP2 that is none": method(12),
    "a byte changed": lambda raw: raw[:60] + bytes([raw[60] ^ 255]) + raw[61:],
    "entries overlap": lambda raw: raw.replace(b"PK\3\4", b"PK\3\5", 1),
}


@pytest.mark.parametrize("name", [*EDITS])
@pytest.mark.parametrize("form", ["npz", "zip"])
def test_damaged_archives(place: Path, name: str, form: str) -> None:
    content = saved(IMAGES) if form == "npz" else png()
    path = zipped(place / f"a.{form}", {"images.npy" if form == "npz" else "a.png": content}, EDITS[name])
    assert "a." in str(refused(path))


@pytest.mark.parametrize("parts", [{}, {"images.npy": b"no"}, {"images.txt": b"no"}, {"labels.npy": saved(IMAGES)}])
def test_npz_without_data(place: Path, parts: dict[str, bytes]) -> None:
    assert "a.npz" in str(refused(zipped(place / "a.npz", parts)))


def test_npz_that_claims_what_is_not_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = npy(header("'|u1'", "(8388608, 32, 32)"), bytes(9999))
    path = zipped(place / "a.npz", {"images.npy": claim})
    monkeypatch.setattr(sizes, "free_memory", lambda: 2**40)
    assert "got: 9,999 bytes" in str(refused(path))
    monkeypatch.setattr(sizes, "free_memory", lambda: 4 * 10**9)
    assert "this needs 8.6 GB, and 4.0 GB are free" in str(refused(path))


def test_a_part_that_holds_more_than_its_header_says_is_counted(place: Path) -> None:
    path = zipped(place / "a.npz", {"images.npy": npy(header("'|u1'", "(9, 8, 8)"), bytes(50 << 20))})
    assert "got: more" in str(refused(path))


NEEDS: dict[str, tuple[Make, dict[str, object]]] = {
    "digits": (lambda _: Path("digits"), {"size": 65_536}),
    "an array": (lambda place: write(place / "a.npy", saved(IMAGES)), {"size": (65_536, 60_000)}),
    "a folder": (folder, {"size": 65_536, "channels": 4}),
}


@pytest.mark.parametrize("name", [*NEEDS])
def test_what_would_not_fit_is_refused_with_its_figure(place: Path, tmp_path: Path, name: str) -> None:
    make, wanted = NEEDS[name]
    error = refused(make(place), **wanted)
    assert isinstance(error, TooLarge)
    assert "this needs" in str(error)
    assert "are free" in str(error)
    assert not [*(tmp_path / "cache").rglob("*.bin")]


def idx(place: Path, content: bytes, labels: bytes | None = None, *, suffix: str = "") -> Path:
    (place / f"train-images-idx3-ubyte{suffix}").write_bytes(content)
    if labels is not None:
        (place / "train-labels-idx1-ubyte").write_bytes(labels)
    return place


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


FULL: dict[str, Make] = {
    "float images": lambda place: write(place / "a.npy", saved(IMAGES / 255)),
    "float64 points": lambda place: write(place / "a.npy", saved(IMAGES[0].astype(float))),
    "part of an npz": lambda place: zipped(place / "a.npz", {"x.npy": saved(IMAGES)}),
    "idx": lambda place: idx(place, struct.pack(">IIII", 0x803, 300, 8, 8) + IMAGES.tobytes()),
}


@pytest.mark.parametrize("name", [*FULL])
def test_a_full_memory_is_told_before_anything_is_allocated(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = FULL[name](place)
    assert isinstance(answered(source), Store)
    monkeypatch.setattr(sizes, "free_memory", lambda: 100)
    error = refused(source)
    assert isinstance(error, TooLarge)
    assert "and 100 B are free" in str(error)


def test_a_table_is_counted_while_it_is_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(place / "a.csv", b"1,2\n" * 3000)
    monkeypatch.setattr(columns, "PIECE", 1000)
    monkeypatch.setattr(sizes, "free_memory", lambda: 16_000)
    assert "this needs 24.0 kB" in str(refused(path))


def test_a_full_disk_is_told_before_anything_is_written(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 500))
    with pytest.raises(TooLarge, match="this needs 537 B, and 500 B are free"):
        open_data(DataConfig(source=str(folder(place))))
    assert not [*(tmp_path / "cache").rglob("*.bin")]


def test_an_allocation_that_fails_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    path = write(place / "a.npy", saved(IMAGES / 255))
    monkeypatch.setattr("saddle.data.formats.arrays.conform", fail)
    assert isinstance(refused(path), TooLarge)


# --- idx, tables, points --------------------------------------------------------------------------------------------

FIVE = struct.pack(">IIII", 0x803, 5, 8, 8) + bytes(320)
BROKEN_IDX: dict[str, Make] = {
    "-1 images": lambda place: idx(place, struct.pack(">IIII", 0x803, 2**32 - 1, 8, 8)),
    "2^93 bytes": lambda place: idx(place, struct.pack(">IIII", 0x803, 2**31, 2**31, 2**31)),
    "2^93 bytes, packed": lambda place: idx(place, gzip.compress(struct.pack(">IIII", 0x803, 2**31, 2**31, 2**31))),
    "no images": lambda place: idx(place, struct.pack(">IIII", 0x803, 0, 8, 8)),
    "no pixels": lambda place: idx(place, struct.pack(">IIII", 0x803, 5, 0, 8)),
    "tail": lambda place: idx(place, FIVE + b"x"),
    "gz with a tail": lambda place: idx(place, gzip.compress(FIVE) + b"tail", suffix=".gz"),
    "gz cut": lambda place: idx(place, gzip.compress(FIVE)[:-4], suffix=".gz"),
    "gz of gz": lambda place: idx(place, gzip.compress(gzip.compress(FIVE)), suffix=".gz"),
    "gz that holds 50 MB more": lambda place: idx(place, gzip.compress(FIVE + bytes(50 << 20)), suffix=".gz"),
    "label 255": lambda place: idx(place, FIVE, struct.pack(">II", 0x801, 5) + b"\xff" * 5),
    "too few labels": lambda place: idx(place, FIVE, struct.pack(">II", 0x801, 4) + bytes(4)),
    "labels of -1": lambda place: idx(place, FIVE, struct.pack(">II", 0x801, 2**32 - 1)),
    "no labels": lambda place: idx(place, FIVE, b""),
    "labels are images": lambda place: idx(place, FIVE, FIVE),
}


@pytest.mark.parametrize("name", [*BROKEN_IDX])
def test_broken_idx_files(place: Path, name: str) -> None:
    error = refused(BROKEN_IDX[name](place))
    assert isinstance(error, DataError)
    assert "-ubyte" in str(error)


TABLES: dict[str, bytes] = {
    "binary": np.random.default_rng(0).bytes(3000),
    "NUL": b"1,2\n\0,3\n",
    "long cell": b"a\n" + b"1" * 200_000 + b"\n",
    "long number": b"a\n" + b"1" * 100_000 + b"\n",
    "ragged": b"1,2\n3\n",
    "1e400": b"1e400,2\n3,4\n",
    "empty": b"",
    "header alone": b"a,b\n",
    "blank": b"\n\n\n  \n",
    "UTF-16": "a\n1\n".encode("utf-16"),
    "UTF-32": "a\n1\n".encode("utf-32"),
    "escapes": b"\x1b[31m,b\n\x1b]0;x\x07,1\n",
    "open quote": b'1,2\n"3,4\n' + b"5,6\n" * 50_000,
    "infinite": b"1,2\ninf,3\n",
    "too far apart": b"-3e38\n3e38\n",
    "200,000 names": b",".join(b"n%d" % n for n in range(200_000)) + b"\n1\n",
}


@pytest.mark.parametrize("name", [*TABLES])
def test_broken_tables(place: Path, name: str) -> None:
    message = str(refused(write(place / "a.csv", TABLES[name])))
    assert "a.csv" in message
    assert len(message) < 2000
    assert "\x1b" not in message


@pytest.mark.parametrize("name", ["one line", "one row of many lines"])
def test_rows_without_end_are_not_read_to_the_end(place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(columns, "LONGEST", 1000)
    text = b"1," * 10**6 if name == "one line" else b'1,"\n",' * 10**6
    path = write(place / "a.csv", text)
    taken: list[int] = []
    original = columns._numbers
    monkeypatch.setattr(columns, "_numbers", lambda *given: taken.append(len(given[2])) or original(*given))
    assert "longer than 1,000 characters" in str(refused(path))
    assert not taken


def test_a_very_wide_table_is_described_shortly(place: Path) -> None:
    found = inspected(write(place / "a.csv", b",".join([b"1"] * 20_000) + b"\n"))
    assert all(len(value) < 1000 for _, value in found.facts)


@pytest.mark.parametrize(
    "source",
    [
        *("ring(99999999999)", "gaussian(1e308,1e308)", "ring(8", "grid(nan)", "uniform(-1e308,1e308)"),
        *("uniform(-3e38,3e38)", "gaussian(0,1e38)", "gaussian(1e39)", "mixture(-2e38,2e38)", "gaussian(1e999)"),
        *("gaussian(0,-1)", "gaussian(0,1,1e9)", "grid(9.5)", "mixture()", "ring(8)(8)", "ring(" * 5000),
        *("ring(" + "9" * 5000 + ")", "ring(__import__('os'))", "ring(8, modes=8)", "ring(**{})", "mixture((), ())"),
        *("gaussian(-1e-999, 0)", "mixture(" + "(0, 0), " * 3 + "(0,))", "ring(1_0_)", "ring(8\0)", "ring('8')"),
    ],
    ids=lambda source: ascii(source[:20]),
)
def test_points_of_impossible_numbers(source: str) -> None:
    assert isinstance(refused(source), DataError)


ARRAYS: dict[str, tuple[np.ndarray, str]] = {
    "0-d": (np.float32(1), "one number"),
    "structured": (np.zeros(5, [("a", "f4")]), "no numbers"),
    "nan": (np.array([[1, np.nan]], "f4"), "not finite"),
    "1e300": (np.full((9, 2), 1e300), "not finite"),
    "too far apart": (np.array([[-3e38], [3e38]], "f4"), "too far apart"),
    "complex": (np.zeros((5, 2), complex), "no numbers"),
    "dates": (np.zeros(5, "M8[s]"), "no numbers"),
    "text": (np.array(["1", "2"]), "no numbers"),
    "empty": (np.zeros((0, 8, 8), np.uint8), "no data"),
    "empty images": (np.zeros((5, 0, 8), np.uint8), "no data"),
    "five axes": (np.zeros((2, 2, 2, 2, 2)), "neither a shape"),
    "seven channels": (np.zeros((2, 7, 9, 9), np.uint8), "neither a shape"),
}


@pytest.mark.parametrize("name", [*ARRAYS])
def test_arrays_of_what_cannot_be_used(place: Path, name: str) -> None:
    array, word = ARRAYS[name]
    assert word in str(refused(write(place / "a.npy", saved(array))))
    if name != "structured":
        assert word in str(refused(zipped(place / "a.npz", {"x.npy": saved(array)})))


# --- zips, images, archives -----------------------------------------------------------------------------------------


def test_names_in_a_zip_are_no_paths_on_disk(place: Path, tmp_path: Path) -> None:
    inner = place / "inner"
    inner.mkdir()
    names = ["../../a.png", "/b.png", "..\\..\\c.png", "C:\\d.png", "x/../../../e.png", "/etc/passwd.png"]
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    path = zipped(inner / "a.zip", {name: png(number) for number, name in enumerate(names)})
    answered(path)
    refused_or_not = answered(path, max_unreadable=1)
    assert isinstance(refused_or_not, Store | DataError)
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == {*before, path}
    cached = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert set(cached) <= {"values.bin", "held_out.bin", "labels.npy", "entry.json"}


def test_a_link_in_a_zip_is_not_followed(place: Path) -> None:
    secret = write(place / "secret.png", png(1))
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, os.fspath(secret))
        archive.writestr("b.png", png(2))
    (skipped,) = inspected(place / "a.zip").skipped
    assert skipped.path == "link.png"
    assert skipped.reason == "not an image of a known format"


@pytest.mark.parametrize("claimed", [0, 1000, 2**31])
def test_a_part_that_lies_about_its_size_is_counted(place: Path, claimed: int) -> None:
    size = 3 << 20
    edit = lambda raw: raw.replace(struct.pack("<I", size), struct.pack("<I", claimed))  # noqa: E731
    path = zipped(place / "a.zip", {"a.png": bytes(size), "b.png": png()}, edit)
    (skipped,) = inspected(path).skipped
    assert skipped.path == "a.png"


def test_a_part_that_is_too_large_is_skipped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saddle.data.formats.decoding.LARGEST_FILE", 1000)
    path = zipped(place / "a.zip", {"a.png": bytes(1001), "b.png": png()})
    write(folder(place / "f" if (place / "f").mkdir() is None else place) / "x.png", bytes(1001))
    assert [item.reason for item in inspected(path).skipped] == ["more than 1.0 kB"]
    assert [item.path for item in inspected(place / "f").skipped] == ["x.png"]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def zeros(count: int, bits: int = 15) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(count >> 20)) + packer.flush()


def picture(width: int, height: int, body: bytes) -> bytes:
    start = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


BOMBS: dict[str, Callable[[], bytes]] = {
    "60000 x 60000": lambda: picture(60_000, 60_000, zeros(1 << 20)),
    "2^31 x 2^31": lambda: picture(2**31 - 1, 2**31 - 1, b""),
    "0 x 0": lambda: picture(0, 0, b""),
    "long text": lambda: png()[:33] + chunk(b"zTXt", b"a\0\0" + zeros(64 << 20)) + png()[33:],
    "long profile": lambda: png()[:33] + chunk(b"iCCP", b"a\0\0" + zeros(64 << 20)) + png()[33:],
    "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "HTML": lambda: b"<html>",
    "cut": lambda: png()[:50],
    "GIF of 65535 x 65535": lambda: b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\0\0\0\0\xff\xff\xff\xff\0\x08\0",
    "BMP of -2^31": lambda: (
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, -(2**31), -(2**31), 1, 8, 0, 0, 0, 0, 0, 0)
    ),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("name", [*BOMBS])
def test_images_that_are_none_are_skipped_and_named(place: Path, name: str) -> None:
    write(folder(place) / "x.png", BOMBS[name]())
    assert [item.path for item in inspected(place).skipped] == ["x.png"]
    assert len(open_data(DataConfig(source=str(place), max_unreadable=1))) == 8


def tar(path: Path, edit: Callable[[tarfile.TarInfo], bytes | None], names: tuple[str, ...] | None = None) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        for name in names or (*cifar10.FILES["train"], *cifar10.FILES["test"]):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = cifar10.RECORD
            content = edit(info)
            archive.addfile(info, io.BytesIO(bytes(info.size) if content is None else content))
    return path


def raw_tar(size: bytes) -> bytes:
    """A header that claims a file of ``size``, given as the 12 bytes of the field; nothing follows."""
    info = bytearray(tarfile.TarInfo("data_batch_1.bin").tobuf(tarfile.GNU_FORMAT))
    info[124:136] = size
    info[148:156] = b" " * 8
    info[148:156] = b"%06o\0 " % sum(info)
    return gzip.compress(bytes(info))


TARS: dict[str, Callable[[], bytes]] = {
    "a file of 8 GB": lambda: raw_tar(b"%011o\0" % (2**33 - 1)),
    "a file of 2^90 bytes": lambda: raw_tar(b"\x80" + b"\xff" * 11),
    "a file of -1 bytes": lambda: raw_tar(b"\xff" * 12),
    "a file of -512 bytes": lambda: raw_tar(b"\xff" * 10 + b"\xfe\0"),
    "zeros": lambda: gzip.compress(bytes(1 << 20)),
    "junk": lambda: gzip.compress(np.random.default_rng(0).bytes(5000)),
    "no gzip": lambda: b"no archive at all" * 100,
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("name", [*TARS])
def test_archives_of_cifar10_that_are_none(place: Path, name: str) -> None:
    path = write(place / cifar10.ARCHIVE, TARS[name]())
    assert cifar10.ARCHIVE in str(refused(path))


def test_a_sparse_file_in_the_archive_is_counted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "LARGEST_FILE", 100_000)

    def large(info: tarfile.TarInfo) -> None:
        info.size = 200_000

    assert "more than" in str(refused(tar(place / cifar10.ARCHIVE, large)))


def test_what_lies_beside_the_data_in_the_archive_is_no_matter(place: Path) -> None:
    def plain(_: tarfile.TarInfo) -> None:
        return None

    names = ("../../evil.bin", "/etc/evil.bin", *cifar10.FILES["train"])
    store = answered(tar(place / cifar10.ARCHIVE, plain, names))
    assert isinstance(store, Store)
    assert len(store) == 5


# --- anything at all ------------------------------------------------------------------------------------------------


def try_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for look in (open_data, inspect_data):
        try:
            look(DataConfig(source=str(path), max_unreadable=1))
        except SaddleError as error:
            assert str(error)


STARTS = {
    "npy": st.sampled_from([b"", b"\x93NUMPY\1\0", npy(header("'<f4'", "(3, 2)")), saved(IMAGES[:2])[:100]]),
    "npz": st.sampled_from([b"", b"PK\3\4", b"PK\5\6" + bytes(18)]),
    "csv": st.sampled_from([b"", b"a,b\n", b"1,2\n", b'"', b"\xef\xbb\xbf"]),
    "zip": st.sampled_from([b"", b"PK\3\4", b"PK\5\6" + bytes(18)]),
    "png": st.sampled_from([b"", png()[:40], b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP", b"P6 "]),
    "idx": st.sampled_from([b"", b"\0\0\x08\3", FIVE[:16], b"\x1f\x8b\x08"]),
}


@pytest.mark.parametrize("form", [*STARTS])
@SMALL
@given(data=st.data())
def test_random_bytes_are_answered(tmp_path: Path, form: str, data: st.DataObject) -> None:
    content = data.draw(STARTS[form]) + data.draw(st.binary(max_size=300))
    place = tmp_path / form
    place.mkdir(exist_ok=True)
    if form == "png":
        write(place / "x.png", content)
        write(place / "y.png", png())
        assert answered(place, max_unreadable=1)
    elif form == "idx":
        idx(place, content, data.draw(st.none() | st.binary(max_size=20)))
        assert answered(place)
    else:
        try_bytes(place / f"a.{form}", content)


WHOLE: dict[str, bytes] = {
    "a.npy": saved(IMAGES[:3]),
    "b.npy": saved(np.arange(12.0).reshape(6, 2)),
    "c.csv": b"x,y\n1,2\n3,4\n5.5,-6e1\n",
}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    place = tmp_path_factory.mktemp("archives")
    labels = np.arange(3)
    return {
        "d.npz": zipped(place / "d.npz", {"x.npy": saved(IMAGES[:3]), "labels.npy": saved(labels)}).read_bytes(),
        "e.zip": zipped(place / "e.zip", {"a/1.png": png(1), "b/2.png": png(2)}).read_bytes(),
        cifar10.ARCHIVE: tar(place / "f.tar.gz", lambda _: None).read_bytes(),
    }


@pytest.mark.parametrize("name", [*WHOLE, "d.npz", "e.zip", cifar10.ARCHIVE])
@SMALL
@given(data=st.data())
def test_good_files_with_changed_bytes_are_answered(
    tmp_path: Path, archives: dict[str, bytes], name: str, data: st.DataObject
) -> None:
    content = bytearray((WHOLE | archives)[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    try_bytes(tmp_path / name, bytes(content[:cut]))


@settings(SMALL, max_examples=20)
@given(source=st.text(max_size=30) | st.from_regex(r"(ring|grid|uniform|gaussian|mixture)\([0-9e.,=+*() -]{0,15}\)?"))
def test_random_sources_are_answered(source: str) -> None:
    assert answered(source)


@settings(SMALL, max_examples=25)
@given(
    size=st.none() | st.integers(1, 40) | st.integers(200, 65_536) | st.tuples(*[st.integers(1, 40)] * 2),
    fit=st.sampled_from(["crop", "pad", "stretch"]),
    channels=st.sampled_from([None, 1, 3, 4]),
    held_out=st.floats(0, 1, exclude_max=True),
    first=st.none() | st.integers(1, 10**9),
)
def test_random_settings_are_answered(monkeypatch: pytest.MonkeyPatch, **wanted: Any) -> None:
    monkeypatch.setattr(sizes, "free_memory", lambda: 10**8)
    assert answered("digits", **wanted) is not None


# --- as a user would, with little memory ----------------------------------------------------------------------------


# Between pytest and the command: what a process has used counts that of the one it was forked from.
MEASURE = """
import resource, subprocess, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
code = subprocess.call(sys.argv[2:], stderr=subprocess.STDOUT)
print("\\n", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code, flush=True)
"""


def command(source: object, *more: str, limit: float, seconds: float = 60) -> tuple[int, str, int]:
    """Exit code, output and the largest memory in bytes of ``saddle data inspect`` with so many GiB of addresses."""
    words = [sys.executable, "-m", "saddle", "data", "inspect", str(source), *more]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(int(limit * 2**30)), *words],
        capture_output=True,
        timeout=seconds,
        check=True,
    )
    output, _, last = done.stdout.decode(errors="replace").rstrip().rpartition("\n")
    used, code = map(int, last.split())
    return code, output, used * 1024


UNREADABLE = ("--set", "data.max_unreadable=1")
LARGE: dict[str, tuple[Make, float]] = {
    "gzip of 2 GB": (
        lambda place: idx(
            place, gzip.compress(struct.pack(">IIII", 0x803, 2**20, 32, 64))[:-8] + zeros(2 << 30, 31), suffix=".gz"
        ),
        1.5,
    ),
    "npz that claims 8 GB": (
        lambda place: zipped(place / "a.npz", {"x.npy": npy(header("'|u1'", "(8388608, 32, 32)"), bytes(9999))}),
        4,
    ),
    "digits of 65,536 pixels": (lambda _: Path("digits"), 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LARGE])
def test_large_claims_are_refused_with_little_memory(
    place: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, limit = LARGE[name]
    more = ("--set", "data.size=65536") if name.startswith("digits") else ()
    code, output, _ = command(make(place), *more, limit=limit)
    assert code == 2, output
    assert "Traceback" not in output
    assert not (tmp_path / "preview.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1 GB of text in a PNG", "600 MB that a zip calls 1,000 bytes", "60000 x 60000"])
def test_bombs_take_little_memory(place: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name.startswith("600"):
        edit = lambda raw: raw.replace(struct.pack("<I", 600 << 20), struct.pack("<I", 1000))  # noqa: E731
        source = zipped(place / "a.zip", {"a.png": bytes(600 << 20), "b.png": png()}, edit)
    elif name.startswith("1 GB"):
        text = chunk(b"zTXt", b"a\0\0" + zeros(1 << 30))
        source = write(folder(place) / "x.png", png()[:33] + text + png()[33:]).parent
    else:
        source = write(folder(place) / "x.png", picture(60_000, 60_000, zeros(64 << 20))).parent
    code, output, used = command(source, *UNREADABLE, limit=2)
    assert code == 0, output
    assert "skipped" in output
    assert used < 500e6


def test_limits_are_what_is_told() -> None:
    assert reading.LARGEST_FILE == 2**28
