"""What went wrong once, and must not again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

import saddle
from saddle.base.files import write_text
from saddle.base.progress import Silent
from saddle.errors import DamagedFile, RunError
from saddle.runs.folder import RunFolder
from saddle.runs.status import read_status
from saddle.trained.classifier import load_classifier

SETTINGS: dict[str, Any] = {
    "threads": 1,
    "batch_size": 32,
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
    "checkpoint.every": 160,
}


def trained(out: Path, recipe: str = "mlp-tanh", images: int = 320, **settings: Any) -> saddle.Run:
    return saddle.train(
        recipe, data="digits", out=out, images=images, settings=SETTINGS | settings, progress=Silent()
    )  # fmt: skip


def test_temporary_files_of_other_commands_are_left_alone(tmp_path: Path):
    run = trained(tmp_path / "run")
    theirs = tmp_path / "run" / ".imgs.123.partial"
    theirs.mkdir()
    ours = tmp_path / "run" / ".log.123.partial.jsonl"
    ours.write_text("half")
    trained(tmp_path / "run", images=640)
    assert theirs.is_dir()
    assert not ours.exists()
    assert run.folder.generator.is_file()


def test_a_log_that_cannot_be_read_is_not_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained(tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    before = folder.log.read_bytes()

    def refuse(*_: object) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("saddle.runs.reading.open_log", refuse)
    with pytest.raises(RunError, match=r"log\.jsonl cannot be read"):
        folder.rewind(160, lambda _: None)
    assert folder.log.read_bytes() == before


def test_a_finished_run_whose_last_line_is_damaged_is_finished(tmp_path: Path):
    run = trained(tmp_path / "run")
    lines = run.folder.log.read_text().splitlines()
    run.folder.log.write_text("\n".join([*lines[:-1], "{"]) + "\n")
    assert read_status(run.folder, run.config).state == "finished"


def test_a_link_under_a_temporary_name_is_not_written_through(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".page.{os.getpid()}.partial.html").symlink_to(victim)
    write_text(tmp_path / "page.html", "new")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "page.html").read_text() == "new"


def test_a_fork_takes_no_links_along(tmp_path: Path):
    run = trained(tmp_path / "run", members=2)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("precious")
    (run.folder.member(1).path / "notes").symlink_to(tmp_path / "secret")
    os.mkfifo(run.folder.member(1).path / "pipe")
    fork = saddle.fork(tmp_path / "run", member=1, out=tmp_path / "fork")
    assert not (tmp_path / "fork" / "notes").exists()
    assert not (tmp_path / "fork" / "pipe").exists()
    assert fork.path == tmp_path / "fork"


def test_a_shape_beyond_all_numbers_is_damage(tmp_path: Path):
    content = save({"x": torch.zeros(0, 1)}, {"saddle": "{}"})
    (tmp_path / "x.safetensors").write_bytes(content.replace(b"[0,1]", b"[0,18446744073709551615]", 1))
    size = int.from_bytes(content[:8], "little")
    changed = content[8 : 8 + size].replace(b"[0,1]", b"[0,18446744073709551615]").rstrip()
    (tmp_path / "x.safetensors").write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + size :])
    with pytest.raises(DamagedFile):
        saddle.load(tmp_path / "x.safetensors")


def test_scores_are_kept_though_the_classifier_is_damaged(tmp_path: Path):
    settings = {"data.labelled": 100, "batch_size": 20, "average.half_life": 100}
    run = trained(tmp_path / "run", "semi-supervised", images=80, **settings)
    assert load_classifier(tmp_path / "run").header.labelled == 100
    run.folder.classifier.write_bytes(b"no")
    found = run.evaluate(count=100, seeds=1, extractor="pixels")
    assert found.scores
    assert any("without errors" in note for note in found.notes)
    assert RunFolder(tmp_path / "run").evaluation.is_file()


def test_a_member_without_the_others_penalty_resumes_alone(tmp_path: Path):
    settings = {"members": 2, "vary.game.r1": [0, 1], "batch_size": 16, "log.every": 64, "checkpoint.every": 48}
    trained(tmp_path / "run", images=48, **settings)
    fork = saddle.fork(tmp_path / "run", member=0, out=tmp_path / "fork")
    alone = {key: value for key, value in settings.items() if key not in ("members", "vary.game.r1")}
    trained(tmp_path / "fork", images=128, **alone, **{"game.r1": 0})
    assert RunFolder(fork.path).read_log()[-1]["images"] == 128
