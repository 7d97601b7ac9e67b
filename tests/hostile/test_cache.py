"""The cache of decoded images, damaged in every way: found, said, made again, and nothing outside it touched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from saddle.base.progress import Silent
from saddle.config.schema import DataConfig
from saddle.data import Store, open_data
from saddle.data.cache import cache_contents, clear_cache
from saddle.data.formats import entry as entries
from saddle.errors import DataError, SaddleError, TooLarge

FILES = ["values.bin", "held_out.bin", "labels.npy", "entry.json"]


class Said(Silent):
    """What was said, and what was begun."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begun: list[str] = []

    def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
        self.begun.append(what)

    def say(self, text: str) -> None:
        self.lines.append(text)


def pets(path: Path, seed: int = 0) -> Path:
    """300 images of two classes, 50 of which are held out."""
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(300):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (6, 5), np.uint8)).save(file, "BMP")
            archive.writestr(f"{'ab'[number % 2]}/{number}.bmp", file.getvalue())
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """These images, and the cache after they were read once."""
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SADDLE_CACHE", str(place / "cache"))
        read(pets(place / "pets.zip"))
    return place


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return shutil.copy(made / "pets.zip", tmp_path / "pets.zip")


@pytest.fixture
def cached(made: Path, tmp_path: Path) -> Path:
    """The entry of these images."""
    shutil.copytree(made / "cache", tmp_path / "cache")
    (found,) = (tmp_path / "cache" / "images").iterdir()
    assert sorted(path.name for path in found.iterdir()) == sorted(FILES)
    return found


def read(data: Path, said: Said | None = None) -> Store:
    """Open as a new process does, which has checked nothing yet."""
    entries._checked.clear()
    store = open_data(DataConfig(source=str(data)), progress=said or Said())
    assert store.held_out is not None
    held_out = replace(store.held_out, values=np.array(store.held_out.values))
    return replace(store, values=np.array(store.values), held_out=held_out)  # no longer mapped to what is damaged next


def same(one: Store, other: Store) -> bool:
    assert one.labels is not None
    assert other.labels is not None
    assert one.held_out is not None
    assert other.held_out is not None
    return (
        bool((one.values == other.values).all())
        and one.labels.tolist() == other.labels.tolist()
        and bool((one.held_out.values == other.held_out.values).all())
        and one.fingerprint == other.fingerprint
        and one.class_names == other.class_names
    )


def check_remade(data: Path, cached: Path, change: Callable[[], object]) -> str:
    """After ``change``, the data are as they were, and something was said once; what."""
    before = read(data)
    kept = {name: (cached / name).read_bytes() for name in FILES}
    change()
    said = Said()
    assert same(before, read(data, said))
    assert {name: (cached / name).read_bytes() for name in FILES} == kept
    (line,) = said.lines
    assert line.startswith("the cached images of pets.zip are damaged and are decoded again: ")
    assert said.begun == ["decoding images"]
    again = Said()
    assert same(before, read(data, again))
    assert (again.lines, again.begun) == ([], [])
    return line


def flip(path: Path, position: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0, 0.3, 0.999])
@pytest.mark.parametrize("name", FILES)
def test_one_bit_is_found(data: Path, cached: Path, name: str, place: float) -> None:
    size = (cached / name).stat().st_size
    assert name in check_remade(data, cached, lambda: flip(cached / name, int(size * place), 3))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, 5),
    "one byte shorter": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "one byte longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a full folder": lambda path: (path.unlink(), path.mkdir(), (path / "x").touch()),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "a link to a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("kind", [*DAMAGE])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_what_it_was(data: Path, cached: Path, name: str, kind: str) -> None:
    assert name in check_remade(data, cached, lambda: DAMAGE[kind](cached / name))


def test_two_files_that_changed_places(data: Path, cached: Path) -> None:
    def swap() -> None:
        (cached / "values.bin").rename(cached / "x")
        (cached / "held_out.bin").rename(cached / "values.bin")
        (cached / "x").rename(cached / "held_out.bin")

    assert "values.bin" in check_remade(data, cached, swap)


