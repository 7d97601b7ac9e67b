"""Runs from start to end in this process; tests with real kills are in test_kill.py."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import saddle
from saddle.base.progress import Silent
from saddle.config import load_config
from saddle.data import Store
from saddle.errors import CheckpointError, ConfigError, DeviceError, Diverged, Interrupted, RunError

SETTINGS: dict[str, Any] = {
    "images": 320,
    "batch_size": 16,
    "threads": 1,
    "latent.size": 4,
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
    "checkpoint.every": 96,
    "samples.every": 96,
    "log.every": 48,
    "average.half_life": 100,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout and batch norm": {
        "generator.network.norm": "batch",
        "generator.network.dropout": 0.3,
        "discriminator.network.dropout": 0.3,
    },
    "penalties, steps and packing": {"game": {"r1": 1.0, "r2": 1.0, "discriminator_steps": 2, "packing": 4}},
    "lazy penalties": {"game": {"r1": 1.0, "penalty_every": 3, "discriminator_steps": 2}},
    "simultaneous with shared fakes": {"game": {"update": "simultaneous", "share": "samples", "label_smoothing": 0.1}},
    "sgd without averaging": {
        "generator.optimizer": {"kind": "sgd", "momentum": 0.5},
        "discriminator.optimizer": {"kind": "sgd", "momentum": 0.5},
        "average.half_life": 0,
        "game.loss": "least_squares",
    },
}


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def train(out: Path, **changes: Any) -> saddle.Run:
    """20 rounds on the bundled digits, with ``changes`` to SETTINGS (dots written as __)."""
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changes.items()}
    progress = settings.pop("progress", None) or Silent()
    extra = {key: settings.pop(key) for key in ("data", "generator", "discriminator", "device") if key in settings}
    recipe = out.parent / "small.toml"
    recipe.write_text("")
    return saddle.train(str(recipe), out=out, settings=settings, progress=progress, **extra)


def content(run: saddle.Run) -> bytes:
    return run.folder.generator.read_bytes()


@pytest.mark.parametrize("variant", VARIANTS)
def test_ten_rounds_and_ten_more_are_twenty(tmp_path: Path, variant: str):
    settings = VARIANTS[variant]
    whole = train(tmp_path / "whole", **settings)
    parts = train(tmp_path / "parts", **settings, images=160)
    first = content(parts)
    parts = train(tmp_path / "parts", **settings)
    assert first != content(whole)
    assert content(parts) == content(whole)
    grids = [path.name for _, path in whole.folder.sample_grids()]
    for name in grids:
        assert (parts.folder.samples / name).read_bytes() == (whole.folder.samples / name).read_bytes()


def test_lazy_penalties_are_not_in_every_round(tmp_path: Path):
    lazy = train(tmp_path / "lazy", game={"r1": 1.0, "penalty_every": 3})
    always = train(tmp_path / "always", game={"r1": 3.0})
    assert content(lazy) != content(always)


def test_log_of_a_continued_run_equals_the_uninterrupted_one(tmp_path: Path):
    def figures(run: saddle.Run) -> list[dict[str, Any]]:
        timing = ("seconds", "images_per_second")
        return [{key: value for key, value in entry.items() if key not in timing} for entry in run.log]

    whole = train(tmp_path / "whole")
    stopping = Stopper(after=5)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", progress=stopping)
    parts = train(tmp_path / "parts")
    assert figures(parts) == figures(whole)
    assert [entry["images"] for entry in whole.log] == [48, 96, 144, 192, 240, 288, 320]
    assert set(whole.log[0]) >= {"epoch", "discriminator_loss", "generator_loss", "d_real", "d_fake", "seconds"}


class Stopper(Silent):
    """Sends this process a signal after some rounds, as a person or a scheduler would."""

    def __init__(self, after: int, number: int = signal.SIGTERM) -> None:
        self.left = after
        self.number = number

    def advance(self, n: int) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_tells_how_to_go_on(tmp_path: Path, number: int, code: int):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        train(tmp_path / "run", progress=Stopper(7, number))
    assert caught.value.exit_code == code
    assert "112 of 320" in str(caught.value)
    assert "same command" in str(caught.value)
    assert content(train(tmp_path / "run")) == content(train(tmp_path / "whole"))
    assert signal.getsignal(number) is before


def test_seeds_differ_and_repeat(tmp_path: Path):
    first, again, other = (train(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert content(first) == content(again)
    assert content(first) != content(other)


def test_sampling_and_intervals_do_not_disturb_training(tmp_path: Path):
    often = train(tmp_path / "often", samples__every=16, log__every=16, checkpoint__every=16)
    seldom = train(tmp_path / "seldom", samples__every=10_000, log__every=10_000, checkpoint__every=10_000)
    assert content(often) == content(seldom)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_a_damaged_newest_checkpoint_costs_one_interval(tmp_path: Path, damage: str):
    whole = train(tmp_path / "whole")
    run = train(tmp_path / "run", images=192)
    newest = run.folder.all_checkpoints()[-1][1]
    data = bytearray(newest.read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[len(data) * 3 // 4] ^= 1
    elif damage == "empty":
        data = bytearray()
    else:
        data = bytearray(b"not a checkpoint at all" * 9)
    newest.write_bytes(data)
    listener = Listener()
    run = train(tmp_path / "run", progress=listener)
    assert newest.name in listener.said[0]
    assert "resuming at 96 of 320" in listener.said[1]
    assert content(run) == content(whole)


def test_a_full_disk_leaves_what_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import saddle.base.tensors

    whole = train(tmp_path / "whole")
    real = saddle.base.tensors.save
    saves = 0

    def full(*args: Any) -> bytes:
        nonlocal saves
        saves += 1
        if saves > 2:  # the second checkpoint; each comes with a generator file
            raise OSError(28, "No space left on device")
        return real(*args)

    monkeypatch.setattr(saddle.base.tensors, "save", full)
    with pytest.raises(CheckpointError, match="No space left"):
        train(tmp_path / "run")
    monkeypatch.setattr(saddle.base.tensors, "save", real)
    folder = saddle.Run(tmp_path / "run").folder
    assert [images for images, _ in folder.all_checkpoints()] == [96]
    assert not list(folder.checkpoints.glob(".*"))
    assert content(train(tmp_path / "run")) == content(whole)


def test_changed_settings_are_refused_with_the_difference_and_change_nothing(tmp_path: Path):
    run = train(tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunError) as caught:
        train(tmp_path / "run", game__r1=3.0, seed=1)
    assert "game.r1: 0.0 → 3.0" in str(caught.value)
    assert "seed: 0 → 1" in str(caught.value)
    assert "--out" in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert content(run)


def test_a_run_goes_on_after_its_data_moved_but_not_with_other_data(tmp_path: Path, tiny_images: Store):
    values = torch.from_numpy(tiny_images.values)
    run = train(tmp_path / "run", data=values, images=160)
    train(tmp_path / "run", data=list_dataset(values), images=320)
    assert run.log[-1]["images"] == 320
    with pytest.raises(RunError, match="fingerprint"):
        train(tmp_path / "run", data=values[:50], images=480)


def list_dataset(values: torch.Tensor) -> Any:
    class Images:
        def __len__(self) -> int:
            return len(values)

        def __getitem__(self, index: int) -> torch.Tensor:
            return values[index]

    return Images()


def test_a_finished_run_says_so_and_longer_goes_on(tmp_path: Path):
    first = train(tmp_path / "run", images=160)
    stamp = first.folder.generator.stat().st_mtime_ns
    train(tmp_path / "run", images=160)
    assert first.folder.generator.stat().st_mtime_ns == stamp
    train(tmp_path / "run", images=192)
    assert load_config(first.folder.config).images == 192


def test_threads_that_auto_chose_belong_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = train(tmp_path / "run", threads="auto", images=160)
    chosen = load_config(run.folder.config).threads
    assert isinstance(chosen, int)
    tried: list[list[int]] = []

    def choose(_: object, threads: list[int], __: object) -> tuple[int, str]:
        tried.append(threads)
        return threads[0], "float32"

    monkeypatch.setattr("saddle.training.assemble.choose_execution", choose)
    train(tmp_path / "run", threads="auto", images=320)
    assert tried == [[chosen]]
    assert load_config(run.folder.config).threads == chosen


def test_another_thread_count_is_allowed_and_said(tmp_path: Path):
    train(tmp_path / "run", images=160)
    listener = Listener()
    run = train(tmp_path / "run", threads=2, progress=listener)
    assert any("2 threads instead of 1" in text and "bytes may differ" in text for text in listener.said)
    assert load_config(run.folder.config).threads == 2


def test_going_on_beyond_the_schedules_is_said(tmp_path: Path):
    rate = {"generator.optimizer.learning_rate": {"value": 1e-3, "to": 0.0, "start": "50%"}}
    run = train(tmp_path / "run", images=160, **rate)
    recorded = load_config(run.folder.config).generator.optimizer
    listener = Listener()
    train(tmp_path / "run", images=320, progress=listener, **rate)
    assert any("made for 160 images" in text for text in listener.said)
    assert load_config(run.folder.config).generator.optimizer == recorded


def test_intervals_follow_the_length(tmp_path: Path):
    run = train(tmp_path / "run", images=1600, log__every="auto", samples__every="auto", checkpoint__every="auto")
    assert len(run.log) == 50
    assert len(run.folder.sample_grids()) == 21  # the first before any training
    assert [images for images, _ in run.folder.all_checkpoints()] == [1440, 1600]


def test_a_checkpoint_comes_when_the_last_one_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.training.loop._CHECKPOINT_SECONDS", 0.0)
    run = train(tmp_path / "run", checkpoint__every="auto", checkpoint__keep=100)
    assert len(run.folder.all_checkpoints()) == 20
    assert content(run) == content(train(tmp_path / "seldom", checkpoint__every=10_000))


@pytest.mark.parametrize("wrong", [{"generator.network.label_widths": [4], "generator.network.joint_widths": [4]}])
def test_what_has_no_effect_is_refused_when_conditional_is_auto(tmp_path: Path, tiny_images: Store, wrong: Any):
    with pytest.raises(ConfigError, match="no effect without labels"):
        train(tmp_path / "run", data=torch.from_numpy(tiny_images.values), conditional="auto", **wrong)
    assert not (tmp_path / "run").exists()


def test_divergence_stops_at_the_last_good_checkpoint(tmp_path: Path):
    class Explodes(nn.Module):
        """Sound for ten rounds."""

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 64)
            self.calls = 0

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.calls += 1
            factor = float("nan") if self.calls > 20 else 1.0
            return torch.tanh(self.linear(latents) * factor).unflatten(1, (1, 8, 8))

    with pytest.raises(Diverged) as caught:
        train(tmp_path / "run", generator=Explodes(), average__half_life=0)
    assert caught.value.exit_code == 3
    for word in ("diverged before 192 images seen", "96 images seen, is kept", "learning rate"):
        assert word in str(caught.value)
    run = saddle.Run(tmp_path / "run", generator=Explodes())
    assert [images for images, _ in run.folder.all_checkpoints()] == [96]
    assert run.sample(3).isfinite().all()
    assert "NaN" not in run.folder.log.read_text()
    assert json.loads(run.folder.log.read_text().splitlines()[-1])["generator_loss"] == "nan"


def test_weights_that_break_between_log_lines_are_not_saved(tmp_path: Path):
    class Counts(nn.Module):
        """Its output is sound, its buffer is not."""

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 64)
            self.register_buffer("growth", torch.tensor(1e30))

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            self.growth *= 10
            return torch.tanh(self.linear(latents)).unflatten(1, (1, 8, 8))

    with pytest.raises(Diverged, match="growth among them"):
        train(tmp_path / "run", generator=Counts(), average__half_life=0, log__every=10_000)
    assert not saddle.Run(tmp_path / "run").folder.generator.exists()


def test_own_modules(tmp_path: Path):
    class Own(nn.Module):
        def __init__(self, inputs: int, shape: tuple[int, ...]) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.shape = shape
            self.linear = nn.Linear(inputs, 64 if shape else 1)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            out = self.linear(values.flatten(1))
            return torch.sigmoid(out).unflatten(1, self.shape) if self.shape else out.squeeze(1)

    def own(out: str, **changes: Any) -> saddle.Run:
        modules = {"generator": Own(4, (1, 8, 8)), "discriminator": Own(64, ())}
        return train(tmp_path / out, **modules, generator__network__output="sigmoid", **changes)

    own("parts", images=160)
    run = own("parts")
    assert content(run) == content(own("whole"))
    assert run.sample(5).shape == (5, 1, 8, 8)
    with pytest.raises(ConfigError, match="your own module"):
        saddle.load(run.path)
    assert saddle.load(run.path, generator=Own(4, (1, 8, 8))).sample(2).shape == (2, 1, 8, 8)
    with pytest.raises(CheckpointError, match="do not fit"):
        saddle.load(run.path, generator=Own(5, (1, 8, 8)))


def test_points_train_and_stay_in_their_units(tmp_path: Path):
    points = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * 3 + 50
    run = train(tmp_path / "run", data=points, generator__network__output="tanh")
    samples = run.sample(200)
    assert samples.shape == (200, 2)
    assert (samples > 30).all()
    assert run.folder.sample_grids()


@pytest.mark.parametrize(
    ("prepare", "error", "words"),
    [
        (lambda path: path.write_text("x"), RunError, "is a file"),
        (lambda path: (path.mkdir(), (path / "thesis.txt").write_text("x")), RunError, "holds no run"),
    ],
)
def test_folders_that_cannot_hold_a_run(tmp_path: Path, prepare: Any, error: type[Exception], words: str):
    prepare(tmp_path / "run")
    with pytest.raises(error, match=words):
        train(tmp_path / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot be written"):
        saddle.train("mlp-tanh", data="digits", out=tmp_path / "sub" / "run", progress=Silent())


def test_what_a_killed_start_left_behind_does_not_block(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".config.123.partial.toml").write_text("half")
    run = train(folder)
    assert not list(folder.glob(".*.partial*"))
    assert run.log


def test_two_processes_do_not_train_one_folder(tmp_path: Path):
    fcntl = pytest.importorskip("fcntl")
    run = train(tmp_path / "run", images=160)
    with run.folder.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process"):
            train(tmp_path / "run")


def test_a_device_that_is_not_there(tmp_path: Path):
    with pytest.raises(DeviceError, match="no device 'cuda:99'"):
        train(tmp_path / "run", device="cuda:99")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_resuming_on_cuda(tmp_path: Path):
    whole = train(tmp_path / "whole", device="cuda")
    train(tmp_path / "parts", device="cuda", images=160)
    parts = train(tmp_path / "parts", device="cuda")
    torch.testing.assert_close(parts.sample(8), whole.sample(8), rtol=1e-3, atol=1e-4)


def test_tensorboard_is_an_extra_and_its_lack_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("saddle.training.record.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"saddle\[tensorboard\]"):
        train(tmp_path / "run", log__tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_a_kill_between_the_files_of_the_last_save_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import saddle.training.checkpoint as module

    whole = train(tmp_path / "whole")

    class Killed(BaseException):
        pass

    real = module.save_tensors

    def kill(path: Path, tensors: Any, header: dict[str, Any]) -> None:
        if header["images_seen"] == 320:
            raise Killed
        real(path, tensors, header)

    monkeypatch.setattr(module, "save_tensors", kill)
    with pytest.raises(Killed):
        train(tmp_path / "run")
    monkeypatch.setattr(module, "save_tensors", real)
    assert content(train(tmp_path / "run")) == content(whole)


def test_a_file_that_cannot_be_opened_now_is_not_taken_for_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = train(tmp_path / "run", images=192)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("saddle.base.tensors.safe_open", refuse)
    with pytest.raises(CheckpointError, match="Too many open files"):
        train(tmp_path / "run")
    assert len(run.folder.all_checkpoints()) == 2


def test_without_a_good_checkpoint_the_run_starts_anew_and_says_so(tmp_path: Path):
    run = train(tmp_path / "run", images=96)
    for _, path in run.folder.all_checkpoints():
        path.write_bytes(b"")
    listener = Listener()
    run = train(tmp_path / "run", progress=listener)
    assert "starting anew" in listener.said[0]
    assert content(run) == content(train(tmp_path / "whole"))


def test_a_length_below_one_image_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="less than one image"):
        saddle.train("mlp-tanh", data="digits", out=tmp_path / "run", settings={"epochs": 1e-6}, progress=Silent())
    assert not (tmp_path / "run").exists()


def test_a_shorter_length_changes_nothing(tmp_path: Path):
    run = train(tmp_path / "run")
    train(tmp_path / "run", images=64)
    assert load_config(run.folder.config).images == 320


def test_an_own_generator_gets_the_range_of_its_recipe(tmp_path: Path):
    own = nn.Sequential(nn.Linear(4, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
    settings = {"images": 64, "threads": 1, "latent.size": 4, "discriminator.network.widths": [8]}
    run = saddle.train(
        "mlp-sigmoid", data="digits", generator=own, out=tmp_path / "run", settings=settings, progress=Silent()
    )
    assert load_config(run.folder.config).generator.network.output == "sigmoid"


def test_averages_begin_as_the_initialised_players(tiny_images: Store):
    from saddle.config import Config
    from saddle.config.networks import GeneratorMLPConfig
    from saddle.config.schema import AverageConfig, GeneratorConfig
    from saddle.data.scaling import Scaling
    from saddle.training.assemble import Networks, make_gan

    network = GeneratorMLPConfig(widths=(8,), output="sigmoid", output_bias="marginals")
    config = Config(
        recipe="x", images=1, average=AverageConfig(half_life=10), generator=GeneratorConfig(network=network)
    )
    scaling = Scaling.fit(tiny_images, "sigmoid")
    gan = make_gan(config, tiny_images, scaling, Networks(), torch.device("cpu"))
    mean = torch.from_numpy(tiny_images.values.mean(0)).flatten() / 255
    torch.testing.assert_close(torch.sigmoid(gan.averaged.last.bias), mean.float(), rtol=1e-3, atol=1e-4)


def test_a_run_that_began_earlier_and_locks_later_does_not_mix_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Settings are compared once the folder is held, however long the preparation took."""
    from saddle.training import session

    real = session.try_out
    tried: list[str] = []

    def slow(*arguments: Any) -> dict[str, Any]:
        with pytest.raises(RunError, match="another process"):
            train(tmp_path / "run", seed=1)
        tried.append("another run")
        return real(*arguments)

    monkeypatch.setattr(session, "try_out", slow)
    run = train(tmp_path / "run", seed=2, threads="auto")
    assert tried
    assert load_config(run.folder.config).seed == 2


