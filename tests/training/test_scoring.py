from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saddle
from saddle.api import train_config
from saddle.base.progress import Silent
from saddle.base.tensors import load_tensors
from saddle.config import load_config
from saddle.errors import ConfigError
from saddle.pages.report import write_report
from saddle.runs.folder import RunFolder
from saddle.scoring.evaluate import evaluate

TINY = {
    "images": 640,
    "threads": 1,
    "batch_size": 32,
    "checkpoint.every": 64,
    "checkpoint.keep": 1,
    "log.every": 320,
    "evaluate": {"every": 128, "count": 100},
    "generator.network.widths": [16],
    # Not schedules: a run that stops early and goes on longer then equals one that did not stop.
    "generator.optimizer.learning_rate": 2e-3,
    "discriminator.optimizer.learning_rate": 5e-4,
}


def train(out: Path, **settings: object) -> RunFolder:
    given = TINY | {key.replace("__", "."): value for key, value in settings.items()}
    return saddle.train("digits", out=out, device="cpu", settings=given, progress=Silent()).folder


def test_scores_are_written_and_the_best_generator_is_kept(tmp_path: Path):
    run = train(tmp_path / "run")
    entries = run.read_scores()
    assert [entry["images"] for entry in entries] == [128, 256, 384, 512, 640]
    values = [entry["fd"] for entry in entries]
    assert [entry["best"] for entry in entries] == [value == min(values[: i + 1]) for i, value in enumerate(values)]
    best = entries[values.index(min(values))]
    assert saddle.load(run.best).header.images_seen == best["images"]
    kept = [position for position, _ in run.all_checkpoints()]
    assert set(kept) == {640, best["images"]}
    score = evaluate(run.best, metrics=["fd"], count=100, seeds=1)["fd"]
    assert score.value != pytest.approx(best["fd"], rel=1e-4)  # other latents than those that chose it
    assert score.value == pytest.approx(best["fd"], rel=0.3)


@pytest.mark.parametrize(("count", "told"), [(40, 1), (100, 0)])
def test_too_few_samples_are_told_once_before_the_training(tmp_path: Path, count: int, told: int):
    said: list[str] = []

    class Listener(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)
    few = {
        "every": 128,
        "count": count,
        "extractor": "pixels",
    }  # 64 features, of which 50 held-out images tell too little
    settings = TINY | {"evaluate": few, "conditional": False}
    saddle.train("digits", data=images, out=tmp_path / "run", device="cpu", settings=settings, progress=Listener())
    assert sum("covariance is singular" in text for text in said) == told


def test_a_metric_of_which_more_is_better(tmp_path: Path):
    run = train(tmp_path / "run", evaluate={"every": 128, "count": 100, "metric": "recall"})
    entries = run.read_scores()
    assert {"recall", "precision"} <= entries[0].keys()
    values = [entry["recall"] for entry in entries]
    assert [entry["best"] for entry in entries] == [
        value > max(values[:i], default=-1) for i, value in enumerate(values)
    ]


def test_scoring_changes_nothing_and_goes_on_after_a_stop(tmp_path: Path):
    without = train(tmp_path / "without", evaluate={"every": 0})
    whole = train(tmp_path / "whole")
    parts = train(tmp_path / "parts", images=256)
    parts = train(tmp_path / "parts")
    assert not without.scores.exists() and not without.best.exists()
    assert without.generator.read_bytes() == whole.generator.read_bytes() == parts.generator.read_bytes()
    assert parts.best.read_bytes() == whole.best.read_bytes()
    assert [json.dumps(entry) for entry in parts.read_scores()] == [json.dumps(entry) for entry in whole.read_scores()]


def test_scores_by_another_metric_begin_anew(tmp_path: Path):
    train(tmp_path / "run", images=320)
    run = train(tmp_path / "run", evaluate={"every": 128, "count": 100, "metric": "is"})
    assert run.read_scores()[-2]["best"] is True  # the first by the new metric
    _, header = load_tensors(run.all_checkpoints()[-1][1])
    assert header["scorer"]["settings"]["metric"] == "is"


def test_labels_are_asked_for_in_a_conditional_game(tmp_path: Path):
    run = train(tmp_path / "run", conditional=True, evaluate={"every": 320, "count": 100, "metric": "agreement"})
    assert 0 <= run.read_scores()[0]["agreement"] <= 1


def test_a_metric_that_does_not_fit_is_refused_before_anything_is_made(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"evaluate\.metric: there is no metric 'fdd'"):
        train(tmp_path / "run", evaluate={"every": 128, "metric": "fdd"})
    with pytest.raises(ConfigError, match=r"evaluate\.metric: the metric 'agreement' does not fit"):
        train(tmp_path / "run", evaluate={"every": 128, "metric": "agreement"})
    with pytest.raises(ConfigError, match="must not choose a generator"):
        train(tmp_path / "run", evaluate={"every": 128, "metric": "copies"})
    with pytest.raises(ConfigError, match="too few"):
        train(tmp_path / "run", evaluate={"every": 128, "metric": "is", "count": 5})
    with pytest.raises(ConfigError, match="is not better for being higher or lower"):
        train(tmp_path / "run", evaluate={"every": 128, "metric": "kd_error"})
    assert not (tmp_path / "run").exists()


def test_the_report_shows_the_scores(tmp_path: Path):
    run = train(tmp_path / "run")
    assert "Scores" in write_report(run).read_text(encoding="utf-8")


def test_a_run_can_be_ended_at_a_score_and_goes_on_from_there(tmp_path: Path):
    whole = train(tmp_path / "whole")
    lines: list[Mapping[str, Any]] = []

    def go_on(line: Mapping[str, Any]) -> bool:
        lines.append(line)
        return len(lines) < 2

    config = load_config(whole.config)
    run, _ = train_config(config, out=tmp_path / "run", progress=Silent(), go_on=go_on)
    assert lines == run.scores == whole.read_scores()[:2]
    assert (run.status.state, run.status.saved) == ("stopped", 256)
    train_config(config, out=tmp_path / "run", progress=Silent())
    assert run.folder.generator.read_bytes() == whole.generator.read_bytes()
    assert run.scores == whole.read_scores()
