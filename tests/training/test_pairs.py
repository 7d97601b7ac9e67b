"""pix2pix from beginning to end: trained, stopped and resumed, scored, used on folders of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

import saddle
from saddle.base.progress import Silent
from saddle.base.tensors import load_tensors, save_tensors
from saddle.cli.commands import app
from saddle.config import load_recipe, resolve
from saddle.data import open_data
from saddle.errors import CheckpointError, ConfigError, DataError, MetricError, RunError
from saddle.metrics import l1_distance
from saddle.runs.status import resume_command

SMALL: dict[str, Any] = {
    "threads": 1,
    "batch_size": 8,
    "generator.network.width": 4,
    "generator.network.max_width": 8,
    "discriminator.network.width": 4,
    "samples.count": 6,
    "samples.every": 80,
    "checkpoint.every": 80,
    "log.every": 40,
    "data.first": 64,
}


def train(out: Path, images: int = 160, **settings: Any) -> saddle.Run:
    changes = {key.replace("__", "."): value for key, value in settings.items()}
    own = {key: changes.pop(key) for key in ("data", "generator", "recipe") if key in changes}
    return saddle.train(
        own.pop("recipe", "pix2pix"), out=out, images=images, settings=SMALL | changes, progress=Silent(), **own
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> saddle.Run:
    return train(tmp_path_factory.mktemp("pix2pix") / "run")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> saddle.Run:
    settings = {"threads": 1, "generator.network.widths": [8], "discriminator.network.widths": [8]}
    out = tmp_path_factory.mktemp("plain") / "run"
    return saddle.train("mlp-tanh", data="digits", out=out, images=64, settings=settings, progress=Silent())


def held_out(run: saddle.Run, count: int = 20) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the test split, uint8."""
    store = open_data(run.config.data.model_copy(update={"split": "test", "fingerprint": None, "first": None}))
    assert store.inputs is not None
    return torch.from_numpy(store.inputs[:count].copy()), torch.from_numpy(store.values[:count].copy())


def test_a_run_that_was_stopped_goes_on_exactly(run: saddle.Run, tmp_path: Path):
    """The same bytes as without the stop, pictures of the pairs included."""
    train(tmp_path / "run", images=80)
    resumed = train(tmp_path / "run")
    assert resumed.folder.generator.read_bytes() == run.folder.generator.read_bytes()
    grids = [each.folder.sample_grids()[-1][1].read_bytes() for each in (run, resumed)]
    assert grids[0] == grids[1]


def test_the_command_that_resumes_it_says_no_more_than_is_needed(run: saddle.Run):
    run.folder.environment.write_text('{"command": "saddle train pix2pix --set images=160"}')
    command = resume_command(run.folder, run.config) or ""
    assert "latent" not in command
    assert "--set generator.network.width=4" in command


def test_inputs_outputs_and_targets_are_shown_below_each_other(run: saddle.Run):
    """The targets and the inputs of six held-out pairs, six times enlarged."""
    pixels = np.asarray(Image.open(run.folder.sample_grids()[-1][1]))
    inputs, targets = held_out(run, 297)
    shown = np.linspace(0, 296, 6).astype(int)
    margin = pixels.shape[1] - (6 * 50 + 2)
    for row, side in ((0, inputs), (2, targets)):
        for column, number in enumerate(shown):
            corner = 2 + 50 * row, margin + 2 + 50 * column
            cell = pixels[corner[0] : corner[0] + 48 : 6, corner[1] : corner[1] + 48 : 6]
            np.testing.assert_array_equal(cell, side[number, 0])
    assert "inputs and noise" in run.report().read_text(encoding="utf-8")
    assert not run.folder.interpolation.exists()


@pytest.mark.slow
def test_it_learns(tmp_path: Path):
    """Outputs of held-out inputs come much nearer to their targets than an empty image is."""
    network = {"generator__network__width": 8, "generator__network__max_width": 16}
    one = train(tmp_path / "run", images=1600, data__first=None, generator__optimizer__learning_rate=2e-3, **network)
    inputs, targets = held_out(one, 100)
    found = l1_distance(one.generator.translate(inputs), targets).mean().item()
    assert found < 0.7 * l1_distance(torch.zeros_like(targets), targets).mean().item()
    assert one.log[-1]["l1"] < 0.6 * one.log[0]["l1"]


