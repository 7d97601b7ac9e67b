from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import Store, inspect_data, open_data
from saddle.data.formats import decoding, images
from saddle.errors import DataError

CHANCE = np.random.default_rng(0)


def noise(height: int = 6, width: int = 6, channels: int = 3) -> Image.Image:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return Image.fromarray(CHANCE.integers(0, 256, shape, np.uint8))


def save(image: Image.Image, path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def opened(path: Path, **settings: object) -> Store:
    return open_data(DataConfig.model_validate({"source": str(path), **settings}))


def pixels(store: Store, row: int = 0) -> np.ndarray:
    return np.asarray(store.values[row])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, a nested folder, and things to be passed over."""
    root = tmp_path / "pets"
    for name in ("cat/a.png", "cat/deep/b.png", "dog/c.png"):
        save(noise(), root / name)
    (root / "README.txt").write_text("about pets")
    save(noise(), root / "cat" / ".hidden.png")
    save(noise(), root / "__MACOSX" / "cat" / "a.png")
    return root


def test_class_folders_become_labels(folder: Path) -> None:
    store = opened(folder)
    assert store.values.shape == (3, 3, 6, 6)
    assert store.class_names == ("cat", "dog")
    assert store.labels is not None
    assert store.labels.tolist() == [0, 0, 1]
    original = np.asarray(Image.open(folder / "cat" / "a.png"))
    np.testing.assert_array_equal(pixels(store), original.transpose(2, 0, 1))


def test_flat_folder_has_no_labels(tmp_path: Path) -> None:
    save(noise(), tmp_path / "x" / "1.png")
    save(noise(), tmp_path / "x" / "2.png")
    store = opened(tmp_path / "x")
    assert (len(store), store.labels, store.class_names) == (2, None, ())


def test_single_wrapping_folder_is_no_class(folder: Path) -> None:
    assert opened(folder.parent).class_names == ("cat", "dog")


def test_train_and_test_folders_are_splits(tmp_path: Path) -> None:
    for name in ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png", "test/b/5.png"):
        save(noise(), tmp_path / "set" / name)
    train, test = opened(tmp_path / "set"), opened(tmp_path / "set", split="test")
    assert (len(train), len(test)) == (2, 3)
    assert train.class_names == test.class_names == ("a", "b")


def test_train_and_test_zips_are_splits(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        write_zip(tmp_path / f"{split}.zip", {f"{split}/{n % 2}/{n}.png": png(noise()) for n in range(count)})
    assert (len(opened(tmp_path)), len(opened(tmp_path, split="test"))) == (3, 2)


def test_missing_split(folder: Path) -> None:
    with pytest.raises(DataError, match="no test split"):
        opened(folder, split="test")


def png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def test_zip_equals_folder(folder: Path, tmp_path: Path) -> None:
    files = {str(path.relative_to(folder.parent)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    write_zip(tmp_path / "pets.zip", files)
    before = sorted(tmp_path.rglob("*"))
    store = opened(tmp_path / "pets.zip")
    assert store.fingerprint == opened(folder).fingerprint
    assert sorted(tmp_path.rglob("*")) == before  # nothing was extracted


def test_zip_notices_damage_and_encryption(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    write_zip(path, {"a.png": png(noise()), "b.png": png(noise()), "c.png": png(noise())})
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        raw[archive.getinfo("b.png").header_offset + 80] ^= 0xFF  # CRC no longer right
    third = raw.rindex(b"PK\x01\x02")
    raw[third + 8] |= 1  # "encrypted" in the central directory
    path.write_bytes(raw)
    skipped = inspect_data(DataConfig(source=str(path))).skipped
    assert [item.path for item in skipped] == ["b.png", "c.png"]
    assert "CRC" in skipped[0].reason
    assert "encrypted" in skipped[1].reason


def test_damaged_zip(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="damaged or no zip"):
        opened(path)


# --- modes ----------------------------------------------------------------------------------------------------------


def only(tmp_path: Path, image: Image.Image, name: str = "x.png", **settings: object) -> np.ndarray:
    save(image, tmp_path / "one" / name)
    return pixels(opened(tmp_path / "one", **settings))


def test_grey_has_one_channel(tmp_path: Path) -> None:
    image = noise(channels=1)
    np.testing.assert_array_equal(only(tmp_path, image)[0], np.asarray(image))


def test_grey_on_request(tmp_path: Path) -> None:
    image = noise()
    np.testing.assert_array_equal(only(tmp_path, image, channels=1)[0], np.asarray(image.convert("L")))


def test_bilevel_is_black_and_white(tmp_path: Path) -> None:
    assert np.unique(only(tmp_path, noise(channels=1).convert("1"))).tolist() == [0, 255]


def test_16_bit_is_scaled_not_cut(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257], [32768, 65406, 65407, 65535]], np.uint16)
    assert only(tmp_path, Image.fromarray(values))[0].tolist() == [[0, 0, 1, 1], [128, 254, 255, 255]]


def test_16_bit_pgm(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "x.pgm").write_bytes(b"P5 2 1 65535\n" + np.array([257, 65535], ">u2").tobytes())
    assert pixels(opened(tmp_path / "one"))[0].tolist() == [[1, 255]]


def test_float_tiff(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert only(tmp_path, image, "x.tiff")[0].tolist() == [[0, 128, 255]]


def test_alpha_is_composited_on_white_unless_kept(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    assert only(tmp_path, image).tolist() == [[[200, 255]], [[0, 255]], [[0, 255]]]
    assert only(tmp_path, image, channels=4).tolist() == [[[200, 200]], [[0, 0]], [[0, 0]], [[255, 0]]]


def test_grey_with_alpha_stays_grey(tmp_path: Path) -> None:
    image = Image.new("LA", (2, 1), (100, 255))
    image.putpixel((1, 0), (100, 0))
    assert only(tmp_path, image).tolist() == [[[100, 255]]]


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    save(image, tmp_path / "one" / "x.png", transparency=1)
    assert pixels(opened(tmp_path / "one")).tolist() == [[[10, 255]], [[20, 255]], [[30, 255]]]


def test_grey_palette_is_grey(tmp_path: Path) -> None:
    image = noise(channels=1)
    palette = Image.fromarray(np.asarray(image))
    palette = palette.convert("P")
    np.testing.assert_array_equal(only(tmp_path, palette, "x.gif"), np.asarray(image)[None])


def test_transparent_colour_of_an_rgb_png(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), (9, 9, 9))
    image.putpixel((1, 0), (1, 2, 3))
    save(image, tmp_path / "one" / "x.png", transparency=(1, 2, 3))
    assert pixels(opened(tmp_path / "one"))[:, 0].tolist() == [[9, 255]] * 3


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    got = only(tmp_path, image, "x.tiff")
    assert got[:, 0, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_exif_orientation(tmp_path: Path, name: str) -> None:
    image = Image.new("L", (32, 16), 0)
    image.paste(255, (0, 0, 16, 16))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise: left becomes up
    save(image, tmp_path / "one" / name, exif=exif)
    for settings in ({}, {"size": (16, 8)}):
        got = pixels(opened(tmp_path / "one", **settings))[0].astype(int)
        assert got.shape == (settings.get("size") or (32, 16))
        assert got[: len(got) // 4].min() > 200
        assert got[-len(got) // 4 :].max() < 55


def test_grey_and_colour_together_become_colour(tmp_path: Path) -> None:
    grey = noise(channels=1)
    save(grey, tmp_path / "x" / "1.png")
    save(noise(), tmp_path / "x" / "2.png")
    store = opened(tmp_path / "x")
    assert store.shape == (3, 6, 6)
    np.testing.assert_array_equal(pixels(store, 0), np.stack([np.asarray(grey)] * 3))
    assert dict(store.notes)["original modes"] == "L (1), RGB (1)"


# --- size -----------------------------------------------------------------------------------------------------------


def test_sizes_that_differ_are_refused_without_a_size(tmp_path: Path) -> None:
    for row in range(3):
        save(noise(6, 8), tmp_path / "x" / f"{row}.png")
    save(noise(5, 5), tmp_path / "x" / "9.png")
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "x")
    assert "6x8 (3), 5x5 (1)" in str(caught.value)
    assert "--set data.size=64" in str(caught.value)
    assert opened(tmp_path / "x", size=(4, 7)).shape == (3, 4, 7)


def half(height: int, width: int) -> Image.Image:
    """Top half black, bottom half white, with grey columns at both ends of a wide image."""
    values = np.zeros((height, width), np.uint8)
    values[height // 2 :] = 255
    values[:, : width // 4] = values[:, -width // 4 :] = 100
    return Image.fromarray(values)


def test_crop_cuts_the_longer_side(tmp_path: Path) -> None:
    got = only(tmp_path, half(16, 32), size=8)[0]
    assert got.shape == (8, 8)
    assert 100 not in got[[0, -1]]
    assert got[0].max() < 10
    assert got[-1].min() > 245


def test_pad_keeps_all_on_black(tmp_path: Path) -> None:
    got = only(tmp_path, half(16, 32), size=8, fit="pad")[0]
    assert got[:2].max() == got[-2:].max() == 0
    assert abs(int(got[3, 0]) - 100) < 5


def test_pad_is_transparent_where_there_is_alpha(tmp_path: Path) -> None:
    alpha = only(tmp_path, noise(16, 32).convert("RGBA"), size=8, fit="pad", channels=4)[3]
    assert alpha[:, 0].tolist() == [0, 0, 255, 255, 255, 255, 0, 0]


def test_pad_is_opaque_black_where_there_was_no_alpha(tmp_path: Path) -> None:
    got = only(tmp_path, noise(16, 32), size=8, fit="pad", channels=4)
    assert got[:, 0, 0].tolist() == [0, 0, 0, 255]


def test_stretch_keeps_all(tmp_path: Path) -> None:
    got = only(tmp_path, half(16, 32), size=8, fit="stretch")[0]
    assert abs(int(got[0, 0]) - 100) < 8
    assert got[0, 3] < 5


def test_resize_is_antialiased(tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    got = only(tmp_path, Image.fromarray(board), size=8)[0]
    assert abs(got.astype(int) - 127.5).max() < 3


def test_large_jpeg_is_reduced_as_a_png_would_be(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 256)[None] + np.zeros((192, 1))
    image = Image.fromarray(smooth.astype(np.uint8))
    save(image, tmp_path / "jpg" / "x.jpg", quality=95)
    save(image, tmp_path / "png" / "x.png")
    jpeg, exact = (pixels(opened(tmp_path / kind, size=16)).astype(int) for kind in ("jpg", "png"))
    assert abs(jpeg - exact).max() <= 3


# --- bad input ------------------------------------------------------------------------------------------------------


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        opened(tmp_path)


def test_folder_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match="1 other files"):
        opened(tmp_path)


def test_mixed_folder(folder: Path) -> None:
    save(noise(), folder / "loose.png")
    with pytest.raises(DataError, match="mixed") as caught:
        opened(folder)
    assert "loose.png" in str(caught.value)


def test_unreadable_files_refuse_the_run_above_the_limit(folder: Path) -> None:
    (folder / "cat" / "broken.png").write_bytes(b"no image")
    whole = (folder / "dog" / "c.png").read_bytes()
    (folder / "dog" / "short.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"2 of 5 images in pets cannot be read") as caught:
        opened(folder)
    assert "--set data.max_unreadable=0.4" in str(caught.value)
    store = opened(folder, max_unreadable=0.4)
    assert len(store) == 3
    assert store.labels is not None
    assert store.labels.tolist() == [0, 0, 1]
    assert [(item.path, bool(item.reason)) for item in store.skipped] == [
        ("cat/broken.png", True),
        ("dog/short.png", True),
    ]
    (notice,) = store.notices()
    assert notice.startswith("images of pets that cannot be read are left out (2): cat/broken.png: not an image")
    original = np.asarray(Image.open(folder / "dog" / "c.png"))
    np.testing.assert_array_equal(pixels(store, 2), original.transpose(2, 0, 1))


def test_class_without_readable_images_is_dropped(folder: Path) -> None:
    save(noise(), folder / "eel" / "d.png")
    (folder / "dog" / "c.png").write_bytes(b"")
    store = opened(folder, max_unreadable=0.5)
    assert store.class_names == ("cat", "eel")
    assert store.labels is not None
    assert store.labels.tolist() == [0, 0, 1]
    assert ("classes without a readable image, dropped", "dog") in store.notes


def test_nothing_readable(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the 1 images"):
        opened(tmp_path, max_unreadable=1)
    assert list((cache / "images").iterdir()) == []


def test_decompression_bomb_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(noise(30, 30), folder / "dog" / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    store = opened(folder, max_unreadable=0.5)
    assert [item.path for item in store.skipped] == ["dog/huge.png"]
    assert "pixels" in store.skipped[0].reason


def test_symbolic_link_round_in_circles(folder: Path) -> None:
    (folder / "cat" / "again").symlink_to(folder, target_is_directory=True)
    assert len(opened(folder)) == 3


# --- cache ----------------------------------------------------------------------------------------------------------


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "images").iterdir())


def test_second_start_does_not_decode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(folder)
    monkeypatch.setattr(images, "decode_all", None)
    second = opened(folder)
    assert isinstance(second.values, np.memmap)
    np.testing.assert_array_equal(first.values, second.values)
    assert (first.fingerprint, first.class_names, first.notes) == (second.fingerprint, second.class_names, second.notes)


def test_changed_file_or_option_decodes_anew(folder: Path, cache: Path) -> None:
    before = opened(folder).fingerprint
    save(noise(), folder / "dog" / "c.png")
    os.utime(folder / "dog" / "c.png", ns=(1, 1))
    assert opened(folder).fingerprint != before
    assert opened(folder, size=4).shape == (3, 4, 4)
    assert len(entries(cache)) == 3


def test_damaged_entry_is_made_anew(folder: Path, cache: Path) -> None:
    before = opened(folder).fingerprint
    (entry,) = (cache / "images").iterdir()
    os.truncate(entry / "values.bin", 5)
    assert opened(folder).fingerprint == before
    assert len(entries(cache)) == 1


def test_failed_decode_leaves_nothing(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(images, "fingerprint_of", fail)
    with pytest.raises(KeyboardInterrupt):
        opened(folder)
    assert entries(cache) == []


def test_killed_decode_leaves_nothing_that_counts(folder: Path, cache: Path) -> None:
    code = (
        "import os, signal, sys; from saddle.config.schema import DataConfig\n"
        "from saddle.data import open_data\nfrom saddle.data.formats import images\n"
        "images.fingerprint_of = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "open_data(DataConfig(source=sys.argv[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode < 0
    (left,) = (cache / "images").iterdir()
    os.utime(left, (0, 0))
    assert len(opened(folder)) == 3
    assert not left.exists()
    assert len(entries(cache)) == 1


def test_no_room_for_the_cache(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "_reserve", full)
    with pytest.raises(DataError, match="SADDLE_CACHE"):
        opened(folder)
    assert entries(cache) == []


def many(folder: Path, count: int = 40) -> Path:
    for row in range(count):
        save(noise(), folder / f"class{row % 2}" / f"{row:03}.png")
    (folder / "class1" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few files, several processes."""
    monkeypatch.setattr(decoding, "IN_PROCESS", 0)
    monkeypatch.setattr(decoding, "CHUNK", 7)
    monkeypatch.setattr(decoding, "usable_cores", lambda: 2)


@pytest.mark.parametrize("zipped", [False, True])
def test_processes_decode_as_one_does(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, zipped: bool
) -> None:
    path = many(tmp_path / "x")
    if zipped:
        files = {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*.png")}
        path = tmp_path / "x.zip"
        write_zip(path, files)
    alone = opened(path, max_unreadable=0.1)
    monkeypatch.setenv("SADDLE_CACHE", str(cache / "other"))
    request.getfixturevalue("parallel")
    together = opened(path, max_unreadable=0.1)
    assert together.fingerprint == alone.fingerprint
    assert together.skipped == alone.skipped
    assert together.notes == alone.notes


@pytest.mark.usefixtures("parallel")
def test_process_that_dies_is_told(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = many(tmp_path / "x")
    started = decoding._Worker.ask

    def ask(self: decoding._Worker, *chunk: object) -> object:
        self._process.kill()
        self._process.wait()
        return started(self, *chunk)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding._Worker, "ask", ask)
    with pytest.raises(DataError, match="a process that decodes images ended"):
        opened(path, max_unreadable=0.1)
    assert entries(cache) == []


def test_two_at_once_both_get_their_store(tmp_path: Path, cache: Path) -> None:
    path = many(tmp_path / "x")
    code = (
        "import sys; from saddle.config.schema import DataConfig; from saddle.data import open_data\n"
        "print(open_data(DataConfig(source=sys.argv[1], max_unreadable=0.1)).fingerprint)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert answers == {opened(path, max_unreadable=0.1).fingerprint + "\n"}
    assert len(entries(cache)) == 1


def test_loser_of_a_race_uses_the_winners_entry(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, barrier = images._decode, threading.Barrier(2)

    def decode(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        barrier.wait(20)

    monkeypatch.setattr(images, "_decode", decode)
    stores: list[Store] = []
    threads = [threading.Thread(target=lambda: stores.append(opened(folder))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 2
    assert len(entries(cache)) == 1


def test_folders_alike_in_all_but_content_are_two(tmp_path: Path) -> None:
    stores: list[Store] = []
    for name, value in (("a", 10), ("b", 200)):
        (tmp_path / name).mkdir()
        image = tmp_path / name / "1.bmp"
        Image.new("L", (4, 4), value).save(image)
        os.utime(image, (1, 1))
        stores.append(opened(tmp_path / name))
    assert [int(store.values[0, 0, 0, 0]) for store in stores] == [10, 200]


@pytest.mark.usefixtures("parallel")
def test_processes_take_no_module_from_the_current_folder(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "numpy.py").write_text("raise SystemExit('taken')")
    path = many(tmp_path / "x")
    monkeypatch.chdir(tmp_path / "here")
    assert len(opened(path, max_unreadable=0.1)) == 40
