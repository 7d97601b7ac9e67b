"""A run folder, damaged in every way: what is not needed is left out with a sentence, and nothing of value is lost."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import signal
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import saddle
from saddle import cli
from saddle.base.machine import stop_signals
from saddle.base.progress import Silent
from saddle.base.tensors import load_tensors, save_tensors
from saddle.config import load_config
from saddle.errors import CheckpointError, ConfigError, RunError, SaddleError
from saddle.pages.comparison import compare, write_comparison
from saddle.pages.report import write_report
from saddle.runs.folder import RunFolder
from saddle.runs.log import best_entry, figure_names, last_figures, series
from saddle.runs.scores import Evaluation, Score, keep_scores, read_evaluations
from saddle.runs.status import read_status, resume_command
from saddle.scoring.evaluate import evaluate

TINY = {
    "images": 384,
    "threads": 1,
    "batch_size": 32,
    "checkpoint": {"every": 128, "keep": 1},
    "log.every": 64,
    "samples": {"every": 128, "count": 16},
    "evaluate": {"every": 128, "count": 60},
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
}


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def train(out: Path, progress: Silent | None = None, **changes: Any) -> RunFolder:
    return saddle.train("digits", out=out, device="cpu", settings=TINY | changes, progress=progress or Silent()).folder


def score(value: float = 1.0, **more: Any) -> Score:
    known = {"metric": "fd", "title": "distance", "better": "lower", "value": value, "spread": 0.1, "floor": 0.5}
    known |= {"floor_of": "60 held-out samples", "count": 60, "seeds": 3, "protocol": "fd", "data": "digits"}
    return Score.model_validate(known | {"seconds": 1.0} | more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = train(tmp_path_factory.mktemp("made") / "run")
    found = Evaluation(generator="0" * 64, images_seen=384, scores=(score(),))
    keep_scores(run, run.generator.name, found)
    return run


@pytest.fixture
def run(made: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(made.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture
def other(made: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(made.path, tmp_path / "other")
    return RunFolder(tmp_path / "other")


@pytest.fixture
def drawn() -> None:
    """For tests in which plots are really drawn."""


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Plots are drawn only where a test is about that: it takes long."""
    if "drawn" not in request.fixturenames:
        for name in ("loss_plot", "output_plot", "error_plot", "score_plot"):
            monkeypatch.setattr(f"saddle.pages.report.{name}", lambda *_, **__: Image.new("RGB", (8, 8)))
        monkeypatch.setattr("saddle.pages.comparison.overlay_plot", lambda *_, **__: Image.new("RGB", (8, 8)))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Types ``saddle WORDS`` in this process: exit code, output, errors. Tracebacks fail the test."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in stop_signals()}

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["saddle", *words])
        monkeypatch.setattr("sys.stdout", sys.stdout)
        monkeypatch.setattr("sys.stderr", sys.stderr)
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "nobody foresaw" not in err, err
        return int(exit_.value.code or 0), out, err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def read_all(run: RunFolder, other: RunFolder, page: Path) -> str:
    """All readers of a run folder; everything they say."""
    notes: list[str] = []
    config = load_config(run.config)
    read_status(run, config, notes.append)
    run.read_environment(notes.append)
    resume_command(run, config)
    last_figures(run.read_log())
    notes.append(write_report(run).read_text(encoding="utf-8"))
    found = compare([run.path, other.path])
    write_comparison(found, page)
    return "\n".join([*notes, *found.notes, found.verdict])


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header tells so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink(missing_ok=True)
    make(path)


