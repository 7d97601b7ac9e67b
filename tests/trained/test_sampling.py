from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import saddle
from saddle.base.progress import Silent
from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.errors import CheckpointError, ConfigError, SaddleError
from saddle.trained.explore import save_interpolation
from saddle.trained.export import save_samples
from saddle.trained.generator import Generator
from saddle.trained.walks import slerp

SETTINGS = {"images": 128, "threads": 1, "generator.network.widths": [16], "discriminator.network.widths": [16]}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("images") / "run"
    return saddle.train("mlp-tanh", data="digits", out=out, settings=SETTINGS, progress=Silent()).path


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("points") / "run"
    data = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    return saddle.train("mlp-tanh", data=data, out=out, settings=SETTINGS, progress=Silent()).path


def test_a_run_folder_and_its_generator_file_give_the_same_samples(images: Path):
    from_run, from_file = saddle.load(images), saddle.load(images / "generator.safetensors")
    samples = from_run.sample(10, seed=1)
    assert samples.shape == (10, 1, 8, 8)
    assert 0 <= samples.min() < samples.max() <= 1
    assert torch.equal(samples, from_file.sample(10, seed=1))
    assert not torch.equal(samples, from_run.sample(10, seed=2))


def test_the_first_samples_do_not_depend_on_how_many_are_drawn(images: Path):
    generator = saddle.load(images)
    torch.testing.assert_close(generator.sample(7), generator.sample(9000)[:7], rtol=0, atol=1e-6)


