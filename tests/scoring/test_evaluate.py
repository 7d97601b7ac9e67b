from __future__ import annotations

import json
import re
import shutil
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import saddle
from saddle.base.files import write_text
from saddle.base.progress import Silent
from saddle.errors import ConfigError, MetricError, NotFinite, RunError
from saddle.metrics.frechet import Moments
from saddle.metrics.kernel import sums_within
from saddle.runs.folder import RunFolder
from saddle.runs.scores import read_evaluations, table
from saddle.scoring.evaluate import evaluate

TINY = {"images": 128, "threads": 1, "batch_size": 32, "generator.network.widths": [16]}


def train(out: Path, recipe: str = "digits", **settings: object) -> saddle.Run:
    return saddle.train(recipe, out=out, device="cpu", settings=TINY | settings, progress=Silent())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> saddle.Run:
    return train(tmp_path_factory.mktemp("runs") / "run")


def test_a_score_has_value_spread_floor_count_and_protocol(run: saddle.Run):
    found = evaluate(run.path, metrics=["fd", "recall"], count=300, seeds=2)
    fd = found["fd"]
    assert fd.protocol == "fd-digits-cnn-v1-300"
    assert (fd.count, fd.seeds, fd.better) == (300, 2, "lower")
    assert fd.floor_of == "297 held-out samples"
    assert fd.floor is not None and 0 < fd.floor < fd.value  # an untrained generator is worse than real digits
    assert fd.spread is not None and 0 < fd.spread < fd.value
    assert found["recall"].floor is not None and found["recall"].floor > 0.5
    assert read_evaluations(run.folder)["generator.safetensors"] == found
    assert ("fd", "fd-digits-cnn-v1-300") in {(row[0], row[5]) for row in table(found)}


def test_equal_seeds_give_equal_scores(run: saddle.Run):
    first, again = (evaluate(run.path, metrics=["fd"], count=200, seeds=1)["fd"] for _ in range(2))
    assert (first.value, first.spread) == (again.value, None)


def test_scores_by_other_protocols_stay_until_the_generator_changes(tmp_path: Path):
    run = train(tmp_path / "run")
    evaluate(run.path, metrics=["fd"], count=200, seeds=1)
    evaluate(run.path, metrics=["fd"], count=300, seeds=1)
    evaluate(run.path, metrics=["is"], count=300, seeds=1)
    protocols = [score.protocol for score in read_evaluations(run.folder)["generator.safetensors"].scores]
    assert protocols == ["fd-digits-cnn-v1-200", "fd-digits-cnn-v1-300", "is-digits-cnn-v1-300"]
    train(tmp_path / "run", images=160)
    evaluate(run.path, metrics=["is"], count=300, seeds=1)
    (score,) = read_evaluations(run.folder)["generator.safetensors"].scores
    assert score.metric == "is"


def test_all_measures_that_fit_are_computed(run: saddle.Run):
    found = {score.metric for score in evaluate(run.path, count=250, seeds=1).scores}
    assert found == {
        "fd", "kd", "kd_error", "precision", "recall", "density", "coverage", "is", "classes", "class_gap", "copies",
    }  # fmt: skip


def test_classes_of_other_data_than_ones_own_are_not_counted(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (300, 3, 8, 8), dtype=np.uint8)
    trained = saddle.train("mlp-tanh", data=images, images=128, out=tmp_path / "run", settings={"precision": "float32"})
    found = evaluate(trained.path, data=images, count=100, seeds=1)
    assert found["fd"].protocol == "fd-cifar10-cnn-v1-100"
    assert not {score.metric for score in found.scores} & {"is", "classes", "class_gap", "agreement"}


def test_parzen_windows_are_chosen_on_images_left_out(tmp_path: Path):
    run = train(tmp_path / "run", **{"data.first": 1200})
    found = evaluate(run.path, metrics=["parzen", "parzen_validation"], count=250, seeds=1)
    assert found["parzen"].floor > found["parzen"].value
    assert found["parzen_error"].better is None and 0 < found["parzen_error"].value < found["parzen"].floor
    # Real training images explain images left out about as well as the test images: none of them is among them.
    assert found["parzen_validation"].floor == pytest.approx(found["parzen"].floor, abs=25)