def test_values_of_another_entry_of_the_same_shape(data: Path, cached: Path, tmp_path: Path) -> None:
    read(pets(tmp_path / "other.zip", seed=1))
    (second,) = (path for path in cached.parent.iterdir() if path != cached)
    assert "values.bin" in check_remade(data, cached, lambda: shutil.copy(second / "values.bin", cached / "values.bin"))


def seal(cached: Path, **changed: Any) -> None:
    """Write ``entry.json`` with other facts and a right checksum."""
    path = cached / "entry.json"
    facts = json.loads(json.loads(path.read_bytes())["facts"]) | changed
    text = json.dumps({key: value for key, value in facts.items() if value != "left out"})
    path.write_text(json.dumps({"facts": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}))


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": [1, 6]},
        {"shape": [1, 6, -5]},
        {"shape": [1, 5, 7]},
        {"shape": [1, 6, 10**30]},
        {"shape": ["1", "6", "5"]},
        {"shape": None},
        {"shape": "left out"},
        {"trained": 0},
        {"trained": -250},
        {"trained": 2.5},
        {"trained": 10**18},
        {"trained": True},
        {"held_out": -1},
        {"held_out": 51},
        {"class_names": ["a"]},
        {"class_names": ["a", 1]},
        {"class_names": {"a": "b"}},
        {"fingerprint": "x"},
        {"fingerprint": 5},
        {"skipped": [1]},
        {"skipped": [{"path": "x"}]},
        {"skipped": [{"path": "x", "reason": 5}]},
        {"notes": [["a"]]},
        {"notes": 5},
        {"sums": {}},
        {"sums": []},
        {"sums": {"values.bin": ["x"], "held_out.bin": [], "labels.npy": []}},
        {"sums": {"values.bin": [], "held_out.bin": [], "labels.npy": []}},
        {"more": 1},
    ],
    ids=str,
)
def test_facts_that_do_not_fit_under_a_right_checksum(data: Path, cached: Path, changed: dict[str, Any]) -> None:
    check_remade(data, cached, lambda: seal(cached, **changed))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"facts": 1, "sha256": ""}', b"[" * 100_000, b'{"facts":"{}","sha256":"x"}'],
    ids=lambda content: ascii(content[:20]),
)
def test_an_entry_file_that_is_none(data: Path, cached: Path, content: bytes) -> None:
    assert "entry.json" in check_remade(data, cached, lambda: (cached / "entry.json").write_bytes(content))


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros(300, np.int32),
        np.zeros(299, np.int64),
        np.zeros((300, 1), np.int64),
        np.full(300, 2, np.int64),
        np.full(300, -1, np.int64),
        np.zeros(300, "U1"),
        np.zeros(0, np.int64),
    ],
    ids=lambda labels: f"{labels.dtype} {labels.shape}",
)
def test_labels_that_do_not_fit_under_a_right_checksum(data: Path, cached: Path, labels: np.ndarray) -> None:
    def change() -> None:
        np.save(cached / "labels.npy", labels)
        sums = json.loads(json.loads((cached / "entry.json").read_bytes())["facts"])["sums"]
        seal(cached, sums=sums | {"labels.npy": [entries.zlib.crc32((cached / "labels.npy").read_bytes())]})

    assert "labels.npy" in check_remade(data, cached, change)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_random_damage_is_found(data: Path, cached: Path, tmp_path: Path, draw: st.DataObject) -> None:
    spare = tmp_path / "spare"
    if not spare.exists():
        shutil.copytree(cached, spare)
    name = draw.draw(st.sampled_from(FILES))
    content = bytearray((spare / name).read_bytes())
    for _ in range(draw.draw(st.integers(1, 3))):
        position = draw.draw(st.integers(0, len(content) - 1))
        content[position : position + draw.draw(st.integers(1, 8))] = draw.draw(st.binary(max_size=8))
    entries._checked.clear()
    if content == (spare / name).read_bytes():
        return
    try:
        (cached / name).write_bytes(content)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            entries.load_entry(cached, "pets", Silent())
    finally:
        shutil.copy(spare / name, cached / name)


# --- the entry and the folders around it ----------------------------------------------------------------------------


def test_an_entry_that_is_a_file_or_a_fifo(data: Path, cached: Path) -> None:
    for make in (lambda: cached.write_text("x"), lambda: os.mkfifo(cached)):
        shutil.rmtree(cached)
        make()
        said = Said()
        assert len(read(data, said)) == 250
        assert "damaged" in said.lines[0]


