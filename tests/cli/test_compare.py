"""``saddle compare`` as a user types it."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from saddle.config import Config, to_toml
from saddle.runs.folder import RunFolder
from saddle.runs.scores import Evaluation, Score, keep_scores


def start(path: Path, value: float, *, r1: float = 0.0, notes: tuple[str, ...] = ()) -> None:
    run = RunFolder(path)
    run.create()
    config = Config.model_validate({"recipe": "digits", "epochs": 1, "game": {"r1": r1}})
    run.config.write_text(to_toml(config), encoding="utf-8")
    run.append_log({"images": 1500, "epoch": 1.0, "discriminator_loss": 1.25, "seconds": 2.0})
    run.generator.write_bytes(b"some generator")
    score = Score(
        metric="fd", title="Fréchet distance", better="lower", value=value, spread=0.01, floor=None, floor_of=None,
        count=100, seeds=2, protocol="fd-pixels-100", data="digits", seconds=1.0,
    )  # fmt: skip
    digest = sha256(run.generator.read_bytes()).hexdigest()
    found = Evaluation(generator=digest, images_seen=1500, scores=(score,), notes=notes)
    keep_scores(run, run.generator.name, found)


def test_differences_figures_and_scores_are_printed_and_the_page_is_written(saddle, tmp_path: Path):
    start(tmp_path / "plain", 0.9)
    start(tmp_path / "penalised", 0.5, r1=1.5, notes=("too few samples",))
    code, out, err = saddle("compare", "plain", "penalised")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()]
    assert ["game.r1", "0.0", "1.5"] in rows
    assert ["loss", "of", "D", "1.25", "1.25"] in rows
    assert ["fd", "0.9", "±", "0.01", "0.5", "±", "0.01", "*", "lower", "fd-pixels-100", "on", "digits"] in rows
    assert "batch_size" not in out
    assert "* marks the best one" in out
    assert "warning: penalised: too few samples" in err
    assert out.endswith("curves and samples in compare.html\n")
    assert Path("compare.html").read_text(encoding="utf-8").startswith("<!")


def test_runs_that_are_alike(saddle, tmp_path: Path):
    for name in ("a", "b", "c"):
        start(tmp_path / name, 0.5)
    code, out, err = saddle("compare", "a", "b", "c", "--out", "page.html")
    assert code == 0, err
    assert out.startswith("all settings are the same\n")
    assert "do not say which run is better" in out
    assert Path("page.html").exists() and not Path("compare.html").exists()


def test_a_run_that_is_not_scored_is_told_first_and_nobody_wins(saddle, tmp_path: Path):
    start(tmp_path / "scored", 0.5)
    start(tmp_path / "fresh one", 0.9)
    RunFolder(tmp_path / "fresh one").evaluation.unlink()
    code, out, err = saddle("compare", "scored", "fresh one")
    assert (code, err) == (0, "")
    said = out[out.index("Not scored") :]
    assert said.startswith("Not scored yet: fresh one. To score: saddle evaluate 'fresh one'\n")
    assert "before at least two runs are scored" in said
    assert "spread" not in said and "*" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "RUN"),
        (["a"], "two runs or more"),
        (["a", "nowhere"], "nowhere holds no run"),
        (["a", "./a"], "given twice"),
        (["a", "b", "--out", "nowhere/page.html"], "nowhere/page.html cannot be written"),
        (["a", "b", "--out", "page.png"], "page.png is not named as a page"),
    ],
)
def test_bad_input_exits_2_with_a_message_and_leaves_nothing(saddle, tmp_path: Path, words: list[str], said: str):
    for name in ("a", "b"):
        start(tmp_path / name, 0.5)
    code, out, err = saddle("compare", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert {path.name for path in tmp_path.iterdir()} <= {"a", "b", "cache"}


def test_it_does_not_need_torch(tmp_path: Path):
    for name in ("a", "b"):
        start(tmp_path / name, 0.5)
    script = (
        "import sys\nfrom saddle.cli.commands import app\n"
        "app(['compare', 'a', 'b'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=tmp_path)
