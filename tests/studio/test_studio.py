"""The studio's server: what it tells of runs, what it asks of them, and what it refuses."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

import saddle
from saddle.base.progress import Silent
from saddle.config import load_recipe, resolve, to_toml
from saddle.errors import ConfigError
from saddle.runs.folder import RunFolder
from saddle.runs.lock import locked
from saddle.studio import starting
from saddle.studio.describing import start_words
from saddle.studio.guard import Rules
from saddle.studio.library import Library
from saddle.studio.listening import studio
from saddle.studio.server import make_studio

from .conftest import Answer, Service, in_a_thread, make_generator

HOSTILE = "<script>alert(1)<"
MARK = {"x_saddle": "1"}


def make_run(path: Path, lines: int = 30, images: int = 64_000, **settings: Any) -> RunFolder:
    """A run folder as training leaves it, without training."""
    run = RunFolder(path)
    path.mkdir(parents=True)
    config = resolve(load_recipe("digits"), {"images": images, "conditional": True, **settings})
    run.config.write_text(to_toml(config))
    run.environment.write_text(json.dumps({"command": f"saddle train digits --out {path}"}))
    with run.log.open("w") as log:
        for number in range(lines):
            figures = {"discriminator_loss": 1.0 + number % 7, "generator_loss": 0.7, "images_per_second": 640.0}
            log.write(json.dumps({"images": 64 * (number + 1), "epoch": number / 20, "seconds": 0.1, **figures}) + "\n")
    run.samples.mkdir()
    Image.new("L", (80, 80), 99).save(run.sample_grid(64 * lines))
    Image.new("L", (80, 80), 9).save(run.data_preview)
    return run


def listen(folder: Path, rules: Rules | None = None, **options: Any) -> Generator[Service]:
    yield from in_a_thread(make_studio(folder, rules or Rules(seconds=20), **options), 1, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "runs"
    make_run(folder / "one")
    make_run(folder / "below" / HOSTILE, seed=3)
    make_generator(classes=("cat", "dog"), shape=(1, 8, 8)).save(folder / "one" / "generator.safetensors")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "config.toml").write_text("recipe = [")
    (folder / "damaged" / "log.jsonl").write_text("")
    make_run(folder.parent / "outside")
    (folder / "link").symlink_to(folder.parent / "outside")
    return folder


@pytest.fixture(autouse=True)
def _no_answer_is_told_twice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.studio.server._MOMENT", 0)


@pytest.fixture(scope="module")
def page(folder: Path) -> Generator[Service]:
    yield from listen(folder)
    for process in starting.PROCESSES.values():
        process.wait(20)


def post(service: Service, path: str, body: Any, **headers: str) -> Answer:
    return service.ask(path, "POST", json.dumps(body).encode(), **(headers or MARK))


def test_the_list_tells_state_progress_and_time(page: Service):
    told = page.ask("/api/runs")
    rows = {row["name"]: row for row in told.json["runs"]}
    assert set(rows) == {"one", f"below/{HOSTILE}", "damaged"}
    one = rows["one"]
    assert (one["state"], one["images"], one["total"], one["seed"]) == ("stopped", 1920, 64_000, 0)
    assert rows["damaged"]["state"] == "damaged"
    again = page.ask("/api/runs", if_none_match=told.headers["etag"])
    assert again.status == 204
    with locked(RunFolder(page.file / "one").lock, lambda: None):
        row = next(row for row in page.ask("/api/runs").json["runs"] if row["name"] == "one")
    assert row["state"] == "running"
    assert row["left"] == pytest.approx((64_000 - 1920) / 640)


def test_a_population_and_its_members_know_each_other(page: Service):
    make_run(page.file / "many", members=2)
    make_run(page.file / "many" / "members" / "00")
    assert page.ask("/api/run?run=many").json["members"] == ["many/members/00"]
    member = page.ask("/api/run?run=many/members/00").json
    assert (member["population"], member["row"]["images"]) == ("many", 1920)
    assert post(page, "/api/ask", {"run": "many/members/00", "do": "save"}).status == 422
    shutil.rmtree(page.file / "many")


def test_an_alarm_shows_in_the_list_and_on_the_page(page: Service):
    run = make_run(page.file / "fallen")
    words = {"images": 640, "verdict": "collapsed", "words": "G has collapsed.", "kinds": 3.0, "variety": 0.01}
    run.append_alarm(words)
    row = next(row for row in page.ask("/api/runs").json["runs"] if row["name"] == "fallen")
    assert row["state"] == row["verdict"] == "collapsed"
    (alarm,) = page.ask("/api/run?run=fallen").json["alarms"]
    assert alarm["words"] == "G has collapsed."
    assert alarm["evidence"] == {"kinds": 3.0, "variety": 0.01}
    shutil.rmtree(run.path)
    assert page.ask("/api/run?run=fallen").status == 404


def test_curves_come_in_parts(page: Service):
    whole = page.ask("/api/curves?run=one").json["log"]
    assert whole["images"] == [64 * (number + 1) for number in range(30)]
    assert whole["figures"]["generator_loss"] == [0.7] * 30
    RunFolder(page.file / "one").append_log({"images": 1984, "generator_loss": 0.1})
    more = page.ask(f"/api/curves?run=one&life={whole['life']}&width=1&start={whole['places']}").json["log"]
    assert (more["start"], more["images"], more["figures"]) == (30, [1984], {"generator_loss": [0.1]})
    shown = page.ask("/api/window?run=one&first=100&last=700").json["log"]
    assert shown["images"][0] <= 100


def test_what_others_wrote_is_as_they_wrote_it():
    static = Path(starting.__file__).parent / "static"
    sums = re.findall(r"\| `(uplot[.\w]+)` \| `(\w{64})` \|", (static / "README.md").read_text())
    assert {name: sha256((static / name).read_bytes()).hexdigest() for name, _ in sums} == dict(sums)
    assert {name for name, _ in sums} == {file.name for file in static.glob("uplot*")}


@pytest.mark.parametrize(
    "name",
    ["..", "../outside", "link", "one/../one", "/etc", "", "one/", ".hidden", "one\\..", "a\x00b", "%2e%2e", "x" * 600],
)
def test_no_name_leads_out_of_the_folder(page: Service, name: str):
    for path in ("run", "curves", "thumbnail", "play/info", "play/samples"):
        assert page.ask(f"/api/{path}?run={quote(name, safe='')}").status in (404, 422)
    assert post(page, "/api/ask", {"run": name, "do": "save"}).status in (404, 422)
    assert post(page, "/api/start", {"recipe": "digits", "out": name, "settings": {}}).status in (404, 409, 422)
    assert post(page, "/api/fork", {"run": "one", "out": name}).status in (404, 409, 422)


def test_pictures_are_small_png(page: Service):
    small = page.ask("/api/thumbnail?run=one")
    assert Image.open(io.BytesIO(small.body)).size == (80, 80)
    assert page.ask("/api/picture?run=one&name=data").headers["content-type"] == "image/png"
    assert page.ask("/api/picture?run=one&name=1920").status == 200
    assert page.ask("/api/picture?run=one&name=7").status == 404
    assert page.ask("/api/picture?run=one&name=../config.toml").status == 422


def test_a_name_is_only_ever_text(page: Service):
    name = quote(f"below/{HOSTILE}", safe="")
    assert page.ask(f"/api/run?run={name}").headers["content-type"] == "application/json"
    compared = page.ask(f"/api/compare?a=one&b={name}")
    assert compared.status == 200
    assert HOSTILE.encode() not in compared.body
    assert "sandbox" in compared.headers["content-security-policy"]


def test_the_page_runs_its_own_scripts_only(page: Service):
    answer = page.ask("/")
    assert b"http" not in answer.body
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("main.js", "uplot.js", "studio.css", "ko.js"):
        assert page.ask(f"/static/{name}").status == 200
    for name in ("../server.py", "nothing.js", "uplot.LICENSE.txt"):
        assert page.ask(f"/static/{quote(name, safe='')}").status == 404


def test_looking_needs_no_torch():
    code = "import sys, saddle.studio.server; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_languages_say_everything():
    static = Path(starting.__file__).parent / "static"
    keys = [
        {line.split(":")[0].strip() for line in (static / name).read_text().splitlines() if line.startswith("  ")}
        for name in ("en.js", "ko.js")
    ]
    assert keys[0] <= keys[1]


def test_the_form_says_what_is_wrong_beside_its_setting(page: Service):
    given = {"batch_size": "-3", "game.r1": "-1", "generator.optimizer.learning_rate": "0.1", "nonsense": "1"}
    told = post(page, "/api/form", {"recipe": "digits", "settings": given}).json
    assert set(told["errors"]) == {"batch_size", "game.r1", "nonsense"}
    values = {each["key"]: each for each in told["settings"]}
    assert values["generator.optimizer.learning_rate"]["value"] == "0.1"
    assert values["game.loss"]["choices"]
    assert values["batch_size"]["help"]
    assert "generator.network.widths" in values
    changed = {"generator.network.family": "dcgan", "data.size": "32"}
    told = post(page, "/api/form", {"recipe": "digits", "settings": changed}).json
    assert "generator.network.widths" not in {each["key"] for each in told["settings"]}
    assert post(page, "/api/form", {"recipe": "/etc/passwd.toml"}).status == 404


def test_a_run_is_started_in_a_process_of_its_own(page: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/bin/echo")
    body = {"recipe": "digits", "out": "new/run", "settings": {"seed": "4", "images": "128", "data.source": "-x"}}
    told = post(page, "/api/start", body)
    assert told.json["command"] == f"saddle train digits --seed=4 --set images=128 --data=-x --out {page.file}/new/run"
    for _ in range(100):
        state = page.ask("/api/started?run=new/run").json
        if state["ended"] is not None and state["output"]:
            break
        time.sleep(0.02)
    assert (state["there"], state["ended"]) == (False, 0)
    assert "train digits --seed=4" in state["output"][0]
    assert post(page, "/api/start", body).status == 200  # what was said by one that never began is in nobody's way
    (page.file / "new" / "run" / "mine.txt").write_text("")
    assert post(page, "/api/start", body).status == 409
    assert post(page, "/api/start", body | {"settings": {"batch_size": "0"}, "out": "other"}).status == 422
    assert not (page.file / "other").exists()


def test_only_a_command_that_stays_in_the_folder_is_run(folder: Path):
    library = Library(folder)
    run = library.find("one")
    config = library.status(run)[0]
    assert start_words(run, config)[:3] == ["train", "digits", "--out"]
    elsewhere = config.model_copy(update={"recipe": "mine"})
    run.environment.write_text(json.dumps({"command": "saddle train digits --out /elsewhere"}))
    assert start_words(run, elsewhere) is None


def test_steering_needs_a_run_that_is_held(page: Service):
    answer = post(page, "/api/ask", {"run": "one", "do": "pause"})
    assert answer.status == 422
    assert "not being trained" in answer.json["what"]
    with locked(RunFolder(page.file / "one").lock, lambda: None):
        for settings, part in (({"game.r1": "-1"}, "game.r1"), ({"batch_size": "3"}, "cannot change"), ({}, "nothing")):
            answer = post(page, "/api/ask", {"run": "one", "do": "edit", "settings": settings})
            assert answer.status == 422
            assert part in answer.body.decode()
        assert not list((page.file / "one").glob("control/*"))
    (page.file / "one" / "control").symlink_to(page.file.parent / "outside")
    try:
        assert post(page, "/api/ask", {"run": "one", "do": "save"}).status == 422
    finally:
        (page.file / "one" / "control").unlink()


def test_what_other_sites_could_send_is_refused(page: Service):
    body = {"run": "one", "do": "stop"}
    assert page.ask("/api/ask", "POST", json.dumps(body).encode()).status == 403
    assert post(page, "/api/ask", body, x_saddle="1", origin="http://evil.example").status == 403
    assert page.ask("/api/runs", host="evil.example").status == 421
    assert page.ask("/api/ask").status == 405
    assert post(page, "/api/ask", body | {"more": 1}).status == 422
    assert page.ask("/api/ask", "POST", b"{" * 1000, **MARK).status == 422
    assert page.ask("/api/ask", "POST", b"x" * 2**19, **MARK).status == 413
    assert page.ask("/api/play/invert?run=one", "POST", b"", content_length=str(2**24), **MARK).status == 413


def test_playing(page: Service):
    info = page.ask("/api/play/info?run=one").json
    assert (info["classes"], info["shape"]) == (["cat", "dog"], [1, 8, 8])
    told = page.ask("/api/play/samples?run=one&seed=3&count=4&truncation=0.5&shares=0,1").json
    assert told["places"] == ["3:0", "3:1", "3:2", "3:3"]
    assert told["command"].endswith("--seed 3 --count 4 --truncation 0.5 --out grid.png --label dog")
    mixed = page.ask("/api/play/samples?run=one&seed=3&count=4&shares=1,3").json
    assert mixed["command"] is None
    assert mixed["pictures"] != told["pictures"]
    way = page.ask("/api/play/between?run=one&start=3:0&end=3:1&steps=5&shares=0,1").json
    assert len(way["pictures"]) == 5
    sum_ = page.ask(f"/api/play/arithmetic?run=one&sum={quote('1,2 - 3')}").json
    assert sum_["names"] == ["+ 1,2", "- 3", "="]
    archive = page.ask("/api/play/download?run=one&count=3&format=zip")
    assert (archive.status, archive.headers["content-type"]) == (200, "application/zip")
    for wrong in (
        "samples?run=one&shares=1,2,3",
        "samples?run=one&truncation=2",
        "between?run=one&start=x",
        "nothing?run=one",
    ):
        assert page.ask(f"/api/play/{wrong}").status in (404, 422)


def test_an_uploaded_picture_is_inverted(page: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.studio.playing._STEPS", 3)
    buffer = io.BytesIO()
    Image.new("RGB", (9, 12), (200, 10, 10)).save(buffer, "PNG")
    told = page.ask("/api/play/invert?run=one", "POST", buffer.getvalue(), **MARK)
    assert len(told.json["pictures"]) == 2
    assert told.json["label"] in ("cat", "dog")
    bad = page.ask("/api/play/invert?run=one", "POST", b"<svg onload=alert(1)>", **MARK)
    assert bad.status == 422
    assert "/tmp" not in bad.body.decode()


def test_d_judges_the_plane(page: Service):
    config = {"images": 320, "threads": 1, "generator.network.widths": [8], "discriminator.network.widths": [8]}
    saddle.train("ring8", out=page.file / "plane", settings=config, progress=Silent())
    assert page.ask("/api/run?run=plane").json["plane"] is True
    told = page.ask("/api/play/landscape?run=plane").json
    assert (len(told["judged"]), len(told["real"]), len(told["samples"])) == (64 * 64, 600, 600)
    assert 0 <= min(told["judged"]) < 128 < max(told["judged"]) <= 255
    assert all(told["low"] < value < told["high"] for point in told["real"] for value in point)
    assert page.ask("/api/play/landscape?run=one").status == 422
    shutil.rmtree(page.file / "plane")


def test_read_only(folder: Path):
    for service in listen(folder, read_only=True):
        assert service.ask("/api/runs").json["read_only"] is True
        for path, body in (
            ("ask", {"run": "one", "do": "save"}),
            ("start", {"recipe": "digits", "out": "x", "settings": {}}),
            ("fork", {"run": "one", "out": "x"}),
            ("continue", {"run": "one"}),
        ):
            assert post(service, f"/api/{path}", body).status == 403


def test_other_machines_need_the_token(folder: Path):
    for service in listen(folder, Rules(token="a-token-of-some-length", seconds=5)):
        assert service.ask("/").status == 200
        assert service.ask("/api/runs").status == 401
        assert service.ask("/api/runs?token=a-token-of-some-length").status == 401
        assert service.ask("/api/runs", authorization="Bearer a-token-of-some-length").status == 200


def test_two_studios_and_a_folder_that_comes_later(tmp_path: Path):
    for one in listen(tmp_path / "later"):
        for two in listen(tmp_path / "later"):
            assert one.ask("/api/runs").json["runs"] == []
            make_run(tmp_path / "later" / "run")
            assert len(two.ask("/api/runs").json["runs"]) == 1
            (tmp_path / "later" / "run").rename(tmp_path / "later" / "renamed")
            assert [row["name"] for row in one.ask("/api/runs").json["runs"]] == ["renamed"]
            (tmp_path / "later" / "renamed" / "log.jsonl").write_bytes(b'{"images": 64}\n{"ima')
            assert one.ask("/api/curves?run=renamed").json["log"]["images"] == [64]


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        studio(tmp_path / "file", host=None, port=0, read_only=True, say=print)
