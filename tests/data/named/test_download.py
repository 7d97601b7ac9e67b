from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.data.named import mnist
from saddle.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 4), np.uint8)
LABELS = np.array([0, 1, 2], np.uint8)
FILES = {
    "train-images-idx3-ubyte": struct.pack(">BBBBIII", 0, 0, 8, 3, *IMAGES.shape) + IMAGES.tobytes(),
    "train-labels-idx1-ubyte": struct.pack(">BBBBI", 0, 0, 8, 1, 3) + LABELS.tobytes(),
}
PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in FILES.items()}


class Mirror(BaseHTTPRequestHandler):
    """Serves FILES well below /good/, and in several bad ways elsewhere."""

    def do_GET(self) -> None:
        _, way, name = self.path.split("/")
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        content = PACKED[name]
        if way == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        if way != "unsized":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if way in ("truncated", "unsized"):
            content = content[: len(content) // 2]
        if way == "corrupt":
            content = gzip.compress(FILES[name.removesuffix(".gz")][::-1], mtime=0)[: len(content)].ljust(len(content))
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Counted:
    """A progress that counts."""

    def __init__(self) -> None:
        self.total = self.done = self.finished = 0

    def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
        self.total += total or 0

    def advance(self, n: int) -> None:
        self.done += n

    def status(self, text: str) -> None: ...

    def say(self, text: str) -> None: ...

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def use(monkeypatch: pytest.MonkeyPatch, server: ThreadingHTTPServer, *ways: str, kind: str = "sha256") -> None:
    base = f"http://127.0.0.1:{server.server_port}"
    if kind == "sha256":
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    else:
        sums = {name: hashlib.md5(PACKED[f"{name}.gz"]).hexdigest() for name in FILES}
    source = replace(
        mnist.SOURCES["mnist"],
        mirrors=tuple(f"{base}/{way}/" if way != "down" else "http://127.0.0.1:9/" for way in ways),
        sum_of=mnist.sha256_of_content if kind == "sha256" else mnist.md5_of_file,
        sums=sums,
    )
    monkeypatch.setitem(mnist.SOURCES, "mnist", source)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_download_is_kept_and_not_repeated(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, cache: Path, kind: str
) -> None:
    use(monkeypatch, server, "good", kind=kind)
    progress = Counted()
    store = open_data(DataConfig(source="mnist"), progress=progress)
    np.testing.assert_array_equal(store.values, IMAGES[:, None])
    np.testing.assert_array_equal(store.labels, LABELS)
    assert progress.done == progress.total == sum(map(len, PACKED.values()))
    assert progress.finished == 2
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(PACKED)
    open_data(DataConfig(source="mnist"))
    assert len(server.asked) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("bad", ["missing", "truncated", "unsized", "corrupt", "down"])
def test_bad_mirror_is_passed_over(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    use(monkeypatch, server, bad, "good")
    assert len(open_data(DataConfig(source="mnist"))) == 3


@pytest.mark.parametrize("bad", ["missing", "truncated", "unsized", "corrupt", "down"])
def test_failure_leaves_nothing_and_names_the_ways_out(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, cache: Path, bad: str
) -> None:
    use(monkeypatch, server, bad)
    with pytest.raises(DataError) as caught:
        open_data(DataConfig(source="mnist"))
    for way_out in ("--data DIR", "$SADDLE_DATA/mnist", str(cache / "mnist")):
        assert way_out in str(caught.value)
    assert list((cache / "mnist").iterdir()) == []


def test_interrupted_download_leaves_nothing(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    use(monkeypatch, server, "good")

    class Impatient(Counted):
        def advance(self, n: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_data(DataConfig(source="mnist"), progress=Impatient())
    assert list((cache / "mnist").iterdir()) == []


def test_rotten_cached_file_is_refused(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    use(monkeypatch, server, "good")
    open_data(DataConfig(source="mnist"))
    path = cache / "mnist" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(FILES["train-labels-idx1-ubyte"][:-1] + b"\x07"))
    with pytest.raises(DataError, match="not the file that was published") as caught:
        open_data(DataConfig(source="mnist"))
    assert str(path) in str(caught.value)


def test_cache_that_is_a_file(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, server, "good")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SADDLE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="SADDLE_CACHE"):
        open_data(DataConfig(source="mnist"))