def test_conditional_samples_are_asked_for_as_often_as_classes_occur(tmp_path: Path):
    run = train(tmp_path / "run", "cgan", **{"data.source": "digits"})
    found = evaluate(run.path, metrics=["agreement", "1nn"], count=250, seeds=1)
    assert found["agreement"].floor == pytest.approx(0.983, abs=0.01)  # the extractor's accuracy, on 250 of 297
    assert found["1nn"].floor_of == "250 training samples"
    assert 0 < found["1nn"].floor < 50 < found["1nn"].value  # per cent


def test_points(tmp_path: Path):
    line = train(tmp_path / "line", "gaussian")
    found = evaluate(line.path, seeds=1, count=5000)
    assert {score.metric for score in found.scores} == {"ks", "w1"}
    assert found["ks"].floor_of == "5,000 true draws"
    assert found["ks"].floor < 0.03 < found["ks"].value
    ring = train(tmp_path / "ring", "ring8")
    found = evaluate(ring.path, metrics=["modes", "sw"], seeds=1, count=500)
    assert {"modes", "high_quality", "reverse_kl", "mode_spread", "sw"} == {score.metric for score in found.scores}
    assert found["modes"].floor == 8
    assert found["high_quality"].floor == pytest.approx(98.9, abs=1.5)


def test_a_semi_supervised_run_is_scored_by_its_errors(tmp_path: Path):
    settings = {"discriminator.network.widths": [16], "data.source": "digits"}
    run = train(tmp_path / "run", "semi-supervised", **settings)
    score = evaluate(run.path, metrics=["errors"])["errors"]
    assert (score.count, score.protocol) == (297, "errors-of-297")
    assert 0 < score.value < 297
    assert "errors" in {score.metric for score in evaluate(run.path, count=100, seeds=1).scores}


def test_what_was_scored_before_is_not_scored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = train(tmp_path / "run")
    first = evaluate(run.path, metrics=["fd"], count=200, seeds=1)["fd"]
    evaluate(run.path, metrics=["fd"], count=200, seeds=2)  # other seeds take its place
    evaluate(run.path, metrics=["fd"], count=200, seeds=1, extractor="pixels")  # another protocol does not
    again = evaluate(run.path, metrics=["fd"], count=200, seeds=1, rescore=False)["fd"]
    assert again.value == first.value
    monkeypatch.setattr("saddle.scoring.evaluate._draw", lambda *_: pytest.fail("drawn again"))
    assert evaluate(run.path, metrics=["fd"], count=200, seeds=1, rescore=False)["fd"] == again
    with pytest.raises(pytest.fail.Exception, match="drawn again"):
        evaluate(run.path, metrics=["fd"], count=200, seeds=1)


def test_scores_against_other_data_stand_apart(run: saddle.Run, tmp_path: Path):
    np.save(tmp_path / "own.npy", np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8))
    own = evaluate(run.path, metrics=["fd"], count=200, seeds=1, extractor="digits-cnn-v1")["fd"]
    other = evaluate(
        run.path, metrics=["fd"], count=200, seeds=1, extractor="digits-cnn-v1", data=str(tmp_path / "own.npy")
    )["fd"]
    assert own.protocol == other.protocol and own.data != other.data
    assert other.floor_of == "50 held-out samples" and "(250)" in other.data
    kept = read_evaluations(run.folder)["generator.safetensors"].scores
    assert own in kept and other in kept


def test_classes_that_do_not_match(tmp_path: Path):
    run = train(tmp_path / "run", "cgan", **{"data.source": "digits"})
    np.save(tmp_path / "own.npy", np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8))
    with pytest.raises(MetricError, match="does not have the classes"):
        evaluate(run.path, data=str(tmp_path / "own.npy"))


def test_a_small_held_out_part_gives_what_it_can(tmp_path: Path):
    for split, count in (("train", 120), ("test", 3)):
        folder = tmp_path / "faces" / split
        folder.mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    run = train(tmp_path / "run", **{"data.source": str(tmp_path / "faces")})
    found = evaluate(run.path, count=100, seeds=1)
    assert found["precision"].floor is None
    assert any("no floor of precision" in note for note in found.notes)
    assert "copies" not in {score.metric for score in found.scores}
    with pytest.raises(MetricError, match="at least 200 held-out images"):
        evaluate(run.path, metrics=["copies"])