def test_an_entry_that_is_a_link_leaves_what_is_there(data: Path, cached: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "values.bin").write_text("precious")
    shutil.rmtree(cached)
    cached.symlink_to(outside)
    assert len(read(data)) == 250
    assert (outside / "values.bin").read_text() == "precious"
    assert [path.name for path in outside.iterdir()] == ["values.bin"]
    assert not cached.is_symlink()


def test_files_of_an_entry_that_are_links_are_not_written_through(data: Path, cached: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in FILES:
        (cached / name).unlink()
        (cached / name).symlink_to(victim)
    assert len(read(data)) == 250
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("place", ["cache", "cache/images"])
@pytest.mark.parametrize("kind", ["a file", "a FIFO", "a link to itself", "a link to nothing"])
def test_a_cache_that_is_no_folder(data: Path, tmp_path: Path, place: str, kind: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    if kind == "a file":
        path.write_text("x")
    elif kind == "a FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to(path.name if kind == "a link to itself" else "nowhere/at/all")
    with pytest.raises(DataError, match="SADDLE_CACHE"):
        read(data)


@pytest.mark.parametrize("place", ["nope" * 100, "~nosuchuser/x", "/dev/null/x", "/proc/nowhere"])
def test_a_cache_that_cannot_be(data: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("SADDLE_CACHE", place)
    with pytest.raises(DataError, match="SADDLE_CACHE"):
        read(data)
    for ask in (cache_contents, clear_cache):
        try:
            ask()
        except SaddleError as error:
            assert place[:4] in str(error) or "SADDLE_CACHE" in str(error)


def test_a_cache_whose_name_is_not_utf8(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SADDLE_CACHE", os.fsdecode(os.fsencode(tmp_path) + b"/c\xff"))
    assert same(read(data), read(data))


def test_what_is_checked_once_is_not_checked_again(data: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read(data)) == 250
    monkeypatch.setattr(entries, "_blocks", lambda _: pytest.fail("read again"))
    assert len(open_data(DataConfig(source=str(data)))) == 250
    assert len(open_data(DataConfig(source=str(data), split="test"))) == 50


def test_a_long_check_shows_how_far_it_is(data: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_LONG", 5000)
    said = Said()
    assert len(read(data, said)) == 250
    assert said.begun == ["checking cached images"]


def test_blocks_have_checksums_of_their_own(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "BLOCK", 1000)
    read(data)
    (cached,) = (tmp_path / "cache" / "images").iterdir()
    assert "values.bin has changed after byte 7,000" in check_remade(
        data, cached, lambda: flip(cached / "values.bin", 7499, 0)
    )


def test_an_entry_that_cannot_be_mapped_is_not_called_damaged(
    data: Path, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(np, "memmap", fail)
    with pytest.raises(TooLarge, match="cannot be mapped"):
        read(data)
    assert (cached / "entry.json").exists()


def test_a_failed_repair_leaves_nothing_half_made(tmp_path: Path):
    """The source is as it was by name, size and time, but its content is gone."""
    source = tmp_path / "pets"
    with zipfile.ZipFile(pets(tmp_path / "pets.zip")) as archive:
        archive.extractall(source)
    read(source)
    (cached,) = (tmp_path / "cache" / "images").iterdir()
    flip(cached / "values.bin", 0, 0)
    for path in source.rglob("*.bmp"):
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match="none of the 300 images"):
        read(source)
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]


@pytest.mark.slow
def test_a_training_on_a_damaged_cache_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")

    def train(out: str) -> str:
        words = ["train", "digits", "--threads", "1", "--set", "images=1000", "--data", "f", "--out", out]
        done = subprocess.run(
            [sys.executable, "-m", "saddle", *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stderr

    assert "damaged" not in train("a")
    (cached,) = (tmp_path / "cache" / "images").iterdir()
    for position in range(0, 2560, 9):
        flip(cached / "values.bin", position, 7)
    assert "the cached images of f are damaged and are decoded again" in train("b")
    one, other = ((tmp_path / out / "generator.safetensors").read_bytes() for out in "ab")
    assert one == other