BIG = "9" * 400  # digits
DEEP = "[" * 50_000
EXTREME = [
    '{"images": 5, "epoch": 1e-320, "discriminator_loss": 1.7e308, "d_real": -1.7e308, "images_per_second": 1e308}',
    '{"images": 9000000000000000000, "epoch": 1.7e308, "seconds": 1.7e308, "discriminator_loss": 1e-320}',
    '{"images": 0, "epoch": 0, "discriminator_loss": "nan", "d_real": NaN, "generator_loss": "-inf", "fd": 1e99}',
    '{"images": 7, "epoch": null, "discriminator_loss": null, "seconds": 0, "fd": null, "best": true}',
    '{"images": 7, "fd": 1.7e308, "best": true, "<b>": 3, "$x$": 4, "precision": -0.0}',
]
LINES = {
    "text for a number": ('{"images": 5, "discriminator_loss": "x"}', "discriminator_loss is not a number"),
    "yes for a number": ('{"images": 5, "d_real": true}', "d_real is not a number"),
    "yes for images": ('{"images": true}', "images is not a number"),
    "negative images": ('{"images": -5}', "images is not a whole number"),
    "a share of an image": ('{"images": 0.5}', "images is not a whole number"),
    "infinite images": ('{"images": 1e400}', "images is not a whole number"),
    "huge images": (f'{{"images": {BIG}}}', "images is too large"),
    "thousands of digits": (f'{{"images": {BIG * 20}}}', "a number in it is too large"),
    "no images": ('{"epoch": 3}', "after how many images"),
    "a huge figure": (f'{{"images": 5, "d_real": {BIG}}}', "d_real is too large"),
    "a list": ('{"images": 5, "generator_loss": [1, [2]]}', "generator_loss is not a number"),
    "a table": ('{"images": {"images": 5}}', "images is not a number"),
    "a negative epoch": ('{"images": 5, "epoch": -1}', "epoch is not a number from 0 on"),
    "endless seconds": ('{"images": 5, "seconds": Infinity}', "seconds is not a number from 0 on"),
    "a text for best": ('{"images": 5, "best": "yes"}', "best is neither"),
    "deep": (DEEP, "nested too deeply"),
    "no object": ("[3]", "no JSON object"),
    "nothing": ("null", "no JSON object"),
    "cut": ('{"images": 5, "ep', "not JSON"),
    "not UTF-8": ('{"images": 5, "\udcff": 1}', "not UTF-8"),
    "half a letter as a name": ('{"images": 5, "\\ud800": 1}', "a name in it"),
    "a long line": ('{"images": 5, "' + "x" * 100_000 + '": 1}', "more than"),
    "a long name": ('{"images": 5, "' + "x" * 500 + '": 1}', "a name in it"),
    "many figures": (json.dumps({"images": 5} | {str(number): 1 for number in range(500)}), "different figures"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_line_that_makes_no_sense_is_named_and_costs_only_itself(run: RunFolder, case: str):
    line, why = LINES[case]
    for file, read in ((run.log, run.read_log), (run.scores, run.read_scores)):
        before = read()
        with file.open("ab") as lines:
            lines.write(line.encode("utf-8", "surrogateescape") + b"\n")
        with file.open("a") as lines:
            lines.write('{"images": 384, "epoch": 0.3, "fd": 2.0, "seconds": 9}\n')
        said: list[str] = []
        assert read(said.append)[:-1] == before
        assert len(said) == 1 and f"{file}: line {len(before) + 1} is damaged" in said[0] and why in said[0]
        assert len(said[0]) < 1000
    assert read_status(run, load_config(run.config)).state == "finished"


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    "lines", ["\n".join(EXTREME), *(pytest.param(line, marks=pytest.mark.slow) for line in EXTREME)]
)
def test_extreme_numbers_are_read_and_drawn(run: RunFolder, other: RunFolder, tmp_path: Path, lines: str):
    for file in (run.log, run.scores, other.scores):
        file.write_text(f"{lines}\n")
    read_all(run, other, tmp_path / "c.html")


def test_many_damaged_lines_are_counted_and_a_long_log_ends(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    run.log.write_text("x\n" * 5_000 + '{"images": 3}\n')
    said: list[str] = []
    assert run.read_log(said.append) == [{"images": 3}]
    assert len(said) == 4 and "4,997 further lines" in said[-1]
    monkeypatch.setattr("saddle.runs.folder.LOG_SIZE", 10_000)
    said.clear()
    assert run.read_log(said.append) == []
    assert any("too long" in text for text in said)
    sparse(run.log, 10**6)
    assert run.read_log(said.append) == []


def test_a_long_log_loses_nothing_when_training_goes_on(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.runs.folder.LOG_SIZE", 256)
    before = run.log.read_text()
    run.rewind(384, lambda _: None)
    assert run.log.read_text() == before


WHOLE_FILES = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe\x00",
    "a list": b"[1, 2]",
    "a number": b"3",
    "null": b"null",
    "deep": b"[" * 50_000,
    "deep inside": b'{"generator.safetensors": ' + b'{"x": ' * 50_000,
    "deep but closed": b'{"generator.safetensors": ' + b"[" * 900 + b"]" * 900 + b"}",
    "digits": b'{"generator.safetensors": ' + b"9" * 9_000 + b"}",
    "NULs": bytes(1000),
}
KINDS: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "FIFO": os.mkfifo,
    "sparse file": lambda path: sparse(path, 2**26 + 1),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path),
}
SIDE_FILES = ["evaluation.json", "environment.json", "log.jsonl", "scores.jsonl", "diverged.txt", "data.png"]