def test_labels_that_only_the_training_images_have(tmp_path: Path):
    digits = np.random.default_rng(0).integers(0, 256, (240, 8, 8), dtype=np.uint8)
    for number, pixels in enumerate(digits):
        place = tmp_path / "own" / (f"train/{number % 10}" if number < 200 else "test")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    run = train(tmp_path / "run", "cgan", **{"data.source": str(tmp_path / "own")})
    found = evaluate(run.path, metrics=["agreement", "fd"], count=40, seeds=1, extractor="digits-cnn-v1")
    assert found["agreement"].floor is None and 0 <= found["agreement"].value <= 1
    assert found["fd"].floor is not None


def test_copies_are_looked_for_among_the_first_two_thousand(run: saddle.Run):
    some, many = (evaluate(run.path, metrics=["copies"], count=count, seeds=1)["copies"] for count in (300, 2500))
    assert (some.count, some.protocol) == (300, "copies-pixels-300")
    assert (many.count, many.protocol) == (2000, "copies-pixels-2k")
    assert some.floor_of == "148 held-out samples"


def test_what_few_samples_are_not_enough_for_is_left_out_unless_asked_for(run: saddle.Run):
    found = evaluate(run.path, count=9, seeds=2)
    assert {"fd", "precision"} <= {score.metric for score in found.scores}
    assert "is" not in {score.metric for score in found.scores}
    assert any(note.startswith("without is: there are too few") for note in found.notes)
    evaluate(run.path, metrics=["is"], count=300, seeds=1)
    assert not any("without" in note for note in read_evaluations(run.folder)["generator.safetensors"].notes)


@pytest.mark.parametrize(("wrong", "said"), [({"labels": [0, 1]}, "labels go with data"), ({}, "this is not a run")])
def test_what_is_no_run_and_labels_of_nothing(run: saddle.Run, wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        evaluate(run if wrong else run.generator, **wrong)  # pyright: ignore[reportArgumentType]


def test_a_run_on_data_in_memory_is_scored_with_these(tmp_path: Path):
    points = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    generator, discriminator = nn.Linear(100, 2), nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    settings = {"images": 64, "threads": 1, "data.first": 400}
    run = saddle.train(
        "mlp-tanh", data=points, generator=generator, discriminator=discriminator, out=tmp_path / "run",
        settings=settings, progress=Silent(),
    )  # fmt: skip
    found = saddle.evaluate(run, data=points, metrics=["sw"], count=100, seeds=1)
    assert found["sw"].data.startswith("the Tensor given") and "(400)" in found["sw"].data  # as in training
    assert found["sw"].value > 0
    with pytest.raises(saddle.DataError) as error:
        saddle.evaluate(run, metrics=["sw"], count=100)
    assert error.value.what == "this run learned from data in memory, which its folder does not hold"
    assert error.value.remedy == "give the same data again, in Python: saddle.evaluate(run, data=...)"


def test_a_run_on_a_dataset_in_memory_is_told_both_ways_to_its_data(run: saddle.Run, tmp_path: Path):
    shutil.copytree(run.path, tmp_path / "run")
    config = RunFolder(tmp_path / "run").config
    config.write_text(config.read_text(encoding="utf-8").replace('"digits"', '"MyDataset"'), encoding="utf-8")
    with pytest.raises(saddle.DataError, match="no data set or path called MyDataset") as error:
        evaluate(tmp_path / "run")
    assert "if it learned from data in memory, give the same data again" in str(error.value.remedy)
    assert "if not, " in str(error.value.remedy)


def test_a_generator_of_ones_own_is_given_as_in_training(tmp_path: Path):
    points = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    generator, discriminator = nn.Linear(100, 2), nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    run = saddle.train(
        "mlp-tanh", data=points, generator=generator, discriminator=discriminator, out=tmp_path / "run",
        settings={"images": 64, "threads": 1}, progress=Silent(),
    )  # fmt: skip
    settings: dict[str, Any] = {"data": points, "metrics": ["sw"], "count": 100, "seeds": 1}
    by_run = evaluate(run, **settings)["sw"]
    assert evaluate(run.path, generator=nn.Linear(100, 2), **settings)["sw"].value == by_run.value


def test_arguments_are_named_as_in_training():
    named, trained = (signature(function).parameters for function in (saddle.evaluate, saddle.train))
    assert {"data", "labels", "generator", "device", "progress"} <= named.keys() & trained.keys()
    assert named["device"].default == trained["device"].default == "auto"


def test_moments_of_real_pixels_are_computed_once(run: saddle.Run, monkeypatch: pytest.MonkeyPatch):
    wanted = {"metrics": ["fd"], "count": 200, "seeds": 1, "extractor": "pixels"}
    first = evaluate(run.path, **wanted)["fd"]
    of = Moments.of
    counts: list[int] = []
    monkeypatch.setattr(Moments, "of", lambda features: counts.append(len(features)) or of(features))
    again = evaluate(run.path, **wanted)["fd"]
    assert (again.value, again.floor) == (first.value, first.floor)
    assert counts == [200, 200]  # the samples and those of the floor; the 1,500 of the training are in the cache


def test_real_samples_are_compared_with_each_other_once(run: saddle.Run, monkeypatch: pytest.MonkeyPatch):
    counts: list[int] = []

    def counting(points: torch.Tensor, **options: Any) -> Any:
        counts.append(len(points))
        return sums_within(points, **options)

    monkeypatch.setattr("saddle.scoring.sides.sums_within", counting)
    evaluate(run.path, metrics=["kd"], count=200, seeds=3)
    assert counts == [1500]


def test_nothing_held_out_is_told_with_what_to_do(tmp_path: Path):
    np.save(tmp_path / "own.npy", np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8))
    run = train(tmp_path / "run", **{"data.source": str(tmp_path / "own.npy"), "data.held_out": 0})
    found = evaluate(run.path, metrics=["kd"], count=100, seeds=1)
    assert found["kd"].floor is None and found["kd"].note == "no floor"
    (note,) = found.notes
    assert note.startswith("no floor of held-out samples: nothing is held out") and "data.held_out=" in note


