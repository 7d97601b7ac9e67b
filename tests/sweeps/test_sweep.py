from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import saddle
from saddle.base.progress import Silent
from saddle.config import load_config
from saddle.errors import ConfigError, DataError, Diverged, Interrupted, RunError
from saddle.runs.folder import RunFolder
from saddle.runs.lock import locked
from saddle.sweeps.results import Sweep, ranked
from saddle.sweeps.results import Trial as Result
from saddle.training.loop import train

pytest.importorskip("optuna")

SMALL: dict[str, Any] = {
    "images": 640,
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
    "evaluate.count": 64,
    "evaluate.metric": "fd",
    "generator.optimizer.learning_rate": 1e-3,
    "discriminator.optimizer.learning_rate": 1e-3,
}
OVER: dict[str, Any] = {"game.r1": "0.01..1 log", "game.loss": ["non_saturating", "relativistic"]}


class Listener(Silent):
    """Remembers what is said, and calls ``react`` with each status."""

    def __init__(self, react: Callable[[str], None] = lambda text: None) -> None:
        self.said: list[str] = []
        self.react = react

    def say(self, text: str) -> None:
        self.said.append(text)

    def status(self, text: str) -> None:
        self.react(text)


def interrupting(after: int, word: str = "") -> Listener:
    """Asks the process to stop at the status of this number among those with this word."""
    seen = 0

    def react(text: str) -> None:
        nonlocal seen
        seen += word in text
        if seen == after and word in text:
            os.kill(os.getpid(), signal.SIGTERM)

    return Listener(react)


def small(out: Path, over: Mapping[str, Any] = OVER, *, trials: int = 3, **options: Any) -> Sweep:
    settings = {key: value for key, value in SMALL.items() if key not in over} | options.pop("settings", {})
    options.setdefault("progress", Listener())
    return saddle.sweep("digits", over, trials=trials, out=out, threads=1, settings=settings, **options)


def content(sweep: Sweep) -> dict[str, bytes]:
    """What must be equal, byte for byte, of two equal sweeps."""
    names = ("config.toml", "generator.safetensors", "scores.jsonl")
    return {f"{trial.number}/{name}": (trial.path / name).read_bytes() for trial in sweep.trials for name in names}


def told(sweep: Sweep) -> list[tuple[Any, ...]]:
    return [trial[:-1] for trial in sweep.trials]


