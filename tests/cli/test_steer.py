"""``saddle pause``, ``resume``, ``stop``, ``save``, ``edit`` and ``fork`` as a user types them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from saddle.config import load_recipe, resolve, to_toml
from saddle.runs import control
from saddle.runs.control import Inbox
from saddle.runs.edits import Edit, add_edit
from saddle.runs.folder import RunFolder

SMALL = ["--set", "generator.network.widths=[8]", "--set", "discriminator.network.widths=[8]", "--threads", "1"]
TRAIN = ["train", "mlp-tanh", "--data", "digits", *SMALL]


def test_asked_by_the_command_line(saddle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = RunFolder(tmp_path / "run")
    run.create()
    run.lock.touch()
    run.config.write_text(to_toml(resolve(load_recipe("digits"), {"images": 256})), encoding="utf-8")
    run.append_log({"images": 128, "epoch": 0.1})
    code, _, err = saddle("pause", "run")
    assert code == 2 and "run is not being trained" in err and "one that is stopped" in err
    for module in ("control", "status"):
        monkeypatch.setattr(f"saddle.runs.{module}.is_locked", lambda run: True)
    inbox, over = Inbox(run), threading.Event()

    def answer() -> None:  # as a training would
        while not over.is_set():
            for request in inbox.take(print):
                inbox.pause(paused=request.do == "pause")
                if request.do == "edit":
                    add_edit(run.edits, Edit(128, request.set))
                if request.do == "save":
                    inbox.refuse(request.name, "there is no room")
                inbox.met(request.name)
            time.sleep(0.01)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        assert saddle("pause", "run").out == "run is paused at 128 of 256 images (50 %)\n"
        assert " paused " in saddle("list", ".").out
        assert saddle("resume", "run").out == "run goes on from 128 of 256 images (50 %)\n"
        done = saddle("edit", "run", "game.r1=0.5", "log.every=16")
        assert done.out == "run is edited at 128 images: game.r1 = 0.5, log.every = 16\n"
        code, _, err = saddle("save", "run")
        assert code == 2 and "there is no room" in err
        code, _, err = saddle("edit", "run", "game.r7=1")
        assert code == 2 and "unknown key 'game.r7'" in err
        code, _, err = saddle("edit", "run", "seed=1")
        assert code == 2 and "seed cannot change while a run goes on" in err
        assert saddle("edit", "run", "game.r1").code == 2
    finally:
        over.set()
        thread.join()
    monkeypatch.setattr(control.time, "monotonic", iter(range(0, 1000, 20)).__next__)  # ten seconds are soon over
    assert "comes to it between two of its rounds" in saddle("stop", "run").out
    told = saddle("info", "run").out
    assert "after 128 images: game.r1 = 0.5, log.every = 16" in told


def test_fork_and_its_report(saddle, tmp_path: Path):
    assert saddle(*TRAIN, "--out", "run", "--set", "images=256").code == 0
    done = saddle("fork", "run", "--out", "new", "--set", "game.r1=0.5")
    assert done.code == 0, done.err
    assert done.out.startswith("new is at 256 of 256 images (100 %); resume: saddle train mlp-tanh --out new")
    code, _, err = saddle("fork", "run", "--out", "other", "--at", "3")
    assert code == 2 and "no checkpoint at or before 3 images" in err
    code, _, err = saddle("fork", "run", "--out", "other", "--set", "seed=3")
    assert code == 2 and "seed cannot change" in err
    assert not (tmp_path / "other").exists()
    told = saddle("info", "new").out
    assert f"parent:       {tmp_path}/run after 256 images, checkpoint" in " ".join(told.split("\n"))
    assert "edit:         after 256 images: game.r1 = 0.5" in told
    assert saddle("report", "new").code == 0
    page = (tmp_path / "new" / "report.html").read_text()
    assert "forked from" in page and "game.r1 = 0.5" in page
