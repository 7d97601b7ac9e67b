"""The command, the address, the token."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from saddle.errors import ConfigError, SaddleError
from saddle.studio import listening
from saddle.studio.guard import is_loopback, rules_for
from saddle.studio.listening import bound, serve

from .conftest import make_generator


def test_only_what_others_can_reach_needs_a_token(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SADDLE_TOKEN", raising=False)
    for host in (None, "127.0.0.1", "localhost", "::1"):
        assert rules_for(host, 1).token is None
    everywhere = rules_for("0.0.0.0", 1)
    assert everywhere.token is not None
    assert len(everywhere.token) > 30
    assert everywhere.token != rules_for("0.0.0.0", 1).token
    assert everywhere.any_address
    one = rules_for("192.0.2.7", 1)
    assert one.token is not None
    assert "192.0.2.7" in one.names
    assert not one.any_address
    monkeypatch.setenv("SADDLE_TOKEN", "a-token-of-some-length")
    for host in (None, "0.0.0.0"):
        assert rules_for(host, 1).token == "a-token-of-some-length"
    for bad in ("", "short", "with spaces in the middle", "é" * 20, "line\nbreak-and-more-of-it"):
        monkeypatch.setenv("SADDLE_TOKEN", bad)
        with pytest.raises(ConfigError, match="SADDLE_TOKEN"):
            rules_for(None, 1)


def test_which_addresses_are_this_machines_own():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.0.2.1", "example.org")))


def test_an_address_that_cannot_be_used():
    with (
        bound("127.0.0.1", 0) as taken,
        pytest.raises(SaddleError, match="cannot be used") as raised,
        bound("127.0.0.1", taken.getsockname()[1]),
    ):
        pass
    assert "--port" in str(raised.value.remedy)
    for host, port in (("192.0.2.1", 0), ("127.0.0.1", 70_000), ("no.such.host.invalid", 0)):
        with pytest.raises(SaddleError), bound(host, port):
            pass


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(listening, "find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(ConfigError, match="uvicorn") as raised:
        serve(tmp_path, host=None, port=0, most=1, seconds=1, device="cpu", say=print)
    assert "saddle[studio]" in str(raised.value.remedy)


def test_arguments_that_make_no_sense(tmp_path: Path):
    for options in ({"most": 0}, {"seconds": 0.0}, {"seconds": float("nan")}, {"port": -1}):
        make_generator().save(tmp_path / "g.safetensors")
        given = {"host": None, "port": 0, "most": 1, "seconds": 1.0, "device": "cpu"} | options
        with pytest.raises(ConfigError):
            serve(tmp_path / "g.safetensors", say=print, **given)
    with pytest.raises(SaddleError):
        serve(tmp_path / "none", host=None, port=0, most=1, seconds=1, device="cpu", say=print)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully(number: signal.Signals, tmp_path: Path):
    make_generator().save(tmp_path / "g.safetensors")
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "SADDLE_TOKEN": "a-token-of-some-length"}
    command = [sys.executable, "-m", "saddle", "serve", "g.safetensors", "--port", "0", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
    assert found is not None
    token = {"Authorization": "Bearer a-token-of-some-length"}
    with urlopen(Request(f"{found[0]}/samples?count=4&format=npy", headers=token)) as answer:
        assert len(answer.read()) == 128 + 4 * 64
    with socket.create_connection(("127.0.0.1", int(found[1]))) as open_connection:
        open_connection.sendall(b"GET /health HT")  # half a request holds nothing up
        process.send_signal(number)
        rest = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert rest.splitlines()[-1] == "stopped"
    assert "a-token-of-some-length" not in rest
    assert "Traceback" not in rest
