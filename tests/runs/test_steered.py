"""What is asked of a run, and the edits that it notes."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saddle.config import load_recipe, resolve, to_toml
from saddle.config.resolve import settle
from saddle.errors import ConfigError, RunError, SaddleError
from saddle.runs import control
from saddle.runs.control import Inbox, ask, wait_for
from saddle.runs.edits import Edit, add_edit, config_after, in_force, in_words, read_edits
from saddle.runs.folder import RunFolder
from saddle.runs.status import read_status

CONFIG = settle(resolve(load_recipe("digits")), {}, total=300_000)


@contextmanager
def training(path: Path) -> Iterator[RunFolder]:
    """A run that a process seems to train."""
    run = RunFolder(path)
    run.create()
    run.config.write_text(to_toml(CONFIG), encoding="utf-8")
    with run.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield run


def test_requests_are_met_in_their_order_and_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "_LOOK", 0.0)
    said: list[str] = []
    with training(tmp_path / "run") as run:
        inbox = Inbox(run)
        assert not inbox.has_some()
        paths = [ask(run, "pause"), ask(run, "edit", {"game": {"r1": 2}}), ask(run, "stop")]
        assert inbox.has_some()
        requests = inbox.take(said.append)
        assert [(each.do, dict(each.set)) for each in requests] == [
            ("pause", {}),
            ("edit", {"game.r1": 2.0}),
            ("stop", {}),
        ]
        assert not inbox.has_some() and not wait_for(paths[0], 0)  # taken, and not met yet
        inbox.met(requests[0].name)
        inbox.refuse(requests[1].name, "no\nreason")
        assert wait_for(paths[0], 0)
        with pytest.raises(RunError, match=r"no\\nreason"):
            wait_for(paths[1], 0)
        late = ask(run, "save")
        inbox.close()
        assert wait_for(paths[2], 0)
        with pytest.raises(RunError, match="has ended before"):
            wait_for(late, 0)
        assert not list(run.control.iterdir()) and not said


def test_a_session_forgets_what_was_asked_of_an_earlier_one(tmp_path: Path):
    said: list[str] = []
    with training(tmp_path / "run") as run:
        ask(run, "stop")
        Inbox(run).pause(paused=True)
        assert read_status(run, CONFIG).state == "paused"
        Inbox(run).open(said.append)
        assert read_status(run, CONFIG).state == "running"
        assert said == ["requests to an earlier session of this run, which were never met and are forgotten: 1"]
        assert not list(run.control.iterdir())


def test_what_cannot_be_asked_is_refused_before_anything_is_written(tmp_path: Path):
    with training(tmp_path / "run") as run:
        for settings, words in (({"game.r3": 1}, "did you mean"), ({"seed": 1}, "cannot change"), ({}, "nothing")):
            with pytest.raises(ConfigError, match=words):
                ask(run, "edit", settings)
        with pytest.raises(RunError, match="no checkpoint after 5 images"):
            ask(run, "back", to=5)
        assert not run.control.exists()
        run.control.write_text("")
        with pytest.raises(SaddleError, match="cannot be written"):
            ask(run, "pause")
        run.control.unlink()
    with pytest.raises(RunError, match="not being trained") as caught:
        ask(run, "edit", {"game.r1": 1})
    assert "saddle fork" in str(caught.value) and caught.value.exit_code == 2
    with pytest.raises(RunError, match="holds no run"):
        ask(RunFolder(tmp_path / "none"), "pause")
    assert not run.control.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_one_may_not_write_to(tmp_path: Path):
    with training(tmp_path / "run") as run:
        run.path.chmod(0o500)
        with pytest.raises(SaddleError, match="control cannot be written"):
            ask(run, "pause")


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.json").write_text('{"do": "stop"}')
    with training(tmp_path / "run") as run:
        run.control.symlink_to(tmp_path / "elsewhere")
        inbox = Inbox(run)
        assert not inbox.has_some() and not inbox.take(print)
        inbox.open(print)
        assert (tmp_path / "elsewhere" / "1.json").exists()


def test_edits_are_read_as_they_were_written(tmp_path: Path):
    edits = [
        Edit(64, {"game.r1": 1.0}),
        Edit(128, {"log.every": "auto"}),
        Edit(32, {}, 256),
        Edit(64, {"game.r1": 2.0}),
    ]
    path = tmp_path / "edits.jsonl"
    assert read_edits(path) == []
    for edit in edits:
        add_edit(path, edit)
    assert read_edits(path) == edits
    said: list[str] = []
    path.write_text(path.read_text() + '{"images": 300, "s')
    assert read_edits(path, said.append) == edits and "was cut short" in said[0]
    add_edit(path, edits[0])  # the rest of the line is not in the way
    assert read_edits(path) == [*edits, edits[0]]


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", "{}", "\xff", '{"images": 1}', '{"images": -1, "set": {"a": 1}}',
        '{"images": true, "set": {"a": 1}}', '{"images": 1, "set": {}}', '{"images": 1, "set": 3}',
        '{"images": 1, "set": {"a": 1}, "by": "me"}',
        '{"images": 9, "set": {}, "rolled_back_from": 3}', '{"images": 1e3, "set": {"a": 1}}', "",
    ],
)  # fmt: skip
def test_a_damaged_line_is_an_error_that_names_it(tmp_path: Path, line: str):
    path = tmp_path / "edits.jsonl"
    path.write_bytes(b'{"images": 1, "set": {"game.r1": 1}}\n' + line.encode("latin-1") + b"\n")
    with pytest.raises(RunError, match=r"line 2 of .*edits\.jsonl is damaged"):
        read_edits(path)


def test_going_back_undoes_the_edits_on_the_way():
    edits = [
        Edit(100, {"game.r1": 1}),
        Edit(200, {"game.r1": 2}),
        Edit(300, {"game.r1": 3}),
        Edit(900, {"game.r1": 9}),  # from a file that is replayed, and still to come
        Edit(200, {"game.r2": 2}, 300),
        Edit(250, {"game.r2": 3}),
    ]
    kept = in_force(edits)
    assert [edits.index(edit) for edit in kept] == [0, 1, 4, 5, 3]
    assert in_force(kept) == kept
    assert [config_after(CONFIG, kept, images).game.r1 for images in (99, 100, 200, 899, 900)] == [0.3, 1, 2, 2, 9]
    assert [config_after(CONFIG, kept, images).game.r2 for images in (199, 200, 250)] == [0, 2, 3]
    with pytest.raises(RunError, match=r"after 7 images.*seed cannot change"):
        config_after(CONFIG, [Edit(7, {"seed": 1})])


def test_in_words():
    assert in_words(Edit(1, {"game.r1": 1.0, "log.every": "auto"})) == 'game.r1 = 1.0, log.every = "auto"'
    assert in_words(Edit(1, {}, 3000)) == "back from 3,000 images: no change"
    assert json.loads(json.dumps(Edit(1, {}, 3).as_entry())) == {"images": 1, "set": {}, "rolled_back_from": 3}
