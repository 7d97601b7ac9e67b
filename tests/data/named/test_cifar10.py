from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.data.named import cifar10
from saddle.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), np.uint8)
LABELS = np.array([3, 0, 9, 1, 2, 4, 5, 6, 7, 8, 0, 1], np.uint8)
RECORDS = [bytes([label]) + pixels.tobytes() for label, pixels in zip(LABELS, PIXELS, strict=True)]
FILES = {f"data_batch_{number}.bin": b"".join(RECORDS[2 * number - 2 : 2 * number]) for number in range(1, 6)}
FILES["test_batch.bin"] = b"".join(RECORDS[10:])


def pack(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = pack(FILES)


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py/data_batch_1"])
def test_the_pickled_version_is_refused_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    pickled = tmp_path / "cifar10" / name
    pickled.parent.mkdir(parents=True)
    pickled.write_bytes(b"pickled")
    monkeypatch.setenv("SADDLE_DATA", str(tmp_path))
    for source in ("cifar10", str(tmp_path / "cifar10"), str(tmp_path / "cifar10" / name.partition("/")[0])):
        with pytest.raises(DataError, match="is pickled") as caught:
            open_data(DataConfig(source=source))
        assert caught.value.expected is not None and cifar10.ARCHIVE in str(caught.value.expected)


def test_class_folders_beside_the_pickled_version_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "cifar10" / "cifar-10-batches-py").mkdir(parents=True)
    for name in ("cat", "dog"):
        (tmp_path / "cifar10" / "train" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "cifar10" / "train" / name / "1.png")
    monkeypatch.setenv("SADDLE_DATA", str(tmp_path))
    assert open_data(DataConfig(source="cifar10")).class_names == ("cat", "dog")


def check(split: str = "train", source: str = "cifar10") -> None:
    store = open_data(DataConfig(source=source, split=split))
    rows = slice(10) if split == "train" else slice(10, None)
    np.testing.assert_array_equal(store.values, PIXELS[rows])
    np.testing.assert_array_equal(store.labels, LABELS[rows])
    assert store.name == "cifar10"
    assert store.class_names[3] == "cat"


class Mirror(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        content = b"something else" if self.path.startswith("/wrong/") else ARCHIVE
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths asked of a mirror that stands in for the authors' site."""
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(ARCHIVE).hexdigest())
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(cifar10, "URLS", (f"{base}/good/{cifar10.ARCHIVE}",))
        yield server.asked  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("split", ["train", "test"])
def test_download_is_kept_and_not_repeated(asked: list[str], cache: Path, split: str):
    check(split)
    check(split)
    assert len(asked) == 1
    assert [path.name for path in (cache / "cifar10").iterdir()] == [cifar10.ARCHIVE]


def test_wrong_file_is_not_kept(asked: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cifar10, "URLS", tuple(url.replace("/good/", "/wrong/") for url in cifar10.URLS))
    with pytest.raises(DataError) as caught:
        open_data(DataConfig(source="cifar10"))
    for part in ("the checksum is wrong", "--data DIR", "$SADDLE_DATA/cifar10", str(cache / "cifar10")):
        assert part in str(caught.value)
    assert list((cache / "cifar10").iterdir()) == []


def test_rotten_cached_archive_is_refused(asked: list[str], cache: Path):
    check()
    (cache / "cifar10" / cifar10.ARCHIVE).write_bytes(ARCHIVE[:-1] + b"\1")
    with pytest.raises(DataError, match="not the file that was published"):
        open_data(DataConfig(source="cifar10"))


@pytest.mark.parametrize("form", ["archive", "unpacked", "files"])
def test_own_copy_comes_before_a_download(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str):
    own = tmp_path / "cifar10"
    folder = own / "cifar-10-batches-bin" if form == "unpacked" else own
    folder.mkdir(parents=True)
    for name, content in {cifar10.ARCHIVE: ARCHIVE}.items() if form == "archive" else FILES.items():
        (folder / name).write_bytes(content)
    check(source=str(own))
    monkeypatch.setenv("SADDLE_DATA", str(tmp_path))
    check()
    check("test")
    assert asked == []


def test_class_folders_in_saddle_data(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for row, label in enumerate(LABELS):
        split = "train" if row < 10 else "test"
        path = tmp_path / "cifar10" / split / cifar10.CLASS_NAMES[label] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[row].transpose(1, 2, 0)).save(path)
    monkeypatch.setenv("SADDLE_DATA", str(tmp_path))
    store = open_data(DataConfig(source="cifar10"))
    assert store.name == "cifar10"
    assert store.class_names == cifar10.CLASS_NAMES
    assert store.shape == (3, 32, 32)
    assert len(store) == 10
    assert asked == []


def test_size_and_channels_apply(asked: list[str]):
    assert open_data(DataConfig(source="cifar10", size=16, channels=1)).shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARCHIVE[: len(ARCHIVE) // 2], "damaged"),
        (b"no archive", "damaged"),
        (pack({"test_batch.bin": RECORDS[0]}), "holds no data_batch_1.bin"),
        (pack({**FILES, "data_batch_3.bin": b"short"}), "not the binary version"),
        (pack({**FILES, "data_batch_3.bin": b"\x0b" + RECORDS[0][1:]}), "name no class"),
    ],
)
def test_damaged_archive(tmp_path: Path, content: bytes, message: str):
    (tmp_path / cifar10.ARCHIVE).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_data(DataConfig(source=str(tmp_path)))


def test_real_zips(real_data: Path):
    if not (real_data / "cifar10").is_dir():
        pytest.skip("SADDLE_DATA has no cifar10")
    store = open_data(DataConfig(source="cifar10", split="test"))
    assert store.values.shape == (10_000, 3, 32, 32)
    assert store.class_names == cifar10.CLASS_NAMES
    assert store.labels is not None
    assert np.bincount(store.labels).tolist() == [1000] * 10
