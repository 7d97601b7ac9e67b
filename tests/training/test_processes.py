"""Several processes that train together. The slow tests start real ones, with torchrun and gloo; none has a GPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from saddle.base import processes
from saddle.base.progress import Silent
from saddle.cli import boundary
from saddle.config.schema import Config, DataConfig
from saddle.data import Store, from_object
from saddle.data.scaling import Scaling
from saddle.data.store import make_store
from saddle.errors import ConfigError, Elsewhere
from saddle.game.feed import Feed
from saddle.networks.across import gathered
from saddle.trained.draw import share_of
from saddle.trained.generator import load
from saddle.training.engine import seed_round
from saddle.training.record import Record

CPU = torch.device("cpu")
# Means over parts are added in another order than one mean, and training makes more of every rounding: after some
# hundred images, what generators draw agrees to this.
TOLERANCE = 1e-4
RECIPE = """
batch_size = 16
threads = 1
[data]
source = "digits"
[latent]
size = 8
[generator.network]
widths = [32]
[discriminator.network]
widths = [32]
[average]
half_life = 100
[log]
every = 48
"""


def as_process(monkeypatch: pytest.MonkeyPatch, number: int, count: int = 2) -> None:
    """From here on, this test's process is one of several."""
    names = ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    for name, value in zip(names, ("test", number, number, count, count), strict=True):
        monkeypatch.setenv(name, str(value))


def digits() -> Store:
    return from_object(torch.arange(50.0)[:, None], config=DataConfig(source="numbers"))


def test_without_torchrun_there_is_one_process_and_nothing_is_exchanged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # as other launchers leave it
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    values = torch.arange(4.0)
    assert (processes.count(), processes.number(), processes.is_first()) == (1, 0, True)
    assert processes.part(values) is values and gathered(values) is values
    assert processes.first(lambda: {"a": 1}) == {"a": 1}
    assert processes.largest(3, 0) == [3, 0]
    assert processes.common(CPU) is None


def test_the_parts_of_all_processes_are_the_batch_of_one(monkeypatch: pytest.MonkeyPatch):
    def batches() -> list[torch.Tensor]:
        feed = Feed(digits(), Scaling.fit(digits(), "linear"), seed=3, device=CPU)
        return [feed.batch(start, 12).samples for start in (0, 12, 48)]  # the last one is of two epochs

    whole = batches()
    parts: list[list[torch.Tensor]] = []
    for number in range(3):
        as_process(monkeypatch, number, 3)
        parts.append(batches())
    for place, expected in enumerate(whole):
        assert torch.equal(torch.cat([part[place] for part in parts]), expected)


def test_processes_share_their_latents_and_make_noise_of_their_own(monkeypatch: pytest.MonkeyPatch):
    seed_round(5, CPU)
    alone = torch.randn(4)
    shared, own = [], []
    for number in range(2):
        as_process(monkeypatch, number)
        seed_round(5, CPU)
        shared.append(torch.randn(4, generator=processes.common(CPU)))
        own.append(torch.randn(4))
    assert torch.equal(shared[0], shared[1]) and torch.equal(shared[0], alone)
    assert not torch.equal(own[0], own[1]) and not torch.equal(own[0], alone)


def test_samples_are_shared_out_in_whole_pieces_and_all_of_them(monkeypatch: pytest.MonkeyPatch):
    for count in (1, 999, 3500, 10_000):
        numbers: list[int] = []
        for number in range(3):
            as_process(monkeypatch, number, 3)
            share = share_of(count, (1, 8, 8))
            assert not share or share.start % 1000 == 0  # as one process draws them
            numbers += share
        assert numbers == list(range(count))


def test_checkpoints_between_two_lines_do_not_show_in_the_log(monkeypatch: pytest.MonkeyPatch):
    """There, too, the processes agree on what they have summed up; a run without that checkpoint must log the same."""
    as_process(monkeypatch, 0)
    config = Config.model_validate({"recipe": "x", "images": 1})
    store = make_store("x", np.zeros((4, 1), np.float32))
    rounds = torch.rand(60, 2, 20, generator=torch.Generator().manual_seed(0))
    no: Any = None

    def sums(checkpoints: set[int]) -> Tensor:
        records = [Record(config, no, store, no, no, Silent()) for _ in range(2)]

        def add_up(tensor: Tensor) -> None:
            tensor.copy_(total)

        monkeypatch.setattr(processes, "add_up", add_up)
        for number, figures in enumerate(rounds):
            for record, losses in zip(records, figures, strict=True):
                record.add({"loss": losses}, number)
            if number in checkpoints or number == len(rounds) - 1:
                total = records[0].state()["record.sums"] + records[1].state()["record.sums"]
                for record in records:
                    record.agree()
        return records[0].state()["record.sums"]

    assert torch.equal(sums({10, 33}), sums(set()))