@pytest.mark.parametrize("case", WHOLE_FILES)
def test_damaged_side_files_cost_only_themselves(run: RunFolder, other: RunFolder, tmp_path: Path, case: str):
    for name in ("evaluation.json", "environment.json"):
        (run.path / name).write_bytes(WHOLE_FILES[case])
    told = read_all(run, other, tmp_path / "c.html")
    for name in ("evaluation.json", "environment.json"):
        assert f"{name} is damaged" in told or (name == "environment.json" and b"generator" in WHOLE_FILES[case])
    assert read_evaluations(run) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_entries_of_another_kind_cost_only_themselves(run: RunFolder, other: RunFolder, tmp_path: Path, kind: str):
    for name in SIDE_FILES:
        replaced(run.path / name, KINDS[kind])
    (_, grid), *_ = run.sample_grids()
    replaced(grid, KINDS[kind])
    told = read_all(run, other, tmp_path / "c.html")
    for name in ("evaluation.json", "environment.json", "data.png", grid.name):
        assert f"{name} is left out" in told or (kind == "dangling link" and "is a link" in told), name


@pytest.mark.parametrize(
    "change",
    [
        {"value": "1.0"},
        {"value": True},
        {"value": None},
        {"count": -1},
        {"count": 10**30},
        {"count": 1.5},
        {"better": "best"},
        {"surprise": 1},
        {"title": ["a"]},
        {"spread": []},
    ],
)
def test_scores_of_another_shape_are_left_out(run: RunFolder, change: dict[str, Any]):
    kept = json.loads(run.evaluation.read_text())
    good = kept["generator.safetensors"]
    kept["best.safetensors"] = good | {"scores": [good["scores"][0] | change]}
    kept["../best.safetensors"] = good
    run.evaluation.write_text(json.dumps(kept))
    said: list[str] = []
    assert list(read_evaluations(run, said.append)) == ["generator.safetensors"]
    assert len(said) == 2 and "the scores of best.safetensors are left out" in said[0]
    assert "the scores of ../best.safetensors are left out" in said[1]


def test_scores_that_are_not_finite_are_kept(run: RunFolder, other: RunFolder, tmp_path: Path):
    found = Evaluation(generator="1", images_seen=1, scores=(score(float("nan")), score(float("-inf"), metric="is")))
    keep_scores(run, "generator.safetensors", found)
    kept = read_evaluations(run)["generator.safetensors"]
    assert str(kept["fd"].value) == "nan" and kept["is"].value == float("-inf")
    read_all(run, other, tmp_path / "c.html")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"command": ["saddle", "train"], "device": "cpu"}, "command is neither text nor a number"),
        ({"device": {"a": {"b": 1}}}, "device is neither"),
        ({"device": "\ud800\x1b[31m", "\udfff": 3, "command": "saddle train '"}, ""),
        ({"command": "saddle train \ud800 x"}, ""),
        ({"device": 1e308, "cores": None, "git": True}, ""),
    ],
)
def test_an_odd_environment(run: RunFolder, other: RunFolder, tmp_path: Path, content: Any, said: str):
    run.environment.write_text(json.dumps(content))
    assert said in read_all(run, other, tmp_path / "c.html")


def nested(depth: int) -> bytes:
    return b"x = " + b"[" * depth + b"]" * depth


CONFIGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "FIFO": (os.mkfifo, "a FIFO"),
    "folder": (Path.mkdir, "a folder"),
    "sparse": (lambda path: sparse(path, 10**10), "more than"),
    "deep": (lambda path: path.write_bytes(nested(50_000)), "nested too deeply"),
    "a little deep": (lambda path: path.write_bytes(nested(100)), "nested too deeply"),
    "not UTF-8": (lambda path: path.write_bytes(b'recipe = "\xff"'), "utf-8"),
    "cut": (lambda path: path.write_text("seed = 3\nrecipe = = 2"), "line 2"),
    "empty": (lambda path: path.write_text(""), "not a config"),
    "digits": (lambda path: path.write_text(f"seed = {BIG * 20}"), "64 bits"),
    "another program's": (lambda path: path.write_text('[tool]\nname = "x"'), "not a config"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "there is no file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_cannot_be_read_is_named_with_the_remedy(command, run: RunFolder, other: RunFolder, case: str):
    make, said = CONFIGS[case]
    replaced(run.config, make)
    for words in (("info", "run"), ("report", "run"), ("compare", "run", "other"), ("evaluate", "run")):
        code, out, err = command(*words)
        assert (code, out) == (2, ""), words
        assert "config.toml" in err and said in err and "copy it from there" in err, words
    code, out, err = command("list", ".")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:3]}
    assert rows["run"] == ["damaged"] and rows["other"][:2] == ["digits", "finished"]
    assert said in err
    assert other.config.is_file()