def test_interpolation_ends_at_the_two_seeds(images: Path):
    generator = saddle.load(images)
    for space in ("linear", "spherical"):
        strip = generator.interpolate(3, 4, 5, space=space)
        assert strip.shape == (5, 1, 8, 8)
        torch.testing.assert_close(strip[0], generator.sample(1, seed=3)[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(strip[-1], generator.sample(1, seed=4)[0], rtol=0, atol=1e-5)


def test_truncation_draws_latents_to_the_middle(images: Path):
    generator = saddle.load(images)
    whole, half = generator.latents(50, 3), generator.latents(50, 3, truncation=0.5)
    torch.testing.assert_close(half, whole / 2)
    assert torch.equal(generator.sample(5, seed=3, truncation=0.5), generator(half[:5]))
    assert generator.sample(50, truncation=0.1).std(0).mean() < generator.sample(50).std(0).mean() / 2
    for truncation in (0.0, 1.5):
        with pytest.raises(ConfigError, match="truncation"):
            generator.sample(1, truncation=truncation)


def test_where_z_decides_dropout_samples_differ_by_it_and_nothing_moves_z(tmp_path: Path):
    network = {"generator.network.dropout": 0.5, "generator.network.dropout_in_samples": True}
    latent = {"latent": {"size": 20, "distribution": "uniform", "low": 0.0, "high": 1.0}}
    settings = SETTINGS | network | latent
    run = saddle.train("mlp-tanh", data="digits", out=tmp_path / "run", settings=settings, progress=Silent())
    generator = run.generator
    latents = generator.latents(1, 0).repeat(2, 1)
    latents[1, -16:] = 1 - latents[1, -16:]
    first, second = generator(latents)
    assert not torch.equal(first, second) and torch.equal(first, generator.sample(1)[0])
    for ask in (lambda: generator.interpolate(1, 2, 3), lambda: generator.invert(torch.zeros(1, 1, 8, 8))):
        with pytest.raises(ConfigError, match="no smooth latent space: its dropout"):
            ask()
    with pytest.raises(ConfigError, match="truncation would drop another share"):
        generator.sample(1, truncation=0.5)
    assert run.report().is_file() and not run.folder.interpolation.exists()


def test_spherical_interpolation_keeps_the_radius_and_linear_does_not():
    start, end = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    share = torch.tensor([[0.0], [0.5], [1.0]])
    path = slerp(start, end, share)
    assert path.norm(dim=1).tolist() == pytest.approx([3.0, 3.0, 3.0])
    torch.testing.assert_close(path[1], torch.tensor([4.5**0.5, 4.5**0.5]))
    torch.testing.assert_close(slerp(start, start, share), start.expand(3, 2))
    assert slerp(start, -start, share).isfinite().all()


def test_npy_npz_folder_and_grid_agree(images: Path, tmp_path: Path):
    generator = saddle.load(images)
    for name in ("a.npy", "a.npz", "a.png", "a.jpg", "folder"):
        save_samples(generator, tmp_path / name, 20, seed=5)
    array = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert array.dtype == np.uint8
    assert array.shape == (20, 1, 8, 8)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert archive.files == ["images"]
        assert np.array_equal(archive["images"], array)
    files = sorted((tmp_path / "folder").iterdir())
    assert len(files) == 20
    assert np.array_equal(np.asarray(Image.open(files[7])), array[7, 0])
    with Image.open(tmp_path / "a.png") as grid, Image.open(tmp_path / "a.jpg") as lossy:
        assert grid.width > 5 * 48
        assert (lossy.format, lossy.size) == ("JPEG", grid.size)
        assert np.abs(np.asarray(lossy).astype(int) - np.asarray(grid)).mean() < 3


def test_points_are_float_arrays(points: Path, tmp_path: Path):
    generator = saddle.load(points)
    for name in ("p.npy", "p.npz", "p.png", "p.csv"):
        save_samples(generator, tmp_path / name, 300)
    array = np.load(tmp_path / "p.npy", allow_pickle=False)
    assert (array.dtype, array.shape) == (np.float32, (300, 2))
    with np.load(tmp_path / "p.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["points"], array)
    header, *rows = (tmp_path / "p.csv").read_text().splitlines()
    assert header == "x0,x1"
    assert np.array_equal(np.array([row.split(",") for row in rows], dtype=np.float32), array)
    assert np.array_equal(open_data(DataConfig(source=str(tmp_path / "p.csv"), held_out=0)).values, array)
    for name in ("p", "p.gif"):
        with pytest.raises(ConfigError):
            save_samples(generator, tmp_path / name, 3)
    with pytest.raises(ConfigError, match="points"):
        save_interpolation(generator, tmp_path / "x.png", 1, 2, 5)
    assert {path.name for path in tmp_path.iterdir()} == {"p.npy", "p.npz", "p.png", "p.csv"}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_count(images: Path, tmp_path: Path):
    """A million 8×8 samples are 64 MB as pixels and 256 MB as floats; the process may not notice."""
    script = (
        "import resource, sys, saddle\nfrom pathlib import Path\nfrom saddle.trained.export import save_samples\n"
        "generator = saddle.load(sys.argv[1])\nsave_samples(generator, Path(sys.argv[2]) / 'few.npy', 1_000)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "save_samples(generator, Path(sys.argv[2]) / 'many.npy', 1_000_000)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
    )
    command = [sys.executable, "-c", script, str(images), str(tmp_path)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # two would wait for each other on a busy machine
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=one_thread)
    assert np.load(tmp_path / "many.npy", mmap_mode="r").shape == (1_000_000, 1, 8, 8)
    assert float(done.stdout) < 60


def test_strip_and_animations(images: Path, tmp_path: Path):
    generator = saddle.load(images)
    save_interpolation(generator, tmp_path / "strip.png", 1, 2, 6)
    save_interpolation(generator, tmp_path / "walk.gif", 1, 2, 6, space="linear")
    with Image.open(tmp_path / "strip.png") as strip:
        assert strip.width > 5 * strip.height
    with Image.open(tmp_path / "walk.gif") as walk:
        assert walk.n_frames == 10


@pytest.mark.parametrize(
    ("out", "count", "words"),
    [
        ("x.npy", 0, "at least 1"),
        ("x.png", 5000, "at most 4,096 in a .png"),
        ("x.bmp", 5, r"images cannot be written in this form\n.*\.jpeg, \.npy, \.npz or a folder\n.*got: \.bmp"),
        ("x.csv", 5, "images cannot be written in this form"),
        ("missing/x.npy", 5, "no folder"),
    ],
)
def test_outputs_that_make_no_sense(images: Path, tmp_path: Path, out: str, count: int, words: str):
    with pytest.raises(SaddleError, match=words):
        save_samples(saddle.load(images), tmp_path / out, count)
    assert not list(tmp_path.iterdir())


def test_a_full_folder_is_not_mixed(images: Path, tmp_path: Path):
    (tmp_path / "other.txt").write_text("x")
    with pytest.raises(SaddleError, match="not empty"):
        save_samples(saddle.load(images), tmp_path, 3)


@pytest.mark.parametrize("steps", [0, 1])
def test_an_interpolation_needs_two_ends(images: Path, steps: int):
    with pytest.raises(ConfigError, match="at least 2"):
        saddle.load(images).interpolate(1, 2, steps)


def test_what_is_no_generator_is_refused(images: Path, tmp_path: Path):
    (tmp_path / "x.txt").write_text("hello")
    (tmp_path / "x.safetensors").write_text("hello")
    checkpoint = next((images / "checkpoints").glob("*.safetensors"))
    for path in (tmp_path, tmp_path / "x.txt", tmp_path / "x.safetensors", tmp_path / "none", checkpoint):
        with pytest.raises(CheckpointError):
            saddle.load(path)


def test_the_generator_file_holds_no_code(images: Path):
    data = (images / "generator.safetensors").read_bytes()
    assert not zipfile.is_zipfile(images / "generator.safetensors")
    assert b"pickle" not in data
    assert isinstance(saddle.load(images), Generator)


def test_a_label_may_be_an_integer_of_numpy(tmp_path: Path):
    run = saddle.train("cgan", data="digits", out=tmp_path / "run", settings=SETTINGS, progress=Silent())
    expected = run.sample(2, label=3)
    assert torch.equal(run.sample(2, label=np.int64(3)), expected)
    assert torch.equal(run.sample(2, label=np.array([3])), expected)


def test_a_folder_of_pictures_is_whole_or_absent(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save = Image.Image.save

    def full(self: Image.Image, path: Path) -> None:
        if path.name == "000003.png":
            raise OSError(28, "No space left on device")
        save(self, path)

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(SaddleError, match="No space left"):
        save_samples(saddle.load(images), tmp_path / "folder", 5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("latents", "labels", "said"),
    [
        (torch.zeros(3, 1), None, "these are no latents of this generator"),
        (torch.zeros(2), None, "these are no latents of this generator"),
        (None, None, "needs labels"),
        (None, torch.zeros(2, dtype=torch.long), "do not fit"),
        (None, torch.zeros(3, 2), "do not fit"),
        (None, torch.tensor([0, 1, 99]), "no such class"),
        (None, torch.tensor([0, 1, -1]), "no such class"),
    ],
)
def test_latents_and_labels_that_do_not_fit(
    tmp_path: Path, latents: torch.Tensor | None, labels: torch.Tensor | None, said: str
):
    small = {"images": 64, "batch_size": 32, "generator.network.widths": [8], "discriminator.network.widths": [8]}
    run = saddle.train("cgan", data="digits", out=tmp_path / "run", settings=small, progress=Silent())
    generator = run.generator
    if latents is None:
        latents = generator.latents(3, 0)
    with pytest.raises(ConfigError, match=said):
        generator(latents, labels)
