"""Labels, walks, arithmetic, inversion and neighbours, on generators with random weights: none needs training."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from saddle.config.networks import CustomNetworkConfig, GeneratorMLPConfig, LatentConfig
from saddle.config.schema import GeneratorConfig
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError, ConfigError, DataError, DeviceError, SaddleError
from saddle.networks.families import build_generator
from saddle.trained.explore import save_arithmetic, save_interpolation, save_inversion, save_neighbours, save_walk
from saddle.trained.export import save_samples
from saddle.trained.files import GeneratorHeader
from saddle.trained.generator import Generator, load
from saddle.trained.labels import parse_classes
from saddle.trained.nearest import check_for_copies, data_of, nearest, nearest_distinct, read_images
from saddle.trained.walks import Term, along, parse_place, parse_places, parse_terms

NORMAL = LatentConfig(size=6)
BOX = LatentConfig(size=6, distribution="uniform", low=-1.0, high=2.0)
SMALL = GeneratorMLPConfig(widths=(32,))
CODED = LatentConfig(size=6, codes=4)
ANIMALS = ("bird", "cat", "dog")


def make(
    latent: LatentConfig = NORMAL,
    *,
    shape: tuple[int, ...] = (1, 8, 8),
    classes: tuple[str, ...] = (),
    network: GeneratorMLPConfig = SMALL,
    condition: str = "concatenate",
) -> Generator:
    torch.manual_seed(0)
    config = GeneratorConfig.model_validate({"network": network, "condition": condition})
    module = build_generator(config, latent, shape, len(classes))
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)  # PyTorch's own weights make nearly the same sample of each z
    images = len(shape) == 3
    scaling = Scaling(
        torch.tensor([2 / 255 if images else 0.5]), torch.tensor([-1.0 if images else 0.0]), images=images
    )
    header = GeneratorHeader(
        recipe="made",
        images_seen=0,
        kind="images" if images else "points",
        shape=shape,
        class_names=classes,
        data="none",
        latent=latent,
        network=network,
        condition=config.condition,
    )
    return Generator(module, scaling, header, torch.device("cpu"))


def custom(module: nn.Module, classes: tuple[str, ...] = ()) -> Generator:
    made = make(classes=classes)
    header = made.header.model_copy(update={"network": CustomNetworkConfig(name="Own", parameters=1)})
    return Generator(
        module, Scaling(torch.tensor([2 / 255]), torch.tensor([-1.0]), images=True), header, torch.device("cpu")
    )


# Labels


def test_a_class_is_given_by_name_or_index_and_several_take_turns():
    generator = make(classes=ANIMALS)
    pieces = {name: generator.sample(6, label=name) for name in ANIMALS}
    assert torch.equal(generator.sample(6, label=1), pieces["cat"])
    assert torch.equal(generator.sample(6, label="1"), pieces["cat"])
    mixed = generator.sample(6, label=["dog", 0])
    for number in range(6):
        torch.testing.assert_close(mixed[number], pieces[("dog", "bird")[number % 2]][number])
    labels = torch.cat([labels for _, labels in generator.stream(7) if labels is not None])
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert parse_classes("balanced", generator.class_names) == [0, 1, 2]
    assert parse_classes("dog, 0,cat", generator.class_names) == [2, 0, 1]


def test_names_win_over_indices():
    generator = make(classes=("1", "0"))
    assert (generator.label("1"), generator.label(1)) == (0, 1)


@pytest.mark.parametrize(("label", "words"), [("cta", "'cat'"), ("3", "below 3"), ("²", "no class"), (-1, "no class")])
def test_unknown_classes(label: str | int, words: str):
    with pytest.raises(ConfigError, match=words):
        make(classes=ANIMALS).sample(1, label=label)


def test_an_unconditional_generator_takes_no_label():
    generator = make()
    for ask in (
        lambda: generator.sample(1, label="cat"),
        lambda: parse_classes("balanced", generator.class_names),
        generator.class_grid,
        lambda: generator.interpolate(1, 2, 3, label="cat"),
        lambda: generator.interpolate(1, None, 3, last_label="cat"),
        lambda: generator.invert(torch.rand(1, 1, 8, 8), label="cat", steps=1),
    ):
        with pytest.raises(ConfigError, match="takes no labels"):
            ask()


def test_rows_of_a_class_grid_are_classes_and_columns_share_their_latent(tmp_path: Path):
    generator = make(classes=ANIMALS)
    grid = generator.class_grid(4, seed=5)
    assert grid.shape == (3, 4, 1, 8, 8)
    for row, name in enumerate(ANIMALS):
        torch.testing.assert_close(grid[row], generator.sample(4, seed=5, label=name))
    save_samples(generator, tmp_path / "grid.png", 10, seed=5)
    with Image.open(tmp_path / "grid.png") as picture:
        cells = np.asarray(picture)[:, -202:]
    assert picture.height == 3 * 50 + 2
    for row, column in ((0, 0), (0, 3), (1, 2), (2, 2)):
        cell = cells[2 + 50 * row :, 2 + 50 * column :][:48, :48]
        expected = (grid[row, column, 0] * 255 + 0.5).byte().repeat_interleave(6, 0).repeat_interleave(6, 1)
        assert np.array_equal(cell, expected.numpy())
    assert (cells[50:, 150:] == 255).all()  # ten samples of three classes: the last column has one


@pytest.mark.parametrize(("count", "label"), [(2, None), (3, None), (7, None), (9, ["dog", "cat"]), (1, ["dog", 0])])
def test_a_class_grid_holds_as_many_samples_as_were_asked_for(
    tmp_path: Path, count: int, label: list[str | int] | None
):
    save_samples(make(classes=ANIMALS), tmp_path / "grid.png", count, label=label)
    classes = min(count, 3 if label is None else len(label))
    columns = math.ceil(count / classes)
    with Image.open(tmp_path / "grid.png") as picture:
        cells = np.asarray(picture)[2:, -50 * columns :].reshape(classes, 50, columns, 50)[:, :48, :, :48]
    assert (cells != 255).any(axis=(1, 3)).sum() == count


@pytest.mark.parametrize("condition", ["concatenate", "embedding"])
def test_interpolation_between_classes(condition: str):
    generator = make(classes=ANIMALS, condition=condition)
    way = generator.interpolate(4, None, 5, label="cat", last_label="dog")
    torch.testing.assert_close(way[0], generator.sample(1, seed=4, label="cat")[0])
    torch.testing.assert_close(way[-1], generator.sample(1, seed=4, label="dog")[0])
    steps = (way[1:] - way[:-1]).flatten(1).norm(dim=1)
    assert steps.max() < 0.5 * (way[-1] - way[0]).norm()
    both = generator.interpolate(4, 5, 5, label="cat", last_label="dog")
    torch.testing.assert_close(both[-1], generator.sample(1, seed=5, label="dog")[0])
    from_first = generator.interpolate(4, None, 3, last_label="dog")
    torch.testing.assert_close(from_first[0], generator.sample(1, seed=4, label="bird")[0])


def test_a_module_of_the_users_own_takes_no_mixture():
    class Own(nn.Module):
        def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
            return latents[:, :1, None, None].expand(-1, 1, 8, 8) * labels[:, None, None, None]

    generator = custom(Own(), ANIMALS)
    assert generator.interpolate(1, 2, 3, label="dog").shape == (3, 1, 8, 8)
    with pytest.raises(ConfigError, match="cannot mix"):
        generator.interpolate(1, 2, 3, last_label="dog")


# The generator itself


def test_a_saved_generator_is_the_same_file_wherever_it_was_saved(tmp_path: Path):
    generator = make(classes=ANIMALS)
    generator.save(tmp_path / "one.safetensors")
    again = load(tmp_path / "one.safetensors")
    again.to("cpu").save(str(tmp_path / "two.safetensors"))
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    assert torch.equal(again.sample(4, label="dog"), generator.sample(4, label="dog"))
    with pytest.raises(ConfigError, match=r"name it g\.safetensors"):
        generator.save(tmp_path / "g.pt")
    with pytest.raises(CheckpointError, match="cannot be written"):
        generator.save(tmp_path / "nowhere" / "g.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"one.safetensors", "two.safetensors"}


def test_a_generator_moves_between_devices():
    generator = make()
    assert generator.device == torch.device("cpu")
    assert generator.to("auto") is generator
    assert next(generator.network.parameters()).device == generator.device
    assert generator.sample(2).device == torch.device("cpu")
    with pytest.raises(DeviceError, match="no device 'abacus'"):
        generator.to("abacus")


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_samples_as_pictures(channels: int, mode: str):
    generator = make(shape=(channels, 6, 5))
    pictures = generator.sample(3, seed=2, as_images=True)
    assert [(picture.mode, picture.size) for picture in pictures] == [(mode, (5, 6))] * 3
    pixels = np.stack([np.asarray(picture).reshape(6, 5, channels).transpose(2, 0, 1) for picture in pictures])
    assert np.abs(pixels / 255 - generator.sample(3, seed=2).numpy()).max() <= 0.5 / 255 + 1e-6
    with pytest.raises(ConfigError, match=r"points, not images\n  remedy: leave out as_images"):
        make(shape=(2,)).sample(3, as_images=True)


def test_a_module_of_ones_own_must_be_given_again(tmp_path: Path):
    module = nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (1, 8, 8)))
    own = custom(module)
    own.save(tmp_path / "own.safetensors")
    with pytest.raises(
        ConfigError, match=r"your own module.*\n  expected: .*Own with 1 parameters\n.*Python"
    ) as caught:
        load(tmp_path / "own.safetensors")
    assert f'saddle.load("{tmp_path}/own.safetensors", generator=YourModule())' in str(caught.value)
    again = nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (1, 8, 8)))
    loaded = load(tmp_path / "own.safetensors", generator=again)
    assert torch.equal(loaded.sample(2), own.sample(2))
    with pytest.raises(CheckpointError, match=r"do not fit the network\n  expected: the module that was trained: Own"):
        load(tmp_path / "own.safetensors", generator=nn.Linear(6, 63))
    make().save(tmp_path / "built.safetensors")
    with pytest.raises(ConfigError, match=r"leave out generator="):
        load(tmp_path / "built.safetensors", generator=again)


def test_a_table_of_points_has_their_classes(tmp_path: Path):
    generator = make(shape=(2,), classes=("a", "b,c"))
    save_samples(generator, tmp_path / "points.csv", 3, seed=4)
    with (tmp_path / "points.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["x0", "x1", "class"]
    assert [row[2] for row in rows] == ["a", "b,c", "a"]
    assert np.array_equal(np.array([row[:2] for row in rows], dtype=np.float32), generator.sample(3, seed=4).numpy())


# Places and ways


def test_places_and_terms_are_read():
    assert parse_place("7") == 7
    assert parse_places("1, 2,0:17") == [1, 2, (0, 17)]
    assert parse_terms("1,2 - 4:1 + 7") == [Term(1, [1, 2]), Term(-1, [(4, 1)]), Term(1, [7])]
    assert parse_terms("-1+2") == [Term(-1, [1]), Term(1, [2])]


@pytest.mark.parametrize("text", ["", "1,", "cat", "1:", "1:2:3", "1.5", "1 - - 2", "1 +", "-", "1 2"])
def test_what_names_no_latents(text: str):
    with pytest.raises(ConfigError, match="does not name a latent"):
        parse_terms(text)


def test_a_place_is_the_sample_of_that_number():
    generator = make()
    torch.testing.assert_close(generator(generator.latent((3, 17)))[0], generator.sample(18, seed=3)[17])
    assert torch.equal(generator.latent(3), generator.latent((3, 0)))
    way = generator.interpolate((3, 17), 4, 3)
    torch.testing.assert_close(way[0], generator.sample(18, seed=3)[17])


def test_the_way_stays_where_the_latents_have_their_mass():
    share = torch.linspace(0, 1, 9)[:, None]
    for latent, space in ((NORMAL, "spherical"), (BOX, "linear")):
        start, end = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(along(start, end, share, None, latent), along(start, end, share, space, latent))
    with pytest.raises(ConfigError, match="linear or spherical"):
        along(share, share, share, "curved", NORMAL)


def test_a_walk_passes_each_place_and_closes():
    generator = make()
    frames = list(generator.walk([1, (2, 5), 3], 4, count=3))
    assert len(frames) == 12
    assert frames[0].shape == (3, 1, 8, 8)
    torch.testing.assert_close(frames[0], generator.sample(3, seed=1))
    torch.testing.assert_close(frames[4], generator.sample(8, seed=2)[5:])
    torch.testing.assert_close(frames[8], generator.sample(3, seed=3))
    closing = torch.stack([*frames, frames[0]])
    steps = (closing[1:] - closing[:-1]).flatten(1).norm(dim=1)
    assert steps.max() < 3 * steps.mean()  # no jump, at the seam neither


def test_walkers_take_the_classes_in_turn():
    generator = make(classes=ANIMALS)
    frame = next(generator.walk([1, 2], 2, count=4))
    torch.testing.assert_close(frame, generator.sample(4, seed=1))
    frame = next(generator.walk([1, 2], 2, count=4, label="dog"))
    torch.testing.assert_close(frame, generator.sample(4, seed=1, label="dog"))


@pytest.mark.parametrize(("places", "steps", "count"), [([1], 3, 1), ([1, 2], 0, 1), ([1, 2], 3, 0)])
def test_walks_that_lead_nowhere(places: list[int], steps: int, count: int):
    with pytest.raises(ConfigError):
        next(make().walk(places, steps, count=count))


def test_the_mean_latent_is_the_mean():
    generator = make()
    mean = generator.mean_latent([1, (2, 3)])
    torch.testing.assert_close(mean, (generator.latents(1, 1) + generator.latents(4, 2)[3:]) / 2)


# Pictures


def test_pictures_have_their_cells(tmp_path: Path):
    generator = make(classes=ANIMALS)
    save_arithmetic(generator, tmp_path / "sum.png", parse_terms("1,2,3 - 4 + 5,6"), label="cat")
    with Image.open(tmp_path / "sum.png") as picture:
        assert picture.height == 4 * 66 + 2
        sum_ = np.asarray(picture)
    assert (sum_[2:50, -50:] == 255).all()  # the first row holds four samples, the last one nine
    assert (sum_[200:248, -50:-2] != 255).any()  # a sample near the result
    assert (sum_[2:64, : -9 * 50 - 2] < 200).any()  # the row's name
    save_interpolation(generator, tmp_path / "strip.png", 1, None, 6, label="cat", last_label="dog")
    with Image.open(tmp_path / "strip.png") as picture:
        assert (np.asarray(picture)[:, : -6 * 50 - 2] < 200).any()  # the names of the classes
    assert save_walk(generator, tmp_path / "walk.webp", [1, 2], 3, side=2) == 6
    with Image.open(tmp_path / "walk.webp") as walk:
        assert (walk.size, walk.n_frames) == ((102, 102), 6)
    samples = generator.sample(5, label="dog")
    found = save_inversion(generator, tmp_path / "inverted.png", samples, steps=300, label="dog")
    assert found.labels is not None
    with Image.open(tmp_path / "inverted.png") as picture:
        cells = np.asarray(picture)[:, -250:]
    assert np.abs(cells[2:50].astype(int) - cells[52:100]).mean() < 3
    assert np.abs(cells[2:50, :48].astype(int) - cells[52:100, 50:98]).mean() > 20


def test_a_video_has_the_frames_of_the_walk(tmp_path: Path):
    av = pytest.importorskip("av")
    save_walk(make(shape=(3, 9, 9)), tmp_path / "walk.mp4", [1, 2, 3], 4)  # a frame of 58 × 58, of 3 × 9 × 9 cells
    save_walk(make(shape=(1, 49, 51)), tmp_path / "odd.mp4", [1, 2], 2)
    with av.open(str(tmp_path / "walk.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert video.streams.video[0].average_rate == 10
    assert len(frames) == 12
    expected = save_walk(make(shape=(3, 9, 9)), tmp_path / "walk.gif", [1, 2, 3], 4)
    assert expected == 12
    with Image.open(tmp_path / "walk.gif") as walk:
        first = np.asarray(walk.convert("RGB")).astype(float)
    assert np.abs(frames[0].astype(float) - first).mean() < 20  # lossy both
    with av.open(str(tmp_path / "odd.mp4")) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (56, 54)


def test_a_video_without_av_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"saddle\[video\]"):
        save_walk(make(), tmp_path / "walk.mp4", [1, 2], 2)
    assert not list(tmp_path.iterdir())


def test_pictures_that_cannot_be(tmp_path: Path):
    images, points = make(), make(shape=(2,))
    with pytest.raises(ConfigError, match=r"\.gif, \.webp or \.mp4"):
        save_walk(images, tmp_path / "walk.png", [1, 2], 2)
    with pytest.raises(ConfigError, match=r"expected: \.png, \.webp, \.jpg or \.jpeg"):
        save_arithmetic(images, tmp_path / "sum.gif", parse_terms("1"))
    with pytest.raises(ConfigError, match="points"):
        save_walk(points, tmp_path / "walk.gif", [1, 2], 2)
    with pytest.raises(SaddleError, match="no folder"):
        save_walk(images, tmp_path / "none" / "walk.gif", [1, 2], 2)
    assert not list(tmp_path.iterdir())


# Inversion


@pytest.mark.parametrize(
    "generator",
    [
        make(NORMAL),
        make(BOX),
        make(BOX, network=GeneratorMLPConfig(widths=(32, 32), output="sigmoid", norm="batch")),
        make(shape=(3,), network=GeneratorMLPConfig(widths=(32,), output="linear")),
        make(classes=ANIMALS, condition="embedding"),
    ],
    ids=["normal", "uniform", "batch norm", "points", "conditional"],
)
def test_a_generators_own_samples_are_found(generator: Generator):
    samples = generator.sample(4, seed=9)
    chance = (generator.sample(4, seed=10) - samples).square().flatten(1).mean(1)
    found = generator.invert(samples, steps=300)
    assert (found.errors < chance / 100).all()
    made = generator(found.latents, found.labels)
    torch.testing.assert_close((made - samples).square().flatten(1).mean(1), found.errors)
    if generator.header.latent.distribution == "uniform":
        assert found.latents.min() >= -1
        assert found.latents.max() <= 2


def test_the_class_is_found_too():
    generator = make(classes=ANIMALS)
    samples = generator.sample(6, seed=9)
    found = generator.invert(samples, steps=300, restarts=6)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]
    held = generator.invert(samples[:1], steps=30, label="dog")
    assert held.labels is not None
    assert held.labels.tolist() == [2]


def test_inversion_leaves_the_generator_as_it_was_and_repeats():
    generator = make()
    before = {name: value.clone() for name, value in generator.network.state_dict().items()}
    samples = generator.sample(2)
    first, again = (generator.invert(samples, steps=20, seed=3) for _ in range(2))
    assert torch.equal(first.latents, again.latents)
    assert all(parameter.grad is None for parameter in generator.network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in generator.network.state_dict().items())


def test_what_cannot_be_inverted():
    with pytest.raises(DataError, match="shape"):
        make().invert(torch.rand(2, 1, 9, 9))
    for settings in ({"steps": 0}, {"restarts": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            make().invert(torch.rand(2, 1, 8, 8), **settings)


# Neighbours


@pytest.mark.parametrize("kind", ["images", "points"])
def test_nearest_is_what_a_plain_loop_finds(kind: str, monkeypatch: pytest.MonkeyPatch):
    chance = np.random.default_rng(0)
    if kind == "images":
        values = chance.integers(0, 256, (300, 3, 4, 5), dtype=np.uint8)
        queries = torch.from_numpy(chance.random((7, 3, 4, 5), dtype=np.float32))
        real = torch.from_numpy(values).double() / 255
    else:
        values = chance.normal(size=(300, 2)).astype(np.float32) + 1000  # far from the origin, where products round
        queries = torch.from_numpy(values[::50] + 0.01)
        real = torch.from_numpy(values).double()
    values.setflags(write=False)  # as memory maps are
    monkeypatch.setattr("saddle.metrics.nearest.rows_at_once", lambda width: 64)  # in several pieces
    distances = (queries.double().flatten(1)[:, None] - real.flatten(1)[None]).norm(dim=2)
    expected, order = distances.sort(1)
    found = nearest(queries, values, 5)
    torch.testing.assert_close(found.distances.double(), expected[:, :5], rtol=1e-5, atol=1e-6)
    assert torch.equal(found.indices, order[:, :5])


def test_a_copy_is_at_distance_zero():
    values = np.random.default_rng(0).integers(0, 256, (50, 1, 4, 4), dtype=np.uint8)
    found = nearest(torch.from_numpy(values[[7, 3]]) / 255, values, 1)
    assert found.distances.max() < 1e-5
    assert found.indices.tolist() == [[7], [3]]


def test_neighbours_that_are_not_there():
    values = np.zeros((5, 1, 4, 4), np.uint8)
    with pytest.raises(DataError, match="shape"):
        nearest(torch.zeros(1, 1, 4, 5), values, 1)
    for count in (0, 6):
        with pytest.raises(DataError, match="1 to 5"):
            nearest(torch.zeros(1, 1, 4, 4), values, count)


def test_equal_rows_are_one_neighbour_with_their_number():
    chance = np.random.default_rng(0)
    distinct = chance.integers(0, 256, (6, 1, 4, 4), dtype=np.uint8)
    copies = [1, 40, 2, 7, 1, 3]
    order = chance.permutation(np.repeat(np.arange(6), copies))
    values = distinct[order]
    queries = torch.from_numpy(chance.random((5, 1, 4, 4), dtype=np.float32))
    plain = nearest(queries, distinct, 6)
    found = nearest_distinct(queries, values, 3)
    torch.testing.assert_close(found.distances, plain.distances[:, :3])
    assert found.copies.tolist() == [[copies[one] for one in row[:3]] for row in plain.indices.tolist()]
    first = [int(np.flatnonzero(order == number)[0]) for number in range(6)]
    assert found.indices.tolist() == [[first[one] for one in row[:3]] for row in plain.indices.tolist()]
    assert nearest_distinct(queries, values, 20).copies.shape == (5, 6)  # more are not there
    assert nearest_distinct(queries, values, 6).copies.sum(1).tolist() == [54] * 5
    for count in (0, 55):
        with pytest.raises(DataError, match="1 to 54"):
            nearest_distinct(queries, values, count)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make().save(tmp_path / "g.safetensors")
    return tmp_path / "g.safetensors"


def test_samples_beside_the_data_and_held_out_data(file: Path, tmp_path: Path):
    found = check_for_copies(file, 3, neighbours=2, seed=1, source="digits")
    assert len(found.data) == 1500
    assert found.neighbours.indices.shape == (3, 2)
    assert found.held_out == pytest.approx(1.147, abs=0.001)  # of the 297 held-out digits
    save_neighbours(tmp_path / "nearest.png", found)
    with Image.open(tmp_path / "nearest.png") as picture:
        cells = np.asarray(picture)[:, -150:]
    real = found.data.values[found.neighbours.indices[0, 1].item()][0]
    assert np.array_equal(cells[2:50, -50:-2], real.repeat(6, 0).repeat(6, 1))
    three = found._replace(neighbours=found.neighbours._replace(copies=3 * found.neighbours.copies))
    save_neighbours(tmp_path / "three.png", three)
    with Image.open(tmp_path / "three.png") as picture:
        assert not np.array_equal(np.asarray(picture)[50:66, -50:-2], cells[50:66, -50:-2])  # 1.23 x3


def test_data_without_a_held_out_part(file: Path, tmp_path: Path):
    np.save(tmp_path / "own.npy", np.random.default_rng(0).integers(0, 256, (20, 12, 12), dtype=np.uint8))
    found = check_for_copies(file, 2, source=str(tmp_path / "own.npy"))
    assert found.data.shape == (1, 8, 8)  # brought to the generator's
    assert found.held_out is None


def test_a_generator_file_does_not_know_its_data(file: Path):
    with pytest.raises(ConfigError, match="--data"):
        data_of(file, make())


def test_images_are_read_from_files(file: Path, tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "7.png")
    Image.new("RGB", (40, 20), "red").save(tmp_path / "wide.png")
    images = read_images([str(tmp_path / "7.png"), str(tmp_path / "wide.png")], file, make())
    assert images.shape == (2, 1, 8, 8)
    assert np.array_equal((images[0, 0] * 255).round().byte().numpy(), pixels)
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "none.png"):
        with pytest.raises(DataError, match="cannot be read"):
            read_images([str(tmp_path / name)], file, make())
    with pytest.raises(ConfigError, match="points"):
        read_images(["x.png"], file, make(shape=(2,)))


# Codes


@pytest.mark.parametrize("classes", [(), ANIMALS])
def test_a_code_decides_a_sample_beside_z(classes: tuple[str, ...]):
    generator = make(CODED, classes=classes)
    z = generator.latents(1, 0)[:, :6].expand(4, -1)
    labels = torch.zeros(4, dtype=torch.int64) if classes else None
    samples = generator(torch.cat([z, torch.eye(4)], 1), labels)
    assert all((samples[0] - other).abs().max() > 0.05 for other in samples[1:])


def test_codes_with_virtual_norm():
    generator = make(CODED, network=GeneratorMLPConfig(widths=(32,), norm="virtual"))
    assert generator.sample(3).shape == (3, 1, 8, 8)


def test_a_truncated_latent_keeps_its_code():
    whole, half = (make(CODED).latents(20, 3, truncation=truncation) for truncation in (1.0, 0.5))
    assert torch.equal(half[:, 6:], whole[:, 6:])
    torch.testing.assert_close(half[:, :6], 0.5 * whole[:, :6])


def test_the_way_from_one_code_to_another_passes_their_mixtures():
    generator = make(CODED)
    first, last = generator.latent(1), generator.latent((1, 3))
    assert not torch.equal(first[:, 6:], last[:, 6:])
    way = along(first, last, torch.linspace(0, 1, 5)[:, None], None, CODED)
    torch.testing.assert_close(way[[0, -1]], torch.cat([first, last]))
    torch.testing.assert_close(way[2, 6:], (first + last)[0, 6:] / 2)
    torch.testing.assert_close(
        way[:, :6], along(first[:, :6], last[:, :6], torch.linspace(0, 1, 5)[:, None], None, NORMAL)
    )
    assert generator.interpolate(1, (1, 3), 5).shape == (5, 1, 8, 8)


@pytest.mark.parametrize("latent", [CODED, LatentConfig(size=3, distribution="uniform", codes=4)])
def test_an_inversion_finds_the_code(latent: LatentConfig):
    generator = make(latent)
    latents = generator.latents(5, 9)
    found = generator.invert(generator(latents), steps=150, restarts=4)
    codes = found.latents[:, latent.size :]
    assert (codes.max(1).values == 1).all() and torch.equal(codes.sum(1), torch.ones(5))
    assert (codes.argmax(1) == latents[:, latent.size :].argmax(1)).sum() >= 4
    assert found.errors.mean() < 0.01


def test_a_generator_with_codes_is_saved_and_loaded(tmp_path: Path):
    generator = make(CODED)
    generator.save(tmp_path / "coded.safetensors")
    assert torch.equal(load(tmp_path / "coded.safetensors").sample(9), generator.sample(9))
