"""What the service answers, over HTTP."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import saddle
from saddle.data.scaling import to_pixels
from saddle.errors import ConfigError
from saddle.studio import running
from saddle.studio.guard import Rules
from saddle.studio.service import Source, make_service
from saddle.trained.files import InputsHeader
from saddle.trained.generator import Generator

from .conftest import Answer, Service, listen, make_generator


def array(answer: Answer) -> np.ndarray[Any, Any]:
    assert answer.status == 200, answer.body
    return np.load(io.BytesIO(answer.body), allow_pickle=False)


def refused(answer: Answer, status: int, text: str) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert text in " ".join(answer.json.values()), answer.json
    assert set(answer.json) <= {"what", "expected", "got", "remedy"}


def test_samples_are_those_of_saddle_sample(service: Service):
    wanted = to_pixels(saddle.load(service.file).sample(9, seed=4, truncation=0.5))
    found = array(service.ask("/samples?count=9&seed=4&truncation=0.5&format=npy"))
    assert (found.dtype, found.shape) == (np.uint8, (9, 1, 8, 8))
    assert abs(found.astype(int) - wanted).max() <= 1
    assert np.array_equal(array(service.ask("/samples?seed=4&first=7&truncation=0.5&format=npy"))[0], found[7])


def test_equal_requests_get_equal_bytes_in_every_form(service: Service):
    pixels = array(service.ask("/samples?count=5&seed=2&format=npy"))
    for form in ("png", "zip", "npy", "json"):
        path = f"/samples?count=5&seed=2&format={form}"
        assert service.ask(path).body == service.ask(path).body
    with zipfile.ZipFile(io.BytesIO(service.ask("/samples?count=5&seed=2&format=zip").body)) as archive:
        assert archive.namelist() == [f"{number:06d}.png" for number in range(5)]
        assert np.array_equal(np.asarray(Image.open(archive.open("000003.png"))), pixels[3, 0])
    told = service.ask("/samples?count=5&seed=2&format=json").json
    assert np.array_equal(np.array(told["samples"], np.uint8), pixels)
    assert told["labels"] == [0, 1, 2, 0, 1]
    one = service.ask("/samples?seed=2&first=3")
    assert one.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(one.body))), pixels[3, 0])
    grid = Image.open(io.BytesIO(service.ask("/samples?count=6").body))
    assert grid.width > 3 * 48
    assert grid.height < 3 * 54  # two rows, of the three classes


def test_classes_by_name_by_index_and_in_turn(service: Service):
    named = service.ask("/samples?count=3&label=owl&format=npy").body
    assert named == service.ask("/samples?count=3&label=2&format=npy").body
    assert service.ask("/samples?count=3&labels=owl,cat&format=json").json["labels"] == [2, 0, 2]
    refused(service.ask("/samples?label=cow"), 422, "did you mean 'owl'?")
    refused(service.ask("/samples?label=cat&labels=owl"), 422, "both")


def test_interpolation_ends_at_its_ends(service: Service):
    strip = array(service.ask("/interpolate?start=4:7&end=5&steps=6&label=dog&format=npy"))
    assert len(strip) == 6
    for at, path in ((0, "seed=4&first=7"), (-1, "seed=5")):
        end = array(service.ask(f"/samples?{path}&label=dog&format=npy"))[0]
        assert abs(strip[at].astype(int) - end).max() <= 1
    classes = array(service.ask("/interpolate?start=4&steps=3&label=cat&end_label=owl&format=npy"))
    assert not np.array_equal(classes[0], classes[-1])
    picture = Image.open(io.BytesIO(service.ask("/interpolate?start=1&end=2&steps=6").body))
    assert picture.width > 5 * picture.height
    refused(service.ask("/interpolate?start=one"), 422, "seed:number")
    refused(service.ask("/interpolate?steps=1"), 422, "greater than or equal to 2")
    refused(service.ask("/interpolate?start=1&end=2&space=round"), 422, "linear or spherical")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("count=0", "greater than or equal to 1"),
        ("count=201", "at most 200"),
        ("count=1e3", "integer"),
        ("count=99999999999999999999999999", "at most 200"),
        ("seed=-1", "greater than or equal to 0"),
        ("seed=99999999999999999999", "less than or equal"),
        ("seed=" + "9" * 5000, "seed"),
        ("first=-1", "first"),
        ("truncation=0", "greater than 0"),
        ("truncation=nan", "truncation"),
        ("format=exe", "'png', 'zip', 'npy' or 'json'"),
        ("cuont=3", "did you mean 'count'?"),
        ("count=1&count=2", "twice"),
        ("label=" + "x" * 2000, "label"),
        ("label=%00%1b[31m", "there is no class"),
    ],
)
def test_what_makes_no_sense_is_said(service: Service, query: str, text: str):
    answer = service.ask(f"/samples?{query}")
    refused(answer, 422, text)
    assert len(answer.body) < 2000
    assert b"\x1b" not in answer.body


def test_it_only_reads_and_takes_no_bodies(service: Service):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        refused(service.ask("/samples", method), 405, "only reads")
    refused(service.ask("/samples", "POST", b"x" * 10), 413, "too long")
    refused(service.ask("/samples", Content_Length="9" * 18), 413, "too long")
    refused(service.ask("/samples", Transfer_Encoding="chunked"), 411, "Content-Length")
    refused(service.ask("/../../etc/passwd"), 404, "nothing here")
    assert service.ask("/health").json == {"status": "ok", "file": "unchanged"}


def test_what_it_says_of_itself(service: Service):
    said = service.ask("/info").json
    assert said["classes"] == ["cat", "dog", "owl"]
    assert said["latent"]["size"] == 6
    assert said["most"]["npy"] == 200
    schema = service.ask("/openapi.json").json
    assert set(schema["paths"]) == {"/samples", "/interpolate", "/info", "/health", "/metrics"}
    names = [each["name"] for each in schema["paths"]["/samples"]["get"]["parameters"]]
    assert names == ["count", "seed", "first", "label", "labels", "truncation", "format"]


def test_the_reference_asks_no_other_host_and_runs_nothing(service: Service):
    for path in ("/", "/docs"):
        page = service.ask(path)
        text = page.body.decode()
        assert not re.findall(r"(?:src|href)=\"?(?:https?:)?//", text)
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
    other = service.ask("/samples").headers
    assert other["content-security-policy"].startswith("default-src 'none'")
    assert other["x-content-type-options"] == "nosniff"
    assert "server" not in other


def test_counts_are_told_to_prometheus(service: Service):
    def read() -> dict[str, float]:
        text = service.ask("/metrics").body.decode()
        return {name: float(value) for name, value in re.findall(r"^([^#].*) (\S+)$", text, re.MULTILINE)}

    before = read()
    service.ask("/samples?count=3")
    service.ask("/samples?count=-3")
    service.ask("/unknown/" + "x" * 50)
    after = read()
    for series in ('path="/samples",status="200"', 'path="/samples",status="422"', 'path="other",status="404"'):
        name = f"saddle_requests_total{{{series}}}"
        assert after[name] == before.get(name, 0) + 1
    assert after["saddle_samples_total"] == before["saddle_samples_total"] + 3
    assert after["saddle_waiting_samples"] == 0
    assert after['saddle_request_seconds_bucket{le="+Inf"}'] == after["saddle_request_seconds_count"]


def test_other_names_and_other_sites_are_refused(service: Service):
    port = service.port
    assert service.ask("/info", Host=f"localhost:{port}", Origin=f"http://localhost:{port}").status == 200
    assert service.ask("/info", Sec_Fetch_Site="none").status == 200
    for name in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "192.0.2.1", ""):
        refused(service.ask("/info", Host=name), 421, "not called so")
    for origin in ("http://evil.example", "null", f"http://localhost:{port + 1}", "http://localhost"):
        refused(service.ask("/info", Host=f"localhost:{port}", Origin=origin), 403, "another site")
    refused(service.ask("/samples", Sec_Fetch_Site="cross-site"), 403, "another site")


def test_the_file_may_change_or_go_and_the_service_goes_on(tmp_path: Path):
    for service in listen(make_generator(), tmp_path / "g.safetensors", Rules()):
        before = service.ask("/samples?count=4&format=npy").body
        make_generator(norm="layer").save(service.file)
        assert service.ask("/health").json["file"] == "replaced"
        service.file.unlink()
        assert service.ask("/health").json == {"status": "ok", "file": "gone"}
        assert service.ask("/info").json["file"] == "gone"
        assert service.ask("/samples?count=4&format=npy").body == before


def test_a_token_is_asked_for(tmp_path: Path):
    token = "a-token-of-some-length"
    for service in listen(make_generator(), tmp_path / "g.safetensors", Rules(token=token)):
        refused(service.ask("/info"), 401, "Authorization: Bearer TOKEN")
        for given in ("Bearer wrong", f"Basic {token}", token, f"Bearer {token}x", "Bearer é"):
            assert service.ask("/samples", Authorization=given).status == 401
        refused(service.ask(f"/info?token={token}"), 401, "token")
        assert service.ask("/info", Authorization=f"Bearer {token}").status == 200
        assert service.ask("/health").status == 200


class Slow(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner, self.seconds, self.passes = inner, 0.0, 0

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        self.passes += 1
        time.sleep(self.seconds)
        return self.inner(latents, labels)


def slow_generator(monkeypatch: pytest.MonkeyPatch) -> tuple[Generator, Slow]:
    monkeypatch.setattr("saddle.studio.batching._LONG", -1.0)
    generator = make_generator()
    network = Slow(generator.network)
    save = generator.save
    monkeypatch.setattr(generator, "save", lambda path: (setattr(generator, "network", network.inner), save(path),
                                                         setattr(generator, "network", network)))  # fmt: skip
    return generator, network


def test_what_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    generator, network = slow_generator(monkeypatch)
    for service in listen(generator, tmp_path / "g.safetensors", Rules(seconds=0.3)):
        network.seconds, network.passes = 0.05, 0
        refused(service.ask("/samples?count=2000"), 503, "0.3 seconds")
        time.sleep(0.1)
        assert network.passes < 10
        network.seconds = 0
        assert service.ask("/samples").status == 200


def test_a_client_that_vanishes_stops_its_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    generator, network = slow_generator(monkeypatch)
    for service in listen(generator, tmp_path / "g.safetensors", Rules()):
        network.seconds, network.passes = 0.02, 0
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(b"GET /samples?count=4000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.1)
        assert service.ask("/samples").status == 200
        assert network.passes < 30
        time.sleep(0.1)
        assert "saddle_waiting_samples 0" in service.ask("/metrics").body.decode()
        assert 'path="/samples",status="499"' in service.ask("/metrics").body.decode()


@pytest.mark.slow
def test_clients_that_send_or_read_slowly_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "_PATIENCE", 0.3)
    for service in listen(make_generator(shape=(3, 32, 32)), tmp_path / "g.safetensors", Rules()):
        with socket.create_connection(("127.0.0.1", service.port)) as half, socket.socket() as lazy:
            half.sendall(b"GET /samples HTTP/1.1\r\nHost: lo")
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.connect(("127.0.0.1", service.port))
            lazy.sendall(b"GET /samples?count=4096&format=npy HTTP/1.1\r\nHost: localhost\r\n\r\n")
            half.settimeout(5)
            with suppress(ConnectionResetError):
                assert half.recv(100) == b""
            time.sleep(1.2)
            lazy.settimeout(5)
            received = 0
            with suppress(ConnectionResetError):
                while piece := lazy.recv(2**20):
                    received += len(piece)
            assert received < 4096 * 3 * 32 * 32
        assert service.ask("/health").status == 200


def test_many_at_once_get_what_each_gets_alone(service: Service):
    paths = [f"/samples?seed={seed}&count={1 + seed % 5}&format=npy" for seed in range(24)]
    alone = [service.ask(path).body for path in paths]
    found: dict[int, bytes] = {}

    def ask(at: int) -> None:
        found[at] = service.ask(paths[at]).body

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(paths))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[at] for at in range(len(paths))] == alone


def test_points_have_other_forms(tmp_path: Path):
    for service in listen(make_generator(shape=(2,), classes=()), tmp_path / "g.safetensors", Rules()):
        found = array(service.ask("/samples?count=50&format=npy"))
        assert (found.dtype, found.shape) == (np.float32, (50, 2))
        told = service.ask("/samples?count=50&format=json").json
        assert told["labels"] is None
        assert np.allclose(told["samples"], found)
        assert service.ask("/samples?count=50").headers["content-type"] == "image/png"
        refused(service.ask("/samples?format=zip"), 422, "points are no pictures")
        refused(service.ask("/samples?label=1"), 422, "takes no labels")


def test_a_generator_of_pairs_is_refused(tmp_path: Path):
    generator = make_generator(classes=())
    generator.save(tmp_path / "g.safetensors")
    inputs = InputsHeader(channels=1, fit="crop")
    generator.header = generator.header.model_copy(update={"inputs": inputs})
    with pytest.raises(ConfigError, match="pairs"):
        make_service(generator, Source(tmp_path / "g.safetensors"), Rules())
