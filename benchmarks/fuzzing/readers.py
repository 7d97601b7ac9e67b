"""What ``fuzz.py`` tries: each reader of files in saddle, with whole files for it to begin from."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fuzzing import data
from fuzzing.files import Files, all_of, files_in, write_files

RUN = "run"  # the run folder among the files


@dataclass(frozen=True)
class Reader:
    """One reader.

    Args:
        seeds: whole files; is given a folder for what takes long to make.
        read: reads files that lie in a folder; returns, or raises a ``SaddleError``.
        wanted: which of the files are damaged.
        share: of the time, beside the others.
    """

    seeds: Callable[[Path], list[Files]]
    read: Callable[[Path], object]
    wanted: Callable[[str], bool] = lambda name: True
    share: float = 1.0


# --- what was trained -----------------------------------------------------------------------------------------------

TINY = {"generator.network.widths": [6], "discriminator.network.widths": [6], "latent.size": 3}
SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "latent.size": 3}
SCORED = {"evaluate.every": 64, "evaluate.count": 50, "log.every": 32, "samples.every": 64, "checkpoint.every": 64}
RUNS: dict[str, tuple[str, str | None, dict[str, Any]]] = {  # recipe, data, settings
    "digits": ("digits", None, TINY | SCORED),
    "points": ("ring8", None, TINY | {"batch_size": 64, "samples.count": 50}),
    "labels": ("dcgan-conditional", "digits", SMALL),
    "classifier": ("semi-supervised", "digits", TINY | {"generator.network.norm": "none"}),
}
LENGTH = 128


def train(name: str, out: Path, images: int = LENGTH) -> Any:
    import saddle
    from saddle.base.progress import Silent

    recipe, data, settings = RUNS[name]
    return saddle.train(
        recipe, data=data, out=out, images=images, threads=1, device="cpu", settings=settings, progress=Silent()
    )


def trained(work: Path, name: str) -> Path:
    """A short run, made once; everything in it that the clock decides is made the same each time."""
    from saddle.base.tensors import load_tensors, save_tensors

    out = work / "runs" / name
    if out.exists():
        return out
    run = train(name, out)
    if name == "digits":
        run.evaluate(metrics=["fd", "kd"], count=50, seeds=1)
    text = {"seconds": 1.0, "images_per_second": 1000.0}
    lines = [entry | text for entry in run.folder.read_log()]
    run.folder.log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    told = run.folder.read_environment() | {"started": "2025-01-01T00:00:00+00:00", "command": "saddle train digits"}
    run.folder.environment.write_text(json.dumps(told, indent=2), encoding="utf-8")
    if run.folder.evaluation.is_file():
        found = json.loads(run.folder.evaluation.read_text(encoding="utf-8"))
        for score in found["generator.safetensors"]["scores"]:
            score["seconds"] = 0.1
        run.folder.evaluation.write_text(json.dumps(found, indent=1), encoding="utf-8")
    for _, path in run.folder.all_checkpoints():
        tensors, header = load_tensors(path)
        header["record"]["seconds"] = 1.0
        save_tensors(path, tensors, header)
    return out


def generators(work: Path) -> list[Files]:
    names = ("digits", "points", "labels")
    return [{"x.safetensors": (trained(work, name) / "generator.safetensors").read_bytes()} for name in names]


def read_generator(folder: Path) -> None:
    import saddle

    generator = saddle.load(folder / "x.safetensors", device="cpu")
    generator.sample(3, seed=1)
    generator.interpolate(1, 2, 2)


def classifiers(work: Path) -> list[Files]:
    return [{"x.safetensors": (trained(work, "classifier") / "classifier.safetensors").read_bytes()}]


def read_classifier(folder: Path) -> None:
    from saddle.config.resolve import data_config
    from saddle.data import open_data
    from saddle.trained.classifier import class_counts, data_for, load_classifier, write_predictions

    classifier = load_classifier(folder / "x.safetensors", device="cpu")
    store = open_data(data_for(classifier, data_config("digits", {"data": {"first": 20}})))
    found = classifier.probabilities(store)
    class_counts(found)
    write_predictions(folder / "x.csv", found, classifier)


def checkpoints(work: Path) -> list[Files]:
    return [files_in(trained(work, name), inside=f"{name}/") for name in RUNS]


def read_checkpoint(folder: Path) -> None:
    """Read it alone, and resume the run."""
    from saddle.base.tensors import load_tensors

    (out,) = folder.iterdir()
    looks = [partial(load_tensors, path) for path in (out / "checkpoints").iterdir()]
    all_of(*looks, lambda: train(out.name, out, 2 * LENGTH))


def runs(work: Path) -> list[Files]:
    return [files_in(trained(work, "digits"), inside=f"{RUN}/")]


def read_run(folder: Path) -> None:
    """As the commands do that look at runs, and as a training begins that resumes one."""
    from saddle.cli.info import info
    from saddle.cli.listing import list_runs
    from saddle.pages.comparison import compare
    from saddle.runs.folder import RunFolder

    run = folder / RUN
    other = folder / "other"
    files = {name: content for name, content in files_in(run).items() if name in ("config.toml", "log.jsonl")}
    write_files(other, files)
    with redirect_stdout(io.StringIO()):
        all_of(lambda: list_runs(folder), lambda: info(run), lambda: print(compare([run, other])))
    RunFolder(run).check()
    RunFolder(run).rewind(100, lambda _: None)


def read_pages(folder: Path) -> None:
    """The report, and the page of a comparison."""
    import saddle

    run = folder / RUN
    write_files(folder / "other", files_in(run))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        all_of(lambda: saddle.report(run), lambda: saddle.compare(run, folder / "other", out=folder / "compare.html"))


def feature_files(work: Path) -> list[Files]:
    with tempfile.TemporaryDirectory(dir=work) as folder:
        os.environ["SADDLE_CACHE"] = str(Path(folder) / "cache")
        read_features(Path(folder))
        return [files_in(Path(folder))]


def read_features(folder: Path) -> None:
    """Features of real samples that are cached in ``folder/cache``."""
    from saddle.config.schema import DataConfig
    from saddle.data import open_data
    from saddle.features.extractors import find_extractor
    from saddle.scoring.sides import RealData

    store = open_data(DataConfig(source="digits", first=30))
    for extractor in ("digits-cnn-v1", "pixels"):
        real = RealData(store, None, None, find_extractor(extractor, store))
        moments, axes = real.train_moments
        assert len(moments.mean) == len(axes.variances) and len(real.train.rows(slice(5)).features) == 5


# --- settings -------------------------------------------------------------------------------------------------------


def recipes(_: Path) -> list[Files]:
    from importlib import resources

    folder = resources.files("saddle.config") / "recipes"
    return [{"x.toml": entry.read_bytes()} for entry in folder.iterdir() if entry.name.endswith(".toml")]


def read_recipe(folder: Path) -> None:
    from saddle.config import load_recipe, resolve, to_toml
    from saddle.config.resolve import own_settings

    recipe = load_recipe(str(folder / "x.toml"))
    to_toml(resolve(recipe))
    own_settings(recipe)


SETTINGS = (
    *("images=1000", "epochs=2.5", "latent.size=3", "data.size=[64,96]", "data.columns=[x,y]", "seed=1"),
    *("generator.optimizer.learning_rate={value=2e-3,to=0.0,start='50%',end='100%'}", "game.loss=hinge"),
    *("generator.network.family=dcgan", "generator.network={family='mlp',widths=[3,4]}", "threads=auto"),
    *("game.r1={kind='exponential',value=0.1,divisor=1.000004,every=100,minimum=1e-6}", "conditional=false"),
)
POINTS = ("ring(8, std=0.02)", "mixture((0, 0), (3, 3), std=1)", "uniform(-1,1,2)", "grid(25)", "gaussian(4, 1.25)")


def read_settings(folder: Path) -> None:
    from saddle.config import load_recipe, parse_settings, resolve, to_toml

    lines = (folder / "x.txt").read_bytes().decode("utf-8", "surrogateescape").split("\n")
    to_toml(resolve(load_recipe("digits"), parse_settings(lines)))


def read_points(folder: Path) -> None:
    from saddle.data.named.points import is_points

    source = (folder / "x.txt").read_bytes().decode("utf-8", "surrogateescape")
    if is_points(source):  # otherwise it names a file
        data.look_at(source)


def texts(*contents: str) -> list[Files]:
    return [{"x.txt": content.encode()} for content in contents]


def ends(*suffixes: str) -> Callable[[str], bool]:
    return lambda name: name.endswith(suffixes)


TEXTS = ("config.toml", "environment.json", "log.jsonl", "scores.jsonl", "evaluation.json")
READERS: dict[str, Reader] = {
    "folder": Reader(data.image_folders, data.read_folder, lambda name: name.startswith("a/"), 2),
    "zip": Reader(data.image_zips, partial(data.read, name="x.zip", size=8)),
    "npy": Reader(data.npy_files, partial(data.read, name="x.npy")),
    "npz": Reader(data.npz_files, partial(data.read, name="x.npz")),
    "csv": Reader(data.tables, partial(data.read, name="x.csv")),
    "idx": Reader(data.idx_files, data.read),
    "cifar10": Reader(data.archives, data.read_archive),
    "cache": Reader(data.entries, partial(data.read, name="x.zip"), lambda name: name.startswith("cache/")),
    "features": Reader(feature_files, read_features),
    "generator": Reader(generators, read_generator, share=2),
    "classifier": Reader(classifiers, read_classifier),
    "checkpoint": Reader(checkpoints, read_checkpoint, lambda name: "/checkpoints/" in name, 2),
    "run": Reader(runs, read_run, ends(*TEXTS)),
    "pages": Reader(runs, read_pages, ends(*TEXTS, ".png", "generator.safetensors"), 3),
    "recipe": Reader(recipes, read_recipe),
    "settings": Reader(lambda _: texts(*SETTINGS, "\n".join(SETTINGS[1:6])), read_settings),
    "points": Reader(lambda _: texts(*POINTS), read_points),
}