def test_an_output_follows_from_its_input_the_seed_and_its_number(run: saddle.Run):
    generator = run.generator
    inputs, _ = held_out(run)
    made = generator.translate(inputs, seed=3)
    assert made.shape == (20, 1, 8, 8)
    assert 0 <= made.min() < made.max() <= 1
    torch.testing.assert_close(generator.translate(inputs[7:9], seed=3, first=7), made[7:9], rtol=0, atol=1e-6)
    torch.testing.assert_close(generator.translate(inputs.float() / 255, seed=3), made, rtol=0, atol=1e-5)
    assert not torch.allclose(generator.translate(inputs, seed=4), made, atol=1e-3)
    assert not torch.allclose(generator.translate(inputs[7:8], seed=3), made[7:8], atol=1e-3)  # another number
    from_file = saddle.load(run.folder.generator)
    assert torch.equal(from_file.translate(inputs, seed=3), made)
    assert generator.translate(inputs[:0]).shape == (0, 1, 8, 8)


def test_a_folder_of_pictures_becomes_one_of_the_same_names(run: saddle.Run, tmp_path: Path):
    inputs, _ = held_out(run, 3)
    large = Image.fromarray(inputs[1, 0].numpy()).resize((64, 48), Image.Resampling.NEAREST).convert("RGB")
    for name, image in (("b.png", Image.fromarray(inputs[0, 0].numpy())), ("deep/c.bmp", large)):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "in" / name)
    words = ["sample", str(run.path), "--input", str(tmp_path / "in"), "--seed", "2", "--out"]
    for out in ("out", "again"):
        result = CliRunner().invoke(app, [*words, str(tmp_path / out)])
        assert (result.exit_code, result.output) == (0, f"2 pictures in {tmp_path / out}\n")
    found = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png"))
    assert found == [Path("b.png"), Path("deep/c.png")]
    for path in found:
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "again" / path).read_bytes()
    expected = run.generator.translate(inputs[:1], seed=2)[0, 0]
    made = torch.from_numpy(np.asarray(Image.open(tmp_path / "out" / "b.png")).copy())
    torch.testing.assert_close(made / 255, expected, rtol=0, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(
    ("prepare", "options", "message"),
    [
        (lambda folder: folder.mkdir(), [], "holds no images"),
        (lambda folder: None, [], "there is no folder or zip"),
        (lambda folder: picture(folder / "a.png"), ["--count", "3"], "leave out --count"),
        (lambda folder: (picture(folder / "a.png"), picture(folder / "a.bmp")), [], "differ in their suffix alone"),
        (lambda folder: broken(folder / "a.png"), [], "cannot be read"),
        (lambda folder: picture(folder / "a.png"), ["--out", "out.png"], "named as a file"),
        (lambda folder: picture(folder / "a.png"), ["--input", "in/a.png"], "is a picture, and --input takes a folder"),
    ],
)
def test_folders_that_cannot_be_translated_leave_nothing(
    run: saddle.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Any, options: list[str], message: str
):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path / "in")
    words = ["sample", str(run.path), "--input", "in", *(options if "--out" in options else ["--out", "out", *options])]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert message in result.output
    assert {path.name for path in tmp_path.iterdir()} <= {"in"}


