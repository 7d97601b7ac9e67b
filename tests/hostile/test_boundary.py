"""Where the command line meets the system: errors of every kind, streams that are closed or full, signals."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from saddle.base.files import atomic_path, removed_after, write_text
from saddle.cli.boundary import answer
from saddle.errors import Interrupted

SHORT = "train digits --threads 1 --set images=1000 --out r"
TORCH_MEMORY = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "40000000000 bytes. Error code 12 (Cannot allocate memory)"
)


class OutOfMemoryError(RuntimeError):  # as torch's own is called
    pass


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError(), 2, "the memory is not enough"),
        (MemoryError("Unable to allocate 8.00 GiB for an array"), 2, "Unable to allocate 8.00 GiB"),
        (RuntimeError(TORCH_MEMORY), 2, "you tried to allocate 40000000000 bytes"),
        (RuntimeError("std::bad_alloc"), 2, "the memory is not enough"),
        (RuntimeError("can't start new thread"), 2, "the memory is not enough"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), 2, "the memory is not enough"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 2, "the memory is not enough"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 2, "the memory is not enough"),
        (RecursionError("maximum recursion depth exceeded"), 2, "nested too deeply"),
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), 2, "a.png cannot be used"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "make room"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), 2, "a shorter name"),
        (PermissionError(errno.EACCES, "Permission denied", b"b", None, "c"), 2, "b and c cannot be used"),
        (OSError(errno.EIO, "Input/output error"), 2, "the system refuses"),
        (OSError("image file is truncated"), 70, "an error that nobody foresaw: OSError: image file is truncated"),
        (ValueError("odd"), 70, "an error that nobody foresaw: ValueError: odd"),
        (AssertionError(), 70, "an error that nobody foresaw: AssertionError"),
        (EOFError(), 70, "an error that nobody foresaw: EOFError"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted("stopped", signal_number=1), 129, "stopped"),
    ],
)
def test_every_error_has_an_answer(capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str):
    assert answer(error) == code
    told = capsys.readouterr().err
    assert told.startswith("saddle: ") and said in told and "Traceback" not in told


def test_what_nobody_foresaw_is_one_line_and_says_where_the_details_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    try:
        raise ZeroDivisionError("a\nb")
    except ZeroDivisionError as error:
        answer(error)
    (line,) = capsys.readouterr().err.splitlines()
    (details,) = tmp_path.glob("saddle-error-*.txt")
    assert line.endswith(str(details))
    assert "Traceback" in (text := details.read_text()) and "torch" in text and 'ZeroDivisionError("a\\nb")' in text


def test_details_that_cannot_be_written(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    assert answer(ValueError("odd")) == 70
    assert "ValueError: odd; the details could not be written (No such file or directory)" in capsys.readouterr().err


def test_debugging_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SADDLE_DEBUG", "1")
    answer(ValueError("odd"))
    assert "ValueError: odd\nsaddle: an error that nobody foresaw: ValueError: odd" in capsys.readouterr().err


FAULTY = "from saddle import cli, config\ndef fail():\n    {}\nconfig.all_recipes = fail\ncli.main()"


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        ("1 / 0", 70, "saddle: an error that nobody foresaw: ZeroDivisionError: division by zero; "),
        ("raise EOFError", 70, "saddle: an error that nobody foresaw: EOFError: ; "),
        ("fail()", 2, "saddle: what was given is nested too deeply"),
        ("bytearray(2**60)", 2, "saddle: the memory is not enough"),
        ("open('/')", 2, "saddle: / cannot be used\n  got: Is a directory"),
        ("raise SystemExit(5)", 5, ""),
    ],
)
def test_a_command_that_fails(tmp_path: Path, statement: str, code: int, said: str):
    done = subprocess.run(
        [sys.executable, "-c", FAULTY.format(statement), "recipes"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("recipes >&-", 0, ""),
        ("recipes 2>&-", 0, "`saddle recipes NAME` shows"),
        ("recipes <&- >&- 2>&-", 0, ""),
        ("recipes | head -1; exit ${PIPESTATUS[0]}", 0, "Our own"),
        ("recipes | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("recipes >/dev/full", 2, "saddle: standard output cannot be written\n  got: No space left on device\n"),
        ("recipes 2>/dev/full", 0, "`saddle recipes NAME` shows"),
        ("frob >&- 2>&-", 2, ""),
        ("frob 2>/dev/full", 2, ""),
        ("train digits --out ''", 2, "Error: one of the arguments is empty"),
        ("data inspect ''", 2, "Error: one of the arguments is empty"),
        ("recipes digits --set", 2, "Error: "),
    ],
)
def test_streams_and_arguments(shell, line: str, code: int, said: str):
    done = shell(f"saddle {line}", PYTHONIOENCODING="ascii")  # which lacks letters
    assert done.returncode == code
    assert said in done.stdout + done.stderr


def test_files_do_not_become_standard_output(tmp_path: Path):
    """With a closed standard output, the next file to be opened would get its number."""
    code = "import os; from saddle.base.streams import take_over; take_over(); print(open('a', 'w').fileno() > 2)"
    line = f'"{sys.executable}" -c "{code}; os.write(1, b\'from a library\')" 1>&- 2>&- 0>&-'
    subprocess.run(["bash", "-c", line], check=True, cwd=tmp_path)
    assert (tmp_path / "a").read_bytes() == b""


@pytest.mark.slow
@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "2>/dev/full", "2>&1 | true", "| true"])
def test_a_training_goes_on_without_its_streams(shell, tmp_path: Path, streams: str):
    done = shell(f"saddle {SHORT} {streams}; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, (tmp_path / "r/report.html").exists()) == (0, True)


@pytest.mark.slow
def test_a_training_whose_last_words_find_no_room_says_so(shell, tmp_path: Path):
    done = shell(f"saddle {SHORT} >/dev/full")
    assert done.returncode == 2 and "standard output cannot be written" in done.stderr
    assert (tmp_path / "r/report.html").exists()


@pytest.mark.slow
def test_a_training_where_torch_finds_no_room_says_so(shell):
    done = shell(f"ulimit -v 250000; saddle {SHORT}")
    assert done.returncode == 2 and "memory" in done.stderr


AT_WORK = """
import os, pathlib, sys
from saddle.base.files import atomic_path, removed_after
from saddle.cli import boundary
boundary.begin()
folder = pathlib.Path("half.partial")
folder.mkdir()
with removed_after(folder), atomic_path(pathlib.Path("picture.png")) as picture:
    (folder / "values.bin").write_text("half")
    picture.write_text("half")
    print("at work", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_once_and_leaves_nothing_half_done(tmp_path: Path, number: signal.Signals):
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "at work\n"
    assert {path.name for path in tmp_path.iterdir()} == {"half.partial", f".picture.{process.pid}.partial.png"}
    process.send_signal(number)
    _, told = process.communicate()
    assert process.returncode == 128 + number
    assert told == f"saddle: {'interrupted' if number == signal.SIGINT else f'stopped by {number.name}'}\n"
    assert not list(tmp_path.iterdir())


def test_what_nohup_starts_does_not_mind_the_terminal(tmp_path: Path):
    process = subprocess.Popen(
        ["nohup", sys.executable, "-c", AT_WORK], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGHUP)
    process.communicate()
    assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def until(reached: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_at_any_moment_of_the_start(start, tmp_path: Path, number: signal.Signals):
    moments = random.Random(number)
    for _ in range(8):
        process = start("train", "digits", "--threads", "1", "--set", "images=5000000", "--out", "r")
        time.sleep(moments.uniform(0.4, 4))  # in the first 50 ms of its time, Python itself would answer
        process.send_signal(number)
        told, _ = process.communicate(timeout=60)
        assert "Traceback" not in told
        assert process.returncode in (128 + number, -number), told
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_training_saves(start, tmp_path: Path, number: signal.Signals):
    words = ("train", "digits", "--threads", "1", "--set", "images=5000000", "--set", "log.every=500", "--out", "r")
    process = start(*words)
    until((tmp_path / "r/log.jsonl").exists, process)
    process.send_signal(number)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "everything is saved in r\n  remedy: run the same command again to resume\n" in told


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_while_images_are_decoded_leaves_nothing(tmp_path: Path, number: signal.Signals, whole_group: bool):
    (tmp_path / "f").mkdir()
    for index in range(2000):
        Image.new("L", (96, 96), index % 256).save(tmp_path / f"f/{index}.png")
    cache = tmp_path / "own"
    process = subprocess.Popen(
        [sys.executable, "-m", "saddle", *SHORT.split(), "--data", "f", "--set", "data.size=16"],
        cwd=tmp_path, env=os.environ | {"SADDLE_CACHE": str(cache)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    until(lambda: list(cache.glob("images/*.partial/values.bin")), process)
    time.sleep(0.2)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    told, _ = process.communicate(timeout=60)  # at the end of what the workers print too
    assert "Traceback" not in told
    assert process.returncode == 128 + number
    assert not list((cache / "images").iterdir())


def test_names_as_long_as_they_can_be(tmp_path: Path):
    for name in ("x" * 251 + ".txt", "é" * 125 + ".txt", "a\nb.txt", "\x1b[31m.txt", "<b>.txt", "sp ace ü.txt"):
        write_text(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"
    assert len(list(tmp_path.iterdir())) == 6


def test_a_body_that_fails_leaves_nothing(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), removed_after(tmp_path / "f") as folder:
        folder.mkdir()
        (folder / "g").touch()
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "g") as file:
        file.touch()
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["new\nline", "\x1b[31m", "x" * 240, "x" * 300, "a/" * 2500, "<b> & 'ü'", "-", "\udcff"]
)
def test_run_folders_with_odd_names(start, tmp_path: Path, name: str):
    process = start(*SHORT.split()[:-1], name)
    told, _ = process.communicate(timeout=100)
    assert "Traceback" not in told and "\x1b" not in told and process.returncode in (0, 2)
    if process.returncode:
        assert told.startswith("saddle: ") and not (tmp_path / name[:250]).exists()
    else:
        assert (tmp_path / name / "report.html").exists()
