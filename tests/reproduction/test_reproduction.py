from __future__ import annotations

import json
import re
import shlex
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saddle.api import train_config
from saddle.base.progress import Silent
from saddle.config import Config, load_recipe, parse_settings, resolve
from saddle.errors import ConfigError, Diverged, RunError
from saddle.health.course import Health
from saddle.health.rules import Verdict
from saddle.reproduction.page import _share
from saddle.reproduction.run import reproduce
from saddle.reproduction.tables import Row, load_table, table_names
from saddle.runs.folder import RunFolder
from saddle.scoring.evaluate import evaluate
from saddle.trained.generator import load
from saddle.training.loop import train

ISSUED = (
    *("goodfellow2014", "mirza2014", "salimans2016-mnist", "dcgan-1nn"),
    *("pacgan-2d", "stacked-mnist", "lucic2018-mnist", "tutorials"),
)
# Tables of points need no files.
SMALL = {"images": 800, "generator": {"network": {"widths": [8]}}, "discriminator": {"network": {"widths": [8]}}}


@pytest.mark.parametrize("name", table_names())
def test_every_row_is_a_recipe_with_valid_settings(name: str):
    table = load_table(name)
    for row in table.rows:
        for quick in ({}, table.quick.settings):
            config = resolve(load_recipe(row.recipe), row.settings, quick, {"seed": 1})
            assert config.seed == 1
        shown = set(row.figures or table.figures)
        assert set(row.published) | set(row.goal) <= shown
        assert row.collapsed is None or row.collapsed[0] in shown
    assert len({row.folder for row in table.rows}) == len(table.rows)


def test_the_promised_tables_are_there():
    assert set(ISSUED) <= set(table_names())
    with pytest.raises(ConfigError, match="did you mean 'pacgan-2d'"):
        load_table("pacgan2d")


class Listener(Silent):
    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
        self.started.append(what)


@pytest.mark.slow
def test_a_table_is_run_written_and_not_run_twice(tmp_path: Path):
    done = reproduce("gaussian", tmp_path, seeds=2, settings=SMALL)
    first = done.lines[0]
    assert (first.system, first.figure) == ("ours", "Kolmogorov-Smirnov")
    assert first.goal == ""  # it is for the row's own settings
    assert first.runs == "2 × 0.004 M, 0.0002 of the length, other settings"
    assert "±" in first.measured and first.samples == "100,000"
    assert float(first.floor) < 0.005
    page = done.page.read_text(encoding="utf-8")
    assert "- `saddle reproduce gaussian --seeds 2 --length 0.0002 --set" in page
    assert f"--set 'discriminator.network.widths=[8]' --out {tmp_path}` on Linux, cpu, " in page
    assert page.count("\n| ") == len(done.lines) + 2
    figures = json.loads(done.page.with_suffix(".json").read_text(encoding="utf-8"))
    assert [entry["figure"] for entry in figures["lines"]] == [line.figure for line in done.lines]
    values = [entry["values"] for entry in figures["lines"]]
    assert [set(by_seed) for by_seed in values] == [{"0", "1"}] * 2
    assert f"{statistics.fmean(values[0].values()):.4g} ±" in first.measured
    assert figures["commands"][0] in page
    folder = RunFolder(tmp_path / "gaussian" / "ours" / "seed-1")
    assert folder.generator.is_file() and folder.evaluation.is_file()

    again = Listener()
    assert reproduce("gaussian", tmp_path, seeds=2, settings=SMALL, progress=again).lines == done.lines
    assert again.started == []  # neither trained nor scored


@pytest.mark.slow
def test_a_gpu_trains_the_seeds_of_a_row_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    reproduce("gaussian", tmp_path / "one by one", seeds=2, settings=SMALL)
    monkeypatch.setattr("saddle.reproduction.run.find_device", lambda _: torch.device("cuda"))  # so it seems
    listener = Listener()
    reproduce("gaussian", tmp_path / "together", seeds=2, settings=SMALL, progress=listener)
    assert listener.started.count("training") == 1
    first, second = (tmp_path / folder / "gaussian" / "ours" for folder in ("one by one", "together"))
    for seed in (0, 1):
        ours, theirs = (load(folder / f"seed-{seed}").sample(50, seed=0) for folder in (first, second))
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_quick_run_says_that_it_means_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = reproduce("gaussian", quick=True, settings=SMALL)
    assert done.page == Path("reproductions/quick/gaussian.md")
    assert "these figures mean nothing" in done.page.read_text(encoding="utf-8")
    assert all(line.goal == "" for line in done.lines)