@pytest.mark.parametrize("damage", ["deleted", "flipped", "older"])
def test_a_finished_run_regains_its_generator(tmp_path: Path, damage: str):
    run = train(tmp_path / "run", images=160)
    older = content(run)
    run = train(tmp_path / "run")
    whole = content(run)
    if damage == "deleted":
        run.folder.generator.unlink()
    else:
        run.folder.generator.write_bytes(older if damage == "older" else whole[:-1] + bytes([whole[-1] ^ 1]))
    listener = Listener()
    train(tmp_path / "run", progress=listener)
    assert content(run) == whole
    assert any("made again from the checkpoint" in text for text in listener.said)


def test_checkpoints_of_other_runs_and_of_other_positions_are_refused(tmp_path: Path):
    run, other = train(tmp_path / "run", images=192), train(tmp_path / "other", images=192, seed=1)
    newest = run.folder.all_checkpoints()[-1][1]
    mine = newest.read_bytes()
    newest.write_bytes(other.folder.all_checkpoints()[-1][1].read_bytes())
    with pytest.raises(CheckpointError, match="another run"):
        train(tmp_path / "run")
    newest.write_bytes(mine)
    newest.rename(newest.with_name(f"{208:012d}.safetensors"))
    with pytest.raises(CheckpointError, match="another position"):
        train(tmp_path / "run")