def test_a_config_is_written_anew_as_the_remedy_says(run: RunFolder, tmp_path: Path):
    before = run.config.read_bytes()
    run.config.write_text("recipe = [")
    with pytest.raises(ConfigError, match="another --out"):
        train(run.path)
    fresh = train(tmp_path / "fresh")
    shutil.copy(fresh.config, run.config)
    assert run.config.read_bytes() == before
    train(run.path)


def transparent() -> bytes:
    file = io.BytesIO()
    Image.new("P", (40, 40)).save(file, "PNG", transparency=b"\x00" * 200)
    return file.getvalue()


def wide() -> bytes:
    file = io.BytesIO()
    Image.new("L", (20_000, 2)).save(file, "PNG")
    return file.getvalue()


def other_format() -> bytes:
    file = io.BytesIO()
    Image.new("L", (20, 20)).save(file, "JPEG")
    return file.getvalue()


PICTURES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "a bit": lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
    "empty": lambda _: b"",
    "bomb": lambda _: bomb(50_000, 50_000),
    "small bomb": lambda _: bomb(10_000, 10_000),
    "no pixels": lambda _: bomb(0, 0),
    "another format": lambda _: other_format(),
    "NULs": lambda _: bytes(100_000),
}


@pytest.mark.parametrize("case", PICTURES)
def test_damaged_pictures_are_left_out(run: RunFolder, other: RunFolder, tmp_path: Path, case: str):
    latest = run.sample_grids()[-1][1]
    for path in (latest, run.data_preview):
        path.write_bytes(PICTURES[case](path.read_bytes()))
    told = read_all(run, other, tmp_path / "c.html")
    assert f"{latest.name} is left out" in told and "data.png is left out" in told
    assert "Generated after 256 images" in told
    assert "generated after 256 images" in (tmp_path / "c.html").read_text()


@pytest.mark.parametrize("make", [transparent, wide])
def test_odd_pictures_are_shown(run: RunFolder, other: RunFolder, tmp_path: Path, make: Callable[[], bytes]):
    for _, path in run.sample_grids():
        path.write_bytes(make())
    assert "is left out" not in read_all(run, other, tmp_path / "c.html")


def test_links_to_pictures_are_not_shown(run: RunFolder, other: RunFolder, tmp_path: Path):
    private = tmp_path / "private.png"
    Image.new("L", (40, 40), 77).save(private)
    for path in (run.data_preview, run.sample_grids()[-1][1]):
        replaced(path, lambda link: link.symlink_to(private))
    assert "it is a link" in read_all(run, other, tmp_path / "c.html")
    shutil.move(run.samples, tmp_path / "elsewhere")
    run.samples.symlink_to(tmp_path / "elsewhere")
    assert run.sample_grids() == []
    read_all(run, other, tmp_path / "c.html")


def test_info_counts_nothing_beyond_the_folder(command, run: RunFolder):
    (run.path / "root").symlink_to("/")
    os.mkfifo(run.path / "pipe")
    code, out, _ = command("info", "run")
    assert code == 0
    assert ["root", "link"] in [line.split() for line in out.splitlines()]


def test_every_command_says_what_is_damaged(command, run: RunFolder, other: RunFolder):
    run.evaluation.write_text("{")
    run.scores.write_text('{"images": "many"}\n')
    run.generator.write_bytes(b"damaged")
    for words in (("list", "."), ("info", "run"), ("compare", "run", "other")):
        code, _, err = command(*words)
        assert code == 0
        assert "evaluation.json is damaged" in err and "scores.jsonl: line 1" in err, words
    code, _, _ = command("report", "run")
    page = run.report.read_text()
    assert code == 0 and "Left out" in page and "The interpolation is not made anew" in page
    assert "Left out" not in write_report(other).read_text()


