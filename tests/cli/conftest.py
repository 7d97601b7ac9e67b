"""The command line, called in the test's own process and a fresh folder."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from saddle import cli
from saddle.base.machine import stop_signals


class Output(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def saddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Types ``saddle WORDS`` and gives exit code, output and errors; a traceback fails the test."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in stop_signals()}  # the command line keeps its own

    def run(*words: str) -> Output:
        monkeypatch.setattr("sys.argv", ["saddle", *words])
        monkeypatch.setattr("sys.stdout", sys.stdout)  # and its streams
        monkeypatch.setattr("sys.stderr", sys.stderr)
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Output(int(exit_.value.code or 0), out, err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