@pytest.mark.slow
def test_a_run_that_diverges_is_counted_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def diverging(config: Config, *rest: Any, **named: Any) -> int:
        if config.seed == 1:
            raise Diverged("losses are not finite")
        return train(config, *rest, **named)

    row = Row(name="ours", recipe="gaussian", settings=SMALL, goal={"ks": 1.0, "w1": 1e-9})
    easy = load_table("gaussian").model_copy(update={"rows": (row,)})
    monkeypatch.setattr("saddle.reproduction.run.load_table", lambda _: easy)
    monkeypatch.setattr("saddle.training.session.train", diverging)
    first = reproduce("gaussian", tmp_path, seeds=2).lines[0]
    assert first.runs == "2 × 0 to 0.004 M, 1 diverged"
    assert "±" not in first.measured
    assert first.goal == "≤ 1: missed"  # whatever the other run scored
    monkeypatch.undo()
    monkeypatch.setattr("saddle.reproduction.run.load_table", lambda _: easy)
    ks, w1 = reproduce("gaussian", tmp_path, seeds=2).lines
    assert (ks.runs, ks.goal, w1.goal) == ("2 × 0.004 M", "≤ 1: reached", "≤ 1e-09: missed")
    assert not (tmp_path / "gaussian" / "ours" / "seed-1" / "diverged.txt").exists()


def test_all_runs_of_a_row_may_diverge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def diverging(*_: object, **__: object) -> int:
        raise Diverged("losses are not finite")

    monkeypatch.setattr("saddle.training.session.train", diverging)
    rows = ["ours, ring of 8"]
    lines = reproduce("pacgan-2d", tmp_path, rows=rows, seeds=1, settings=SMALL).lines
    assert {line.measured for line in lines} == {"diverged"}


@pytest.mark.slow
def test_the_page_is_there_after_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stopping(config: Config, **rest: object) -> object:
        if config.recipe == "grid25-pacgan":
            raise KeyboardInterrupt
        return train_config(config, **rest)

    monkeypatch.setattr("saddle.reproduction.run.train_config", stopping)
    with pytest.raises(KeyboardInterrupt):
        reproduce("pacgan-2d", tmp_path, seeds=1, settings=SMALL | {"images": 400})
    page = (tmp_path / "pacgan-2d.md").read_text(encoding="utf-8")
    assert "| GAN, ring of 8 | modes found | 6.3 ± .5 |" in page
    assert "PacGAN4, ring of 8" in page
    assert "Not run yet: GAN, grid of 25; " in page


@pytest.mark.slow
def test_rows_run_by_themselves_come_together_on_the_page(tmp_path: Path):
    small = SMALL | {"images": 400, "batch_size": 100}
    grid = reproduce("pacgan-2d", tmp_path, rows=["ours, grid of 25"], seeds=1, settings=small)
    assert {line.system for line in grid.lines} == {"ours, grid of 25"}
    both = reproduce("pacgan-2d", tmp_path, rows=["ours, ring of 8"], seeds=2, length=0.5, settings=small)
    assert both.lines[4:] == grid.lines
    shares = ["2 × 0.0002 M, 4e-05 of the length", "1 × 0.0004 M, 8e-05 of the length"]
    assert [line.runs for line in both.lines[::4]] == [f"{share}, other settings" for share in shares]
    page = both.page.read_text(encoding="utf-8")
    assert "- `saddle reproduce pacgan-2d --row 'ours, ring of 8' --seeds 2 --length 4e-05 --set" in page
    assert "- `saddle reproduce pacgan-2d --row 'ours, grid of 25' --seeds 1 --length 8e-05 --set" in page
    assert "Not run yet: GAN, ring of 8; " in page and "Not run yet: ours" not in page


@pytest.mark.parametrize(("epochs", "share"), [(12.0, 0.1666667), (20.0, 0.1), (500.0, 1 / 3), (400.0, 0.0075)])
def test_a_share_of_epochs_is_told_as_it_was_typed(epochs: float, share: float):
    assert _share(epochs * share, epochs) == share


@pytest.mark.slow
def test_runs_of_other_lengths_stand_apart(tmp_path: Path):
    small = SMALL | {"images": 400, "batch_size": 100}
    reproduce("gaussian", tmp_path, seeds=3, length=0.5, settings=small)
    lines = reproduce("gaussian", tmp_path, seeds=1, settings=small).lines
    assert [line.runs[:12] for line in lines[::2]] == ["1 × 0.0004 M", "2 × 0.0002 M"]
    page = (tmp_path / "gaussian.md").read_text(encoding="utf-8")
    assert "; of these seed 1, 2\n" in page