def test_odd_times(run: RunFolder):
    for moment in (0, -(2**31), 2**33):
        with suppress(OSError):
            for path in run.path.iterdir():
                os.utime(path, (moment, moment))
        assert read_status(run, load_config(run.config)).written.year >= 1970


def test_what_training_does_not_need_does_not_stop_it(run: RunFolder):
    for name in ("evaluation.json", "environment.json", "data.png", "diverged.txt", "scores.jsonl", "log.jsonl"):
        (run.path / name).write_bytes(b"\xff{[\n")
    said = Said()
    train(run.path, said, images=512)
    assert [entry["images"] for entry in run.read_log()] == [448, 512]
    assert sum("line 1 is damaged" in text for text in said.lines) == 2
    assert not run.diverged.exists()


# Checkpoints, and what is made again from them.


def test_the_best_generator_is_made_again_with_the_same_bytes(made: RunFolder, run: RunFolder):
    best, newest = made.best.read_bytes(), made.generator.read_bytes()
    for spoil in (run.best.unlink, lambda: run.best.write_bytes(best[:-9]), lambda: run.best.write_bytes(b"")):
        spoil()
        said = Said()
        train(run.path, said)
        assert run.best.read_bytes() == best
        assert sum("best.safetensors" in text for text in said.lines) == 1
        assert run.generator.read_bytes() == newest
    said = Said()
    train(run.path, said)
    assert not any("made again" in text for text in said.lines)


def test_training_goes_on_the_same_after_the_best_was_made_again(made: RunFolder, run: RunFolder, other: RunFolder):
    run.best.unlink()
    for each in (run, other):
        train(each.path, images=512)
    assert run.generator.read_bytes() == other.generator.read_bytes()
    assert run.best.read_bytes() == other.best.read_bytes()


def test_an_earlier_best_needs_no_checkpoint_of_its_own(run: RunFolder):
    *older, (_, newest) = run.all_checkpoints()
    tensors, header = load_tensors(newest)
    header["scorer"]["best_at"] = 256
    save_tensors(newest, tensors, header)
    for _, path in older:
        path.unlink()
    run.best.unlink()
    train(run.path, Said())
    assert saddle.load(run.best).header.images_seen == 256


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "saddle-checkpoint-1"}, "another version of saddle(.|\n)*another --out"),
        ({"format": "something"}, "is no checkpoint(.|\n)*remove"),
        ({"format": None}, "is no checkpoint"),
        ({"record": None}, "nothing that saddle wrote"),
        ({"scorer": []}, "nothing that saddle wrote"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused_with_a_remedy(run: RunFolder, change: dict[str, Any], said: str):
    path = run.all_checkpoints()[-1][1]
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, header | change)
    with pytest.raises(CheckpointError, match=said):
        train(run.path)


def test_a_checkpoint_that_was_put_aside_goes_once_another_is_saved(run: RunFolder):
    (run.checkpoints / "000000000001.damaged").write_bytes(b"x")
    train(run.path)
    assert list(run.checkpoints.glob("*.damaged"))
    train(run.path, images=512)
    assert not list(run.checkpoints.glob("*.damaged"))


# Several evaluations at once.


def test_evaluations_at_once_lose_no_scores(run: RunFolder):
    run.evaluation.unlink()

    def keep(number: int) -> None:
        for turn in range(5):
            found = Evaluation(generator="1", images_seen=1, scores=(score(protocol=f"{number} {turn}"),))
            keep_scores(run, "generator.safetensors", found)

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_evaluations(run)["generator.safetensors"].scores) == 20
    assert not [path for path in run.path.glob(".*") if path != run.lock]


def test_who_waits_for_another_evaluation_says_so(run: RunFolder):
    run.evaluation_lock.touch()
    said: list[str] = []
    with run.evaluation_lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        timer = threading.Timer(0.8, lambda: fcntl.flock(file, fcntl.LOCK_UN))
        timer.start()
        keep_scores(run, "x", Evaluation(generator="1", images_seen=1, scores=()), said.append)
        timer.join()
    assert len(said) == 1 and "waiting for another process" in said[0]
    assert "x" in read_evaluations(run)