def test_the_printed_table_says_how_to_read_its_floors(run: saddle.Run):
    few = evaluate(run.path, metrics=["fd", "recall", "kd", "copies"], count=400, seeds=1)
    notes = {row[0]: row[-1] for row in table(few)[1:]}
    assert notes == {
        "fd": "lower is better; floor of too few samples",
        **dict.fromkeys(("recall", "precision"), "higher is better; floor of too few samples"),
        "kd": "0 is best",
        "kd_error": "",
        "copies": "lower is better",
    }  # fmt: skip
    (footnote,) = few.footnotes
    assert "too few to compare with 400; --count 297 scores as many" in footnote
    assert {"fd", "recall", "precision"} == set(footnote.partition(" is of ")[0][len("The floor of ") :].split(", "))
    printed = str(few).splitlines()
    assert len(printed) == len(few.scores) + 2 and printed[0].startswith("metric") and printed[-1] == footnote

    equal = evaluate(run.path, metrics=["fd", "recall"], count=297, seeds=1)
    notes = {row[0]: row[-1] for row in table(equal)[1:]}
    assert notes == {"fd": "", "recall": "higher is better", "precision": "higher is better"}
    assert equal.footnotes == []


def test_rows_for_a_data_frame(run: saddle.Run):
    found = evaluate(run.path, metrics=["fd"], count=297, seeds=2)
    (row,) = found.rows()
    assert row["metric"] == "fd" and row["value"] == found["fd"].value and row["seeds"] == 2
    assert row["times_floor"] == found["fd"].times_floor


def test_the_floor_is_only_divided_by_where_counts_are_equal(run: saddle.Run):
    fewer, equal = (evaluate(run.path, metrics=["fd"], count=count, seeds=1)["fd"] for count in (300, 297))
    assert fewer.times_floor is None
    assert equal.times_floor == pytest.approx(equal.value / equal.floor)


def test_a_module_as_extractor(run: saddle.Run):
    network = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())
    found = evaluate(run.path, metrics=["fd"], count=200, seeds=1, extractor=network)
    assert re.fullmatch(r"fd-sequential-[0-9a-f]{8}-200", found["fd"].protocol)