@pytest.mark.slow
def test_the_commands_of_the_page_make_the_same_runs(tmp_path: Path):
    settings = {"images": 1_000, "batch_size": 100, "generator": {"network": {"widths": [8], "norm": "none"}}}
    page = reproduce("gaussian", tmp_path, seeds=1, length=1 / 3, settings=settings).page
    (command,) = re.findall(r"^- `(saddle reproduce .*)` on ", page.read_text(encoding="utf-8"), re.MULTILINE)
    words = shlex.split(command)
    given = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    length = float(words[words.index("--length") + 1])
    again = Listener()
    reproduce("gaussian", tmp_path, seeds=1, length=length, settings=parse_settings(given), progress=again)
    assert again.started == []  # nothing is left to do


@pytest.mark.slow
def test_scores_by_other_data_are_not_taken_for_the_tables(tmp_path: Path):
    settings = SMALL | {"images": 400}
    first = reproduce("pacgan-2d", tmp_path, rows=["ours, ring of 8"], seeds=1, settings=settings).lines
    run = tmp_path / "pacgan-2d" / "ours--ring-of-8" / "seed-0"
    evaluate(run, metrics=["modes"], count=2500, seeds=1, data="grid(25)")
    lines = reproduce("pacgan-2d", tmp_path, rows=["ours, grid of 25"], seeds=1, settings=settings).lines
    assert lines[:4] == first


def test_a_setting_that_does_not_fit_the_last_row_shows_before_the_first_is_trained(tmp_path: Path):
    with pytest.raises(ConfigError):
        reproduce("saddle", tmp_path, seeds=1, settings={"generator": {"network": {"widths": [8]}}})
    assert not any(tmp_path.iterdir())


def test_a_damaged_run_does_not_cost_the_page(tmp_path: Path):
    small = SMALL | {"images": 400}
    reproduce("pacgan-2d", tmp_path, rows=["ours, ring of 8"], seeds=1, settings=small)
    (tmp_path / "pacgan-2d" / "ours--ring-of-8" / "seed-0" / "environment.json").write_text("{", encoding="utf-8")
    lines = reproduce("pacgan-2d", tmp_path, rows=["ours, grid of 25"], seeds=1, settings=small).lines
    assert {line.system for line in lines} == {"ours, grid of 25"}


def test_an_unfinished_run_is_not_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stopping(config: Config, **rest: Any) -> object:
        train_config(config, **rest)
        raise KeyboardInterrupt

    monkeypatch.setattr("saddle.reproduction.run.train_config", stopping)
    with pytest.raises(KeyboardInterrupt):  # trained, and not scored
        reproduce("pacgan-2d", tmp_path, rows=["ours, grid of 25"], seeds=1, settings=SMALL)
    monkeypatch.undo()
    done = reproduce("pacgan-2d", tmp_path, rows=["ours, ring of 8"], seeds=1, settings=SMALL)
    assert {line.system for line in done.lines} == {"ours, ring of 8"}
    assert "ours, grid of 25." in done.page.read_text(encoding="utf-8").partition("Not run yet: ")[2]


def test_a_row_may_score_its_best_generator_and_count_collapse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    row = Row(
        name="best", recipe="ring8", generator="best", count=600, figures=("modes",), collapsed=("modes", 9),
        settings=SMALL | {"evaluate": {"every": 400, "metric": "modes", "count": 300}},
    )  # fmt: skip
    table = load_table("pacgan-2d").model_copy(update={"rows": (row,)})
    monkeypatch.setattr("saddle.reproduction.run.load_table", lambda _: table)
    modes, collapsed, told = reproduce("pacgan-2d", tmp_path, seeds=1).lines
    best = json.loads((tmp_path / "pacgan-2d" / "best" / "seed-0" / "evaluation.json").read_text(encoding="utf-8"))
    assert set(best) == {"best.safetensors"}
    assert modes.samples == "600" and ", best at 0.000" in modes.runs
    assert (collapsed.figure, collapsed.measured) == ("collapsed: fewer than 9 modes", "1 of 1")
    unwarned = "collapsed runs with an alarm at the end", "0 of 1", {}
    assert (told.figure, told.measured, told.values) == unwarned  # too short for looks
    alarm, calm = Verdict("collapsed", images=500, since=500), Verdict("learning", images=550, since=550)
    monkeypatch.setattr("saddle.reproduction.page.health_of", lambda *_: Health(calm, (alarm, calm)))
    assert reproduce("pacgan-2d", tmp_path, seeds=1).lines[2].measured == "0 of 1"  # it was withdrawn
    monkeypatch.setattr("saddle.reproduction.page.health_of", lambda *_: Health(alarm, (alarm,)))
    assert reproduce("pacgan-2d", tmp_path, seeds=1).lines[2].measured == "1 of 1, since 0.0005 M images (median)"
    lenient = table.model_copy(update={"rows": (row.model_copy(update={"collapsed": ("modes", 0)}),)})
    monkeypatch.setattr("saddle.reproduction.run.load_table", lambda _: lenient)
    _, collapsed, told = reproduce("pacgan-2d", tmp_path, seeds=1).lines
    assert (collapsed.measured, told.figure) == ("0 of 1", "other runs that ever had an alarm")
    monkeypatch.setattr("saddle.reproduction.page.health_of", lambda *_: Health(calm, (alarm, calm)))
    told = reproduce("pacgan-2d", tmp_path, seeds=1).lines[2]
    assert told.measured == "1 of 1, first after 0.0005 M images (median)" and told.values == {0: 500.0}