def picture(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(path)


def broken(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no picture")


def test_what_needs_latents_alone_is_refused_and_so_are_images_elsewhere(
    run: saddle.Run, plain: saddle.Run, tmp_path: Path
):
    generator = run.generator
    for use in (
        lambda: generator.sample(3),
        lambda: generator(generator.latents(1, 0)),
        lambda: saddle.save_samples(generator, tmp_path / "x.png", 4),
    ):
        with pytest.raises(ConfigError, match="learned from pairs"):
            use()
    for use in (
        lambda: generator.interpolate(1, 2, 4),
        lambda: next(generator.walk([1, 2], 3)),
        lambda: generator.invert(torch.rand(1, 1, 8, 8)),
        lambda: generator.mean_latent([1, 2]),
    ):
        with pytest.raises(ConfigError, match="no smooth latent space"):
            use()
    with pytest.raises(ConfigError, match="did not learn from pairs"):
        plain.generator.translate(torch.rand(1, 1, 8, 8))
    picture(tmp_path / "in" / "a.png")
    words = ["sample", str(plain.path), "--input", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert "did not learn from pairs" in CliRunner().invoke(app, words).output
    for wrong in (torch.rand(1, 3, 8, 8), torch.rand(1, 1, 16, 16), 2 * torch.ones(1, 1, 8, 8)):
        with pytest.raises(DataError, match="these images"):
            generator.translate(wrong)


def test_scores_compare_each_output_with_its_target(run: saddle.Run):
    found = {score.metric: score for score in saddle.evaluate(run, seeds=1, count=100).scores}
    inputs, targets = held_out(run, 297)
    shown = np.linspace(0, 296, 100).astype(int)
    made = run.generator.translate(inputs[shown], seed=1)
    distances = l1_distance(torch.round(made * 255).byte(), targets[shown])
    assert found["l1"].value == pytest.approx(distances.mean().item(), abs=1e-5)
    assert found["l1_error"].value == pytest.approx(distances.std().item() / 10, abs=1e-5)
    assert found["l1"].protocol == "l1-100"
    assert found["l1"].floor is None
    assert found["psnr"].better == "higher"
    assert found["fd"].count == 100
    assert (found["fd"].floor_of or "").endswith("held-out samples")
    assert "ssim" not in found  # its window is larger than these
    with pytest.raises(MetricError, match="11 pixels"):
        saddle.evaluate(run, metrics="ssim")


def test_scores_during_training_are_of_training_inputs(tmp_path: Path):
    run = train(tmp_path / "run", evaluate__every=80, evaluate__count=50)
    assert len(run.scores) == 2
    assert run.folder.best.is_file()
    with pytest.raises(ConfigError, match="held-out data, which must not choose"):
        train(tmp_path / "other", evaluate__every=80, evaluate__metric="psnr")


def test_pairs_are_not_for_other_generators(plain: saddle.Run):
    with pytest.raises(MetricError, match="the metric 'l1' does not fit"):
        saddle.evaluate(plain, metrics="l1")


def test_the_same_pairs_at_another_place_are_recognised(tmp_path: Path):
    for name in ("here", "there"):
        for number in range(12):
            for side, shade in (("in", 10 * number), ("out", 255 - 10 * number)):
                path = tmp_path / name / side / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (8, 8), shade).save(path)

    def go(name: str, images: int) -> saddle.Run:
        folder = tmp_path / name
        places = {"data.pairs": "folders", "data.inputs": str(folder / "in"), "data.first": None}
        return train(tmp_path / "run", images, data=str(folder / "out"), **places)

    go("here", 16)
    assert go("there", 32).status.images == 32
    with pytest.raises(RunError, match="other settings"):
        train(tmp_path / "run", 48, data__pairs="edges")


class Shifted(nn.Module):
    """A user's own G on pairs: its input, brightened by its latent."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, latents: Tensor, inputs: Tensor) -> Tensor:
        return (self.gain * inputs + 0.1 * latents[:, :1, None, None]).tanh()


def test_a_module_of_ones_own_is_given_inputs(tmp_path: Path):
    settings: dict[str, Any] = {"threads": 1, "discriminator.network": {"family": "dcgan", "width": 4}}
    settings["data.pairs"] = "low"
    out = tmp_path / "run"
    run = saddle.train("pix2pix", images=40, out=out, generator=Shifted(), settings=settings, progress=Silent())
    generator = saddle.load(run.path, generator=Shifted())
    assert generator.translate(torch.rand(5, 1, 8, 8)).shape == (5, 1, 8, 8)
    with pytest.raises(ConfigError, match="learned from pairs"):
        generator.invert(torch.rand(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": {"pairs": "none"}}, "it needs data.pairs"),
        ({"generator": {"network": {"family": "dcgan"}}}, "needs generator.network.family = unet"),
        ({"conditional": True}, "needs conditional = false"),
        ({"game": {"packing": 2}}, "game.packing = 1"),
        ({"latent": {"size": 7}}, "latent follows from the network"),
        ({"discriminator": {"minibatch_kernels": 3}}, "judges patches"),
        ({"discriminator": {"condition": "projection"}}, "judges patches"),
    ],
)
def test_settings_that_contradict_pairs_are_told(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as caught:
        resolve(load_recipe("pix2pix"), settings)
    assert message in "".join(map(str, caught.value.details))


def test_the_weight_of_targets_needs_pairs():
    with pytest.raises(ConfigError, match="samples have no targets"):
        resolve(load_recipe("digits"), {"game": {"l1": 1.0}})


def test_a_batch_of_one_has_statistics_where_it_has_places():
    assert (
        resolve(load_recipe("pix2pix"), {"batch_size": 1, "generator": {"network": {"norm": "batch"}}}).batch_size == 1
    )


OTHER = {"network": {"family": "mlp"}}  # which takes no inputs


def test_a_header_that_lies_is_told(run: saddle.Run, tmp_path: Path):
    tensors, header = load_tensors(run.folder.generator)
    for change in ({"inputs": None}, {"inputs": {"channels": 3, "fit": "crop"}}, {"latent": {"size": 5}}, OTHER):
        save_tensors(tmp_path / "lie.safetensors", tensors, header | change)
        with pytest.raises((CheckpointError, ConfigError)):
            saddle.load(tmp_path / "lie.safetensors")