@pytest.fixture(autouse=True)
def _quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Pictures take longer than the training of such small networks; ``done`` and one test below have them."""
    if "with_pictures" not in request.fixturenames:
        monkeypatch.setattr("saddle.sweeps.run.report", lambda path: path)
        monkeypatch.setattr("saddle.sweeps.page.scatter_plot", lambda *_, **__: Image.new("RGB", (1, 1)))


@pytest.fixture
def with_pictures() -> None:
    pass


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    torch.set_num_threads(1)
    return small(tmp_path_factory.mktemp("done") / "sweep", prune=False)


def test_trials_are_runs_ranked_by_their_best_score(done: Sweep):
    assert sorted(trial.number for trial in done.trials) == [0, 1, 2]
    scores = [trial.score for trial in done.trials]
    assert scores == sorted(scores)  # pyright: ignore
    for trial in done.trials:
        run = saddle.Run(trial.path)
        assert run.status.state == "finished"
        assert len(run.scores) == 10
        assert trial.score == min(entry["fd"] for entry in run.scores)
        assert run.config.game.loss == trial.settings["game.loss"]
        assert run.config.game.r1 == trial.settings["game.r1"]
        assert (trial.path / "report.html").is_file()
    assert done.run.sample(2, seed=0).shape == (2, 1, 8, 8)
    assert len({trial.settings["game.r1"] for trial in done.trials}) == 3
    assert done.counts == "3 finished"


def test_the_first_trial_has_the_recipes_own_values(done: Sweep):
    first = next(trial for trial in done.trials if trial.number == 0)
    assert first.settings == {"game.r1": 0.3, "game.loss": "non_saturating"}


def test_the_same_call_again_trains_nothing_and_more_trials_go_on(done: Sweep, tmp_path: Path):
    out, before = done.page.parent, content(done)
    listener = Listener()
    again = small(out, prune=False, progress=listener)
    assert (again.trials, content(again), listener.said) == (done.trials, before, [])
    two = small(tmp_path / "sweep", trials=2, prune=False)
    assert len(two.trials) == 2
    three = small(tmp_path / "sweep", prune=False)
    assert (told(three), content(three)) == (told(done), before)


def test_another_seed_is_another_search(done: Sweep, tmp_path: Path):
    other = small(tmp_path / "sweep", {"game.r2": "0.01..1 log"}, trials=2, seed=1, settings={"images": 64})
    same = small(tmp_path / "other", {"game.r2": "0.01..1 log"}, trials=2, seed=2, settings={"images": 64})
    assert load_config(RunFolder(other.best.path).config).seed == 1
    assert {trial.settings["game.r2"] for trial in other.trials}.isdisjoint(
        trial.settings["game.r2"] for trial in same.trials
    )


@pytest.mark.parametrize(("word", "after"), [("D(x)", 15), ("fd", 14)])
def test_an_interrupted_trial_is_resumed_and_the_bytes_are_the_same(done: Sweep, tmp_path: Path, word: str, after: int):
    with pytest.raises(Interrupted, match="trial-0001"):
        small(tmp_path / "sweep", prune=False, progress=interrupting(after, word))
    assert not (tmp_path / "sweep" / "trial-0002").exists()
    again = Listener()
    resumed = small(tmp_path / "sweep", prune=False, progress=again)
    assert any(text.startswith("resuming at") for text in again.said)
    assert (told(resumed), content(resumed)) == (told(done), content(done))


def test_a_process_that_died_between_the_end_of_a_trial_and_noting_it(
    done: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from saddle.sweeps.study import Search

    with monkeypatch.context() as patched:
        patched.setattr(Search, "finish", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            small(tmp_path / "sweep", prune=False)
    resumed = small(tmp_path / "sweep", prune=False)
    assert (told(resumed), content(resumed)) == (told(done), content(done))


# With the smallest of these learning rates, G learns nothing.
BAD: dict[str, Any] = {"generator.optimizer.learning_rate": "1e-7..1e-2 log"}
LEARNING = {"batch_size": 16, "images": 1280, "discriminator.optimizer.learning_rate": 1e-2}


@pytest.mark.slow
def test_a_bad_trial_is_given_up_early_and_stays_visible(tmp_path: Path):
    listener = Listener()
    found = small(tmp_path / "sweep", BAD, trials=9, settings=LEARNING, progress=listener)
    states = {trial.number: trial.state for trial in found.trials}
    assert set(states.values()) == {"finished", "pruned"}
    assert all(states[number] == "finished" for number in range(4))  # before that the median says nothing
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    for trial in pruned:
        run = saddle.Run(trial.path)
        assert run.status.state == "stopped" and run.status.images < 1280
        assert 3 <= len(run.scores) < 10
        assert trial.score is not None
        assert f"<td>{trial.score:.4g}</td>" in found.page.read_text(encoding="utf-8")
    (key,) = BAD
    assert pruned and all(trial.settings[key] < found.best.settings[key] / 10 for trial in pruned)
    assert sum("given up at fd" in text for text in listener.said) == len(pruned)

    kept = small(tmp_path / "all", BAD, trials=6, prune=False, settings={"images": 64})
    assert kept.counts == "6 finished"


@pytest.mark.slow
def test_a_trial_that_was_given_up_is_not_trained_on_when_that_was_not_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from saddle.sweeps.study import Search

    finish = Search.finish

    def dying(search: Search, trial: Any, score: Any, *, pruned: bool, notes: Any) -> None:
        if pruned:
            raise KeyboardInterrupt
        finish(search, trial, score, pruned=pruned, notes=notes)

    with monkeypatch.context() as patched:
        patched.setattr(Search, "finish", dying)
        with pytest.raises(KeyboardInterrupt):
            small(tmp_path / "sweep", BAD, trials=9, settings=LEARNING)
    path = max((tmp_path / "sweep").glob("trial-*"))
    before = {name: (path / name).read_bytes() for name in ("scores.jsonl", "generator.safetensors")}
    number = int(path.name.removeprefix("trial-"))
    found = small(tmp_path / "sweep", BAD, trials=number + 1, settings=LEARNING)
    assert {trial.number: trial.state for trial in found.trials}[number] == "pruned"
    assert {name: (path / name).read_bytes() for name in before} == before


def test_a_trial_that_diverges_is_counted_told_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def diverging(config: Any, *rest: Any, **named: Any) -> int:
        if config.game.loss == "non_saturating":
            raise Diverged("the losses are <not> finite")
        return train(config, *rest, **named)

    monkeypatch.setattr("saddle.training.session.train", diverging)
    listener = Listener()
    over = {"game.loss": ["non_saturating", "relativistic"]}
    found = small(tmp_path / "sweep", over, trials=4, settings={"images": 64}, progress=listener)
    assert len(found.trials) == 2 and "there are 2 combinations of these choices" in listener.said[0]
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert [trial.number for trial in failed] == [0]
    assert failed[0].score is None and failed[0].reason
    assert any(re.match(r"trial 0: failed: the losses are <not> finite", text) for text in listener.said)
    page = found.page.read_text(encoding="utf-8")
    assert "failed: the losses are &lt;not&gt; finite" in page and "<not>" not in page
    assert "marked at the upper edge" in page
    with pytest.raises(RunError, match="no trial of the sweep is finished"):
        _ = found._replace(trials=failed).best


def test_settings_that_do_not_fit_the_data_fail_their_trials_only(tmp_path: Path):
    over = {"data.labelled": [20, 1_000_000]}
    settings = {"images": 64, "game.rule": "semi_supervised", "conditional": False}
    found = small(tmp_path / "sweep", over, trials=4, settings=settings)
    states = {trial.settings["data.labelled"]: trial.state for trial in found.trials}
    assert states == {20: "finished", 1_000_000: "failed"}


def test_trials_of_other_processes_are_left_to_them(tmp_path: Path):
    over = {"game.r1": "0.01..1"}
    with pytest.raises(Interrupted):
        small(tmp_path / "sweep", over, trials=2, settings={"images": 640}, progress=interrupting(2))

    def fail() -> None:
        raise AssertionError

    with locked(tmp_path / "sweep" / ".trial-0000.lock", fail):  # as if the other process still lived
        found = small(tmp_path / "sweep", over, trials=2, settings={"images": 640})
    assert {trial.number: trial.state for trial in found.trials} == {0: "unfinished", 1: "finished"}
    found = small(tmp_path / "sweep", over, trials=2, settings={"images": 640})
    assert found.counts == "2 finished"


def test_another_search_in_the_same_folder_is_refused_with_the_difference(done: Sweep):
    before = done.page.read_bytes()
    with pytest.raises(RunError) as error:
        small(done.page.parent, {"game.r1": "0.01..2 log", "game.r2": "0..1"}, settings={"batch_size": 32})
    text = str(error.value)
    assert "over game.r1: 0.01..1 log → 0.01..2 log" in text
    assert 'over game.loss: ["non_saturating", "relativistic"] → –' in text
    assert "over game.r2: – → 0..1" in text
    assert "batch_size: " in text and "→ 32" in text
    assert done.page.read_bytes() == before


def test_folders_of_something_else_are_refused(done: Sweep, tmp_path: Path):
    with pytest.raises(RunError, match="is not empty and holds no sweep"):
        small(done.best.path)
    (tmp_path / "letter.txt").write_text("hello")
    with pytest.raises(RunError, match="is not empty and holds no sweep"):
        small(tmp_path)
    with pytest.raises(RunError, match="is a file"):
        small(tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["letter.txt"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"trials": 0}, "nothing to train"),
        ({"settings": {"evaluate.every": 0}}, "a sweep compares scores"),
        ({"settings": {"evaluate.metric": "fdd"}}, "there is no metric 'fdd'"),
        ({"settings": {"game.r3": 1}}, "unknown key"),
        ({"over": {"game.r1": "-1..1"}}, "game.r1: expected greater than or equal to 0"),
        ({"settings": {"members": 2}}, "a trial is a single run"),
    ],
)
def test_wrong_input_is_told_before_anything_is_made(tmp_path: Path, options: dict[str, Any], told: str):
    with pytest.raises(ConfigError, match=re.escape(told)):
        small(tmp_path / "sweep", **options)
    with pytest.raises(DataError):
        small(tmp_path / "sweep", data=tmp_path / "nothing")
    assert not (tmp_path / "sweep").exists()


def test_the_interval_of_scores_that_was_set_is_kept(tmp_path: Path):
    found = small(tmp_path / "sweep", trials=1, settings={"evaluate.every": 320})
    assert [entry["images"] for entry in saddle.Run(found.best.path).scores] == [320, 640]


def test_without_optuna_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.sweeps.run.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'saddle[sweep]'")):
        small(tmp_path / "sweep")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:////no/such/folder/sweep.db", "does not answer"),
        ("nonsense", "does not answer"),
        ("oracle+nothing://host/db", "does not answer"),
        ("postgresql+psycopg2://127.0.0.1:1/db", "needs a package"),
        ("redis://localhost", "cannot be used as a storage"),
    ],
)
def test_a_storage_that_does_not_answer(tmp_path: Path, url: str, told: str):
    with pytest.raises(RunError, match=told) as error:
        small(tmp_path / "sweep", storage=url)
    assert url in error.value.what and error.value.exit_code == 2
    assert not (tmp_path / "sweep").exists()


def test_no_password_is_told(tmp_path: Path):
    with pytest.raises(RunError) as error:
        small(tmp_path / "sweep", storage="postgresql+psycopg2://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(error.value) and "postgresql+psycopg2://me:***@127.0.0.1:1/db" in str(error.value)


def test_a_command_whose_trials_all_fail_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from saddle.cli.commands import app

    def diverging(*_: object, **__: object) -> int:
        raise Diverged("the losses are not finite")

    monkeypatch.setattr("saddle.training.session.train", diverging)
    words = ["sweep", "digits", "--over", "game.r1=[0,1]", "--set", "images=64", "--out", str(tmp_path / "sweep")]
    assert CliRunner().invoke(app, words).exit_code == 3


def test_a_damaged_journal_is_told(tmp_path: Path):
    small(tmp_path / "sweep", trials=1, settings={"images": 64})
    journal = tmp_path / "sweep" / "sweep.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"nonsense\n", *lines[1:]]))
    with pytest.raises(RunError, match="cannot be used as a storage"):
        small(tmp_path / "sweep", trials=2, settings={"images": 64})


@pytest.mark.slow
def test_a_database_serves_folders_on_two_machines(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'sweep.db'}"
    over = {"game.r1": "0.01..1"}

    with pytest.raises(Interrupted):
        small(tmp_path / "one" / "sweep", over, storage=url, progress=interrupting(2))
    # The other machine leaves the interrupted trial to the one that has its folder.
    there = small(tmp_path / "two" / "sweep", over, storage=url)
    assert {trial.number: trial.state for trial in there.trials} == {0: "unfinished", 1: "finished", 2: "finished"}
    here = small(tmp_path / "one" / "sweep", over, storage=url)
    assert here.counts == "3 finished"
    assert sorted(path.name for path in (tmp_path / "one" / "sweep").glob("trial-*")) == ["trial-0000"]
    assert "trial-0001/report.html" not in here.page.read_text(encoding="utf-8")


def test_a_study_of_somebody_else_is_not_touched(tmp_path: Path):
    import optuna

    url = f"sqlite:///{tmp_path / 'other.db'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(storage=url, study_name="sweep").optimize(lambda trial: trial.suggest_float("x", 0, 1), 1)
    with pytest.raises(RunError, match="is not one of saddle's"):
        small(tmp_path / "sweep", storage=url)


@pytest.mark.usefixtures("with_pictures")
def test_the_page_escapes_names_and_links_reports(tmp_path: Path):
    out = tmp_path / "a <b> & #c"
    over = {"game.feature_matching": ["none", "l1"]}
    found = small(out, over, trials=2, settings={"images": 64})
    page = found.page.read_text(encoding="utf-8")
    assert "<h1>Sweep a &lt;b&gt; &amp; #c</h1>" in page and "<b>" not in page
    for trial in found.trials:
        assert f'<a href="trial-{trial.number:04}/report.html">{trial.number}</a>' in page
    assert "game.feature_matching" in page and "Score against each setting" in page
    assert page.count("<img ") == 1


def test_the_command_trains_the_best_settings_longer(done: Sweep):
    assert done.command is not None
    words = shlex.split(done.command)
    assert words[:3] == ["saddle", "train", "digits"] and words[-2:] == ["--out", str(done.page.parent / "best")]
    assert not any(word.startswith("images=") for word in words)  # the recipe's own length is longer
    assert f"game.r1={done.best.settings['game.r1']}" in words or done.best.settings["game.r1"] == 0.3
    dry = subprocess.run([sys.executable, "-m", *words, "--dry-run"], check=True, capture_output=True, text=True).stdout
    assert "images = 300000" in dry and f'loss = "{done.best.settings["game.loss"]}"' in dry
    assert "every = 30000" in dry


def test_a_recipe_as_short_as_its_trials_is_trained_longer(tmp_path: Path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'images = 64\n[data]\nsource = "digits"\n[evaluate]\ncount = 64\n'
        "[generator.network]\nwidths = [8]\n[discriminator.network]\nwidths = [8]\n"
    )
    found = saddle.sweep(
        str(recipe), {"game.r1": [0, 1]}, trials=1, seed=3, threads=1, out=tmp_path / "sweep", progress=Silent()
    )
    words = shlex.split(found.command or "")
    assert words[2] == str(recipe) and words[words.index("--seed") + 1] == "3"
    assert "images=256" in words and "evaluate.every=26" in words


def test_data_given_as_an_object(tmp_path: Path):
    images = (torch.arange(200)[:, None, None, None] % 256).expand(200, 1, 4, 4).to(torch.uint8)
    settings = {"images": 64, "data.held_out": 0.3}
    found = small(tmp_path / "sweep", trials=1, data=images, settings=settings)
    assert found.counts == "1 finished" and found.command is None
    with pytest.raises(RunError, match=r"data\.fingerprint"):
        small(tmp_path / "sweep", trials=2, data=255 - images, settings=settings)


def test_higher_scores_are_better_where_they_are():
    trials = [
        Result(number, state, {}, score, 1, "", Path())
        for number, (state, score) in enumerate(
            [("pruned", 9.0), ("finished", 1.0), ("failed", None), ("finished", 2.0), ("unfinished", None)]
        )
    ]  # fmt: skip
    assert [trial.number for trial in ranked(trials, higher=True)] == [3, 1, 0, 2, 4]  # pyright: ignore
    assert [trial.number for trial in ranked(trials, higher=False)] == [1, 3, 0, 2, 4]  # pyright: ignore


def command(out: Path, *options: str) -> list[str]:
    settings = [f"{key}={json.dumps(value)}" for key, value in SMALL.items()]
    words = [word for setting in settings for word in ("--set", setting)]
    over = ["--over", "game.r1=0.01..1 log"]
    return [
        sys.executable,
        "-m",
        "saddle",
        "sweep",
        "digits",
        *over,
        *words,
        "--threads",
        "1",
        "--out",
        str(out),
        *options,
    ]


@pytest.mark.slow
def test_two_processes_share_the_trials(tmp_path: Path):
    words = command(tmp_path / "sweep", "--trials", "6", "--set", "images=3200")
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    begun = [set(re.findall(r"trial (\d): game", errors)) for _, errors in outputs]
    assert begun[0].isdisjoint(begun[1]) and begun[0] | begun[1] == set("012345")
    assert all(begun)
    assert len(list((tmp_path / "sweep").glob("trial-*"))) == 6
    page = (tmp_path / "sweep" / "sweep.html").read_text(encoding="utf-8")
    assert "6 trials" in page and "unfinished" not in page


@pytest.mark.slow
def test_killed_at_any_moment_the_bytes_are_the_same(tmp_path: Path):
    options = ("--trials", "3", "--no-prune", "--set", "images=6400")
    subprocess.run(command(tmp_path / "whole", *options), check=True, capture_output=True)
    for delay in (0.1, 0.6, 1.1):
        process = subprocess.Popen(command(tmp_path / "sweep", *options), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        while "images seen" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(delay)
        process.kill()
        process.communicate()
    subprocess.run(command(tmp_path / "sweep", *options), check=True, capture_output=True)
    for number in range(3):
        for name in ("generator.safetensors", "scores.jsonl", "config.toml"):
            files = [tmp_path / out / f"trial-{number:04}" / name for out in ("whole", "sweep")]
            assert files[0].read_bytes() == files[1].read_bytes(), (number, name)


def test_the_command_prints_a_table_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from saddle.cli.commands import app

    small_settings = [f"{key}={json.dumps(value)}" for key, value in (SMALL | {"images": 64}).items()]
    words = ["sweep", "digits", "--threads", "1", "--out", str(tmp_path / "sweep"), "--trials", "2"]
    words += [word for setting in small_settings for word in ("--set", setting)]
    app([*words, "--over", "game.r1=0.01..1 log"], standalone_mode=False)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["trial", "fd", "after", "images", "state", "game.r1"]
    assert len(printed) == 5
    assert printed[3] == f"2 finished; all of them in {tmp_path / 'sweep' / 'sweep.html'}"
    assert printed[4].startswith("to train the best settings longer: saddle train digits --set ")
    for wrong in ([], ["--over", "game.r9=0..1"], ["--over", "game.r1=0..2", "--storage", "sqlite:////no/such/x.db"]):
        with pytest.raises(SystemExit) as error:
            app([*words, *wrong], standalone_mode=False)
        assert error.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