def test_a_row_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="did you mean 'ours, ring of 8'"):
        reproduce("pacgan-2d", tmp_path, rows=["ours, ring"])
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_longer_run_is_not_taken_for_a_shorter_one(tmp_path: Path):
    reproduce("gaussian", tmp_path, seeds=1, settings=SMALL)
    with pytest.raises(ConfigError, match="longer run"):
        reproduce("gaussian", tmp_path, seeds=1, settings=SMALL | {"images": 400})


@pytest.mark.slow
def test_a_share_of_the_length_is_a_beginning_of_the_whole(tmp_path: Path):
    """Where no number is scheduled by the length."""
    constant = {"network": {"widths": [8]}, "optimizer": {"learning_rate": 1e-3}}
    small = SMALL | {"batch_size": 200, "generator": constant, "discriminator": constant}
    quarter = reproduce("gaussian", tmp_path / "both", seeds=1, length=0.25, settings=small)
    assert quarter.lines[0].runs == "1 × 0.0002 M, 5e-05 of the length, other settings"
    assert "--seeds 1 --length 5e-05 --set" in quarter.page.read_text(encoding="utf-8")
    whole = reproduce("gaussian", tmp_path / "both", seeds=1, settings=small)
    assert whole.lines == reproduce("gaussian", tmp_path / "at once", seeds=1, settings=small).lines
    assert whole.lines[0].runs == "1 × 0.0008 M, 0.0002 of the length, other settings"


@pytest.mark.slow
def test_a_run_continued_beyond_its_schedules_is_another_run(tmp_path: Path):
    small = SMALL | {"batch_size": 200}
    reproduce("gaussian", tmp_path, seeds=1, length=0.25, settings=small)
    page = reproduce("gaussian", tmp_path, seeds=1, settings=small).page.read_text(encoding="utf-8")
    assert 'learning_rate.start="37.5% of 200"' in page


@pytest.mark.slow
def test_a_run_that_was_stopped_early_goes_on_to_a_shorter_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = SMALL | {"batch_size": 100, "log": {"every": 100}}
    reproduce("gaussian", tmp_path, seeds=1, length=0.25, settings=small)
    run = RunFolder(tmp_path / "gaussian" / "ours" / "seed-0")
    text = run.config.read_text(encoding="utf-8")
    run.config.write_text(text.replace("images = 200\n", "images = 800\n"), encoding="utf-8")  # as if stopped at 200
    assert reproduce("gaussian", tmp_path, seeds=1, length=0.5, settings=small).lines[0].runs.startswith("1 × 0.0004 M")


@pytest.mark.slow
def test_epochs_are_cut_too(tmp_path: Path):
    epochs = {key: value for key, value in SMALL.items() if key != "images"} | {"epochs": 0.016, "batch_size": 200}
    assert (
        reproduce("gaussian", tmp_path, seeds=1, length=0.5, settings=epochs).lines[0].runs.startswith("1 × 0.0008 M")
    )


@pytest.mark.parametrize("length", [0.0, -1.0, 1.5, float("nan")])
def test_lengths_that_are_no_shares(tmp_path: Path, length: float):
    with pytest.raises(ConfigError, match="share of a run's length"):
        reproduce("gaussian", tmp_path, length=length)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_later_evaluations_change_nothing(tmp_path: Path):
    done = reproduce("gaussian", tmp_path, seeds=1, settings=SMALL)
    evaluate(tmp_path / "gaussian" / "ours" / "seed-0", metrics=["ks"], count=500, seeds=2)
    assert reproduce("gaussian", tmp_path, seeds=1, settings=SMALL).lines == done.lines


@pytest.mark.slow
def test_runs_with_other_settings_are_not_taken_for_these(tmp_path: Path):
    reproduce("gaussian", tmp_path, seeds=1, settings=SMALL)
    with pytest.raises(RunError, match="other settings"):
        reproduce("gaussian", tmp_path, seeds=1, settings=SMALL | {"batch_size": 40})


def test_no_seeds_or_ones_own():
    with pytest.raises(ConfigError, match="--seeds N"):
        reproduce("pacgan-2d", settings={"seed": 3})
    with pytest.raises(ConfigError, match="at least 1 seed"):
        reproduce("pacgan-2d", seeds=0)