def test_work_that_is_done_alone_is_done_whole(monkeypatch: pytest.MonkeyPatch):
    as_process(monkeypatch, 1)
    values = torch.arange(4.0)
    assert processes.part(values).tolist() == [2, 3]
    with processes.alone():
        assert processes.part(values).tolist() == [0, 1, 2, 3]
    assert processes.count() == 2


def test_a_batch_that_cannot_be_shared_equally_is_refused(monkeypatch: pytest.MonkeyPatch):
    as_process(monkeypatch, 0, 3)
    processes.check_shares(12, "a batch", multiple=2)
    with pytest.raises(ConfigError, match="cannot be shared equally by 3 processes") as refused:
        processes.check_shares(9, "a batch", multiple=2)
    assert refused.value.expected == "a multiple of 6"


def test_what_failed_elsewhere_is_not_told_again(capsys: pytest.CaptureFixture[str]):
    assert boundary.answer(Elsewhere("it failed in another process", exit_code=3)) == 3
    assert capsys.readouterr().err == ""


def torchrun(folder: Path, count: int, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=100)
    assert process.returncode == code, err
    return out, err


def train_alone(folder: Path, out: str, *words: str) -> None:
    command = [sys.executable, "-m", "saddle", "train", "tiny.toml", "--out", out, *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def train_together(folder: Path, out: str, *words: str, count: int = 2) -> subprocess.Popen[str]:
    return torchrun(folder, count, "-m", "saddle", "train", "tiny.toml", "--out", out, *words)


def log(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if "second" not in name} for line in lines]


def samples(run: Path) -> torch.Tensor:
    return load(run, device="cpu").sample(64)


COLLECTIVES = """
import torch
from torch import nn
from saddle.base import processes
from saddle.errors import Elsewhere
from saddle.networks.across import gathered, mean_of_all, share_batch_norms

mine = processes.number()
assert processes.count() == 2
tensors = [torch.full((2, 3), float(mine)), torch.tensor(4.0 * mine)]
processes.average(tensors)
assert tensors[0].tolist() == [[0.5] * 3] * 2 and tensors[1].item() == 2
assert processes.largest(mine, -mine) == [1, 0]
assert processes.first(lambda: {"from": processes.number()}) == {"from": 0}
sent = {"a": torch.arange(3) + mine, "b": torch.zeros(()) + mine} if mine == 0 else {}
assert {name: value.tolist() for name, value in processes.shared(sent).items()} == {"a": [0, 1, 2], "b": 0}
try:
    processes.together(lambda: 1 // mine)
except ZeroDivisionError:
    assert mine == 0
except Elsewhere as error:
    assert mine == 1 and error.exit_code == 70
told = torch.tensor(float(processes.tells("something")))
processes.average([told])
assert told.item() == 0.5  # by one of the two

# Batch norm over both parts is batch norm over the whole, its second derivative included.
torch.manual_seed(0)
whole = torch.randn(8, 3, 4, dtype=torch.float32)
def second(network, samples):
    samples = samples.clone().requires_grad_()
    out = network(samples).tanh()
    (gradient,) = torch.autograd.grad(out.sum(), samples, create_graph=True)
    return out, gradient, gradient.square().sum()
plain = nn.BatchNorm1d(3)
expected = second(plain, whole)
expected[2].backward()
with torch.no_grad():
    layer = nn.Sequential(nn.BatchNorm1d(3))
shared = share_batch_norms(layer)
assert list(shared.state_dict()) == list(layer.state_dict())
got = second(shared, processes.part(whole))
got[2].backward()
gradient = shared[0].weight.grad * 2  # the sum of both parts, as the plain one has it
processes.average([gradient])
for one, other in ((processes.part(expected[0]), got[0]), (processes.part(expected[1]), got[1]),
                   (plain.weight.grad, gradient), (plain.running_var, shared[0].running_var)):
    assert torch.allclose(one, other, atol=1e-5), (one, other)
rows = torch.full((1, 2), float(mine), requires_grad=True)
(gathered(rows) * torch.tensor([[1.0], [3.0]])).sum().backward()
assert gathered(rows).tolist() == [[0, 0], [1, 1]] and rows.grad.tolist() == [[2.0 if mine == 0 else 6.0] * 2]
assert mean_of_all(torch.tensor(float(mine))).item() == 0.5
if mine == 0:
    print("all is well", flush=True)
"""


@pytest.mark.slow
def test_what_processes_exchange(tmp_path: Path):
    """With real ones: takes some seconds, and is all that is said of them where the slow tests are left out."""
    (tmp_path / "exchange.py").write_text(COLLECTIVES)
    out, _ = finish(torchrun(tmp_path, 2, "exchange.py"))
    assert out == "all is well\n"