def test_an_evaluation_beside_a_training_keeps_its_unfinished_file(run: RunFolder):
    unfinished = run.path / ".evaluation.1.partial.json"
    unfinished.touch()
    train(run.path, images=512)
    assert unfinished.exists()
    keep_scores(run, "x", Evaluation(generator="1", images_seen=1, scores=()))
    assert not unfinished.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_told_before_the_work(run: RunFolder):
    run.path.chmod(0o500)
    try:
        with pytest.raises(RunError, match="scores cannot be kept"):
            evaluate(run.path, count=60, seeds=1)
    finally:
        run.path.chmod(0o700)


# Anything at all.

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=8)
)
SCALARS |= st.sampled_from(["nan", "inf", "-inf", 0, 1, 384, 1e308, -1e308, 5e-324, 2**63, 1e22, "\ud800"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
NAMES = st.sampled_from(
    ["images", "epoch", "seconds", "discriminator_loss", "d_real", "fd", "best", "images_per_second", "sample_mean"]
)
ENTRIES = st.dictionaries(NAMES, SCALARS) | st.builds(
    lambda more, images: more | {"images": images},
    st.dictionaries(NAMES | st.text(max_size=4), st.floats() | st.integers(-(2**70), 2**70)),
    st.integers(0, 1000),
)
SCORES = st.fixed_dictionaries(dict.fromkeys(Score.model_fields, SCALARS)) | st.builds(
    lambda value, spread, floor, count: score().model_dump() | locals(),
    *([st.floats() | st.none()] * 3), st.integers(),
)  # fmt: skip
EVALUATIONS = st.fixed_dictionaries(
    {"generator": st.text(max_size=5), "images_seen": st.integers(), "scores": st.lists(SCORES, max_size=3)}
)
RARE = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def as_read(run: RunFolder) -> None:
    """All that is done with what is read, but for drawing."""
    config, notes = load_config(run.config), list[str]()
    status = read_status(run, config, notes.append)
    assert status.progress and status.images >= 0
    for log in (run.read_log(), run.read_scores()):
        last_figures(log)
        for name in figure_names(log):
            series(log, name)
        best_entry(log, "fd")
    run.read_environment(notes.append)
    with suppress(SaddleError):
        resume_command(run, config)
    for found in read_evaluations(run).values():
        str(found)
        found.rows()
    assert len(notes) < 20


@given(content=st.binary(max_size=200))
@RARE
def test_any_bytes_are_read(made: RunFolder, tmp_path: Path, content: bytes):
    run = bare(made, tmp_path)
    for file in (run.log, run.scores, run.evaluation, run.environment, run.diverged):
        file.write_bytes(content)
    as_read(run)


@given(entries=st.lists(ENTRIES | VALUES, max_size=4), environment=VALUES | st.dictionaries(st.text(), VALUES))
@RARE
def test_any_json_is_read(made: RunFolder, tmp_path: Path, entries: list[Any], environment: Any):
    run = bare(made, tmp_path)
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    run.log.write_text(text)
    run.scores.write_text(text)
    run.environment.write_text(json.dumps(environment))
    as_read(run)


@given(found=st.dictionaries(st.just("generator.safetensors") | st.text(max_size=5), EVALUATIONS | VALUES, max_size=3))
@RARE
def test_any_evaluations_are_read(made: RunFolder, tmp_path: Path, found: Any):
    run = bare(made, tmp_path)
    run.evaluation.write_text(json.dumps(found))
    as_read(run)


@given(entries=st.lists(ENTRIES, min_size=1, max_size=4), found=EVALUATIONS)
@settings(RARE, max_examples=5)
def test_any_json_is_shown(made: RunFolder, tmp_path: Path, entries: list[Any], found: Any):
    run = bare(made, tmp_path)
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    run.log.write_text(text)
    run.scores.write_text(text)
    run.evaluation.write_text(json.dumps({"generator.safetensors": found}))
    read_all(run, made, tmp_path / "c.html")


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
@pytest.mark.timeout(900)
@given(entries=st.lists(ENTRIES, min_size=1, max_size=4), found=EVALUATIONS)
@settings(RARE, max_examples=50)
def test_much_json_is_shown(made: RunFolder, tmp_path: Path, entries: list[Any], found: Any):
    test_any_json_is_shown.hypothesis.inner_test(made, tmp_path, entries, found)  # pyright: ignore


def bare(made: RunFolder, tmp_path: Path) -> RunFolder:
    """A run with nothing but its config."""
    run = RunFolder(tmp_path / "bare")
    run.path.mkdir(exist_ok=True)
    shutil.copy(made.config, run.config)
    return run