def test_warnings_of_an_extractor_reach_its_owner(run: saddle.Run):
    class Grumbling(torch.nn.Flatten):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            warnings.warn("old weights", UserWarning, stacklevel=1)
            return super().forward(images)

    with pytest.warns(UserWarning, match="old weights"):
        found = evaluate(run.path, metrics=["fd"], count=200, seeds=1, extractor=Grumbling())
    assert not any("old weights" in note for note in found.notes)


def test_too_few_samples_are_told_with_the_rank(run: saddle.Run):
    found = evaluate(run.path, metrics=["fd"], count=20, seeds=1)
    assert found.notes == tuple(note for note in found.notes if "span at most 19 of 48 dimensions" in note) != ()


def test_a_generator_file_in_and_outside_a_run(run: saddle.Run, tmp_path: Path):
    inside = evaluate(run.folder.generator, metrics=["fd"], count=200, seeds=1)
    alone = tmp_path / "g.safetensors"
    alone.write_bytes(run.folder.generator.read_bytes())
    with pytest.raises(ConfigError, match="--data"):
        evaluate(alone)
    assert evaluate(alone, metrics=["fd"], count=200, seeds=1, data="digits")["fd"].value == inside["fd"].value


def test_bad_wishes(run: saddle.Run):
    with pytest.raises(MetricError, match="did you mean 'recall'"):
        evaluate(run.path, metrics=["recal"])
    with pytest.raises(MetricError, match="does not fit digits"):
        evaluate(run.path, metrics=["agreement"])  # no classes to ask for
    with pytest.raises(MetricError, match="semi-supervised"):
        evaluate(run.path, metrics=["errors"])
    with pytest.raises(ConfigError, match="at least 1 seed"):
        evaluate(run.path, seeds=0)
    with pytest.raises(MetricError, match="there is no extractor"):
        evaluate(run.path, extractor="vgg")
    with pytest.raises(MetricError, match="too few"):
        evaluate(run.path, metrics=["precision"], count=2)


def test_a_damaged_evaluation_file(tmp_path: Path):
    folder = RunFolder(tmp_path)
    for text in ("{", "[]", json.dumps({"generator.safetensors": {"scores": 3}})):
        write_text(folder.evaluation, text)
        said: list[str] = []
        assert read_evaluations(folder, said.append) == {}
        assert len(said) == 1 and "evaluation.json is damaged" in said[0]


def test_damaged_scores_are_put_aside_and_taken_anew(tmp_path: Path):
    run = train(tmp_path / "run")
    write_text(run.folder.evaluation, "{")
    said: list[str] = []

    class Listener(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    found = evaluate(run, metrics=["fd"], count=200, seeds=1, progress=Listener())
    assert read_evaluations(run.folder)["generator.safetensors"] == found
    assert (run.path / "evaluation.damaged").read_text() == "{"
    assert any("evaluation.json is damaged" in text for text in said)
    assert any("put aside as evaluation.damaged" in text for text in said)


def test_where_scores_cannot_be_kept_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = train(tmp_path / "run")
    monkeypatch.setattr("saddle.scoring.evaluate.RealData.prepare", lambda _: pytest.fail("work was done"))
    for blocked in (run.folder.evaluation, run.folder.evaluation_lock):
        blocked.mkdir()
        with pytest.raises(RunError, match="scores cannot be kept"):
            evaluate(run, metrics=["fd"], count=200)
        blocked.rmdir()


def test_samples_that_are_not_finite(tmp_path: Path):
    run = train(tmp_path / "run", "ring8")
    generator = run.generator
    with torch.no_grad():
        next(generator.network.parameters()).fill_(float("nan"))
    generator.save(run.folder.generator)
    with pytest.raises(NotFinite, match="NaN or infinite"):
        evaluate(run.path, count=100)
    assert not run.folder.evaluation.exists()


def test_features_that_are_not_finite(run: saddle.Run):
    class Broken(nn.Flatten):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images).log()  # minus infinity where an image is black

    with pytest.raises(MetricError, match="the features hold NaN or infinity"):
        evaluate(run.path, metrics=["fd"], count=100, extractor=Broken())


def test_other_data_of_another_shape(run: saddle.Run, tmp_path: Path):
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32))
    with pytest.raises(saddle.DataError):
        evaluate(run.path, data=str(tmp_path / "points.npy"))