GAMES = {
    "penalties": ["game.gradient_penalty=1", "game.r1=0.1", "game.historical_averaging=0.01"],
    "batch norm in both": ["generator.network.norm=batch", "discriminator.network.norm=batch", "conditional=true"],
    "what compares samples": [
        "game.feature_matching=l2",
        "discriminator.minibatch_kernels=4",
        "discriminator.weights=weight",
        "game.packing=2",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_two_processes_train_what_one_trains(tmp_path: Path, game: str):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    words = [word for setting in ["images=320", *GAMES[game]] for word in ("--set", setting)]
    train_alone(tmp_path, "one", *words)
    out, err = finish(train_together(tmp_path, "two", *words))
    assert out.count("two is finished") == 1
    assert err.count("320 of 320 images seen") == 1
    one, two = samples(tmp_path / "one"), samples(tmp_path / "two")
    assert (one - two).abs().max() < TOLERANCE
    for left, right in zip(log(tmp_path / "one"), log(tmp_path / "two"), strict=True):
        assert left == pytest.approx(right, abs=TOLERANCE)
    files = [
        sorted(str(path.relative_to(run)) for path in run.rglob("*")) for run in tmp_path.iterdir() if run.is_dir()
    ]
    assert files[0] == files[1]


@pytest.mark.slow
def test_stopped_and_resumed_with_another_number_the_run_goes_on(tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    process = train_together(tmp_path, "run", "--set", "images=1000000")
    wait_for(tmp_path / "run" / "log.jsonl")
    process.terminate()
    _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert err.count("saddle: stopped at ") == 1 and "everything is saved in run" in err
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    position = int(checkpoint.stem)
    images = ("--set", f"images={position + 160}")
    resumed = subprocess.run(
        [sys.executable, "-m", "saddle", "train", "tiny.toml", "--out", "run", *images],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "the number of processes is 1 instead of 2" in resumed.stderr
    assert [line["images"] for line in log(tmp_path / "run")] == sorted(
        {line["images"] for line in log(tmp_path / "run")}
    )
    again = ("--set", f"images={position + 320}")
    _, err = finish(train_together(tmp_path, "run", *again))
    assert f"resuming at {position + 160:,}" in err and "the number of processes is 2 instead of 1" in err
    assert samples(tmp_path / "run").isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_others_say_so_and_end(tmp_path: Path, killed: int):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    process = train_together(tmp_path, "run", "--set", "images=1000000", "--set", "checkpoint.every=160")
    wait_for(tmp_path / "run" / "generator.safetensors")
    os.kill(worker(process.pid, killed), signal.SIGKILL)
    began = time.monotonic()
    _, err = process.communicate(timeout=100)
    assert time.monotonic() - began < 60
    assert process.returncode != 0
    assert err.count("saddle: another process of this work has ended") == 1
    assert "the last good state, at " in err
    position = max(int(path.stem) for path in (tmp_path / "run" / "checkpoints").glob("[0-9]*.safetensors"))
    train_alone(tmp_path, "run", "--set", f"images={position + 16}", "--set", "checkpoint.every=160")


@pytest.mark.slow
def test_what_is_wrong_is_said_once(tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    _, err = finish(train_together(tmp_path, "run", "--set", "batch_size=15", "--set", "images=60"), code=1)
    assert err.count("saddle: a batch cannot be shared equally by 2 processes") == 1
    wrong = ("--set", "images=60", "--set", "evaluate.every=20", "--set", "evaluate.metric=modes")
    _, err = finish(train_together(tmp_path, "run", *wrong), code=1)  # only the first one scores, and finds it
    assert err.count("saddle: evaluate.metric: ") == 1 and "has ended" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_scores_choose_the_best_for_all_and_samples_are_drawn_together(tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    words = ("--set", "images=320", "--set", "evaluate.every=160", "--set", "evaluate.count=300")
    train_alone(tmp_path, "one", *words)
    finish(train_together(tmp_path, "two", *words))
    scores = [(tmp_path / run / "scores.jsonl").read_text().splitlines() for run in ("one", "two")]
    assert len(scores[0]) == len(scores[1]) == 2
    assert (tmp_path / "two" / "best.safetensors").is_file()
    sample = ("sample", "one", "--count", "2500", "--device", "cpu", "--out")
    subprocess.run([sys.executable, "-m", "saddle", *sample, "one.npy"], cwd=tmp_path, check=True, capture_output=True)
    out, _ = finish(torchrun(tmp_path, 2, "-m", "saddle", *sample, "two.npy"))
    assert out == "2,500 samples in two.npy\n"
    one, two = np.load(tmp_path / "one.npy"), np.load(tmp_path / "two.npy")
    # Pixels are rounded, and threads add in another order.
    assert one.shape == two.shape and np.abs(one.astype(int) - two.astype(int)).max() <= 1
    assert not list(tmp_path.glob("*tmp*"))
    _, err = finish(torchrun(tmp_path, 2, "-m", "saddle", *sample, "two.png"), code=1)
    assert err.count("several processes write samples into one array") == 1


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.05)
    time.sleep(0.5)


def worker(parent: int, number: int) -> int:
    """The process with this number, of those that torchrun started."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and f"RANK={number}\0" in (entry / "environ").read_text():
                return int(entry.name)
        except (OSError, ValueError):  # it ended meanwhile
            continue
    raise AssertionError(f"there is no process {number}")
