"""The HTML report of a run folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saddle.errors import ConfigError
from saddle.pages.report import write_report
from saddle.runs.folder import RunFolder
from saddle.show.grid import save_picture


@pytest.fixture
def full(make, tmp_path: Path) -> RunFolder:
    run = make.start(tmp_path / "run", game={"r1": 2.5})
    make.samples(run, 70)
    make.log(run, 70)
    save_picture(Image.new("L", (31, 17)), run.data_preview)
    save_picture(Image.new("L", (97, 13)), run.interpolation)
    run.environment.write_text(
        json.dumps({"device": "cpu", "torch": "2.13.0", "git_commit": None, "command": "saddle train digits --seed 7"}),
        encoding="utf-8",
    )
    return run


def test_the_report_tells_the_facts(read_page, full: RunFolder) -> None:
    assert write_report(full) == full.report
    text = read_page(full.report).text
    for fact in ("digits", "70,000", "35 of 20", "1.23", "0.777", "0.61", "0.39", "41,234", "cpu", "2.13.0"):
        assert fact in text
    assert "saddle train digits --out" in text and "--set game.r1=2.5" in text  # what makes this run
    assert f"saddle sample {full.path} --count" in text
    assert re.search(r"game\.r1\s*0\.0\s*2\.5", text)  # differs from the default
    assert "batch_size = 64" in text and not re.search(r"batch_size\s*64", text)  # does not: only in the whole config


def test_the_report_needs_no_other_file(read_page, full: RunFolder) -> None:
    read_page(write_report(full)).check_alone()


def test_every_picture_opens_and_has_a_text(read_page, full: RunFolder) -> None:
    page = read_page(write_report(full))
    assert all(attributes["alt"] for tag, attributes in page.elements if tag == "img")
    sizes = [picture.size for picture in page.pictures()]
    assert {(31, 17), (97, 13)} <= set(sizes)
    with Image.open(full.sample_grids()[-1][1]) as latest:
        assert sizes.count(latest.size) == 1 + 1 + 6  # the latest, the animation, the moments


def test_the_animation_runs_from_the_first_samples_to_the_last_in_at_most_sixty_frames(full: RunFolder) -> None:
    write_report(full)
    with Image.open(full.animation) as film:
        assert 60 <= film.n_frames <= 68  # sixty, and the last one held
        lit: list[float] = []
        for frame in (0, film.n_frames - 1):
            film.seek(frame)
            inside = np.asarray(film.convert("L"))[2:82, 2:82]
            lit.append((inside > 128).sum() / 64)
    assert lit == pytest.approx([1, 70], abs=0.5)


def test_writing_twice_gives_the_same_bytes(full: RunFolder) -> None:
    first = write_report(full).read_bytes()
    assert write_report(full).read_bytes() == first


def test_a_run_that_has_just_started_has_a_report(make, read_page, tmp_path: Path) -> None:
    run = make.start(tmp_path / "run")
    page = read_page(write_report(run))
    assert "No samples yet" in page.text and "Nothing logged yet" in page.text
    assert not page.pictures() and not run.animation.exists()


def test_one_sample_picture_makes_no_animation(make, read_page, tmp_path: Path) -> None:
    run = make.start(tmp_path / "run")
    make.samples(run, 1)
    assert len(read_page(write_report(run)).pictures()) == 1
    assert not run.animation.exists()


def test_names_are_text_and_never_markup(make, read_page, tmp_path: Path) -> None:
    evil = "<b>&\"'$title"
    run = make.start(tmp_path / evil, data={"source": evil})
    run.environment.write_text(json.dumps({evil: evil, "device": evil, "command": evil}), encoding="utf-8")
    save_picture(Image.new("L", (9, 9)), run.data_preview)
    make.log(run, 3)
    page = read_page(write_report(run))
    assert "b" not in {tag for tag, _ in page.elements}
    assert page.text.count(evil) == 9
    assert f"Samples of {evil}." in {attributes["alt"] for tag, attributes in page.elements if tag == "img"}


def test_a_folder_without_a_run_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_report(RunFolder(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_run_whose_loss_diverged_has_a_report(make, read_page, tmp_path: Path) -> None:
    run = make.start(tmp_path / "run")
    figures = (
        "discriminator_loss",
        "generator_loss",
        "loss_real",
        "loss_fake",
        "d_real",
        "d_fake",
        "sample_mean",
        "r1",
    )
    for images, value in enumerate((1.0, 3e38, float("inf"), float("nan")), 1):
        run.append_log({"images": images, "epoch": 1.0, **dict.fromkeys(figures, value)})
    page = read_page(write_report(run))
    assert "nan" in page.text
    assert len(page.pictures()) == 4


def test_scores_are_shown_with_floor_and_protocol(make, read_page, full: RunFolder) -> None:
    before = len(read_page(write_report(full)).pictures())
    make.scores(full, fd=[3.0, 1.0, 2.0])
    perfect = make.score("precision", 0.75, None, title="precision", better="higher", floor=None, floor_of=None)
    make.evaluation(full, make.score("fd", 0.5, 0.02), perfect, notes=("too few samples",))
    page = read_page(write_report(full))
    assert len(page.pictures()) == before + 1
    assert "after 2,000 images" in page.text  # the best of the curve
    assert "generator.safetensors after 64,000 images" in page.text
    assert [
        "title of fd (fd)",
        "0.5 ± 0.02",
        "0.25 (2,000 held-out samples)",
        "2.0",
        "2,000 × 3",
        "fd-pixels-2k",
        "0.1",
        "",
    ] in (page.rows)
    assert ["precision", "0.75", "", "", "2,000 × 3", "precision-pixels-2k", "0.1", "no floor"] in page.rows
    assert "too few samples" in page.text
    assert "earlier state" not in page.text
    page.check_alone()


def test_scores_of_a_generator_that_has_changed_are_shown_as_such(make, read_page, tmp_path: Path) -> None:
    run = make.start(tmp_path / "run")
    make.evaluation(run, make.score())
    make.evaluation(run, make.score("kd"), name=run.best.name)
    run.generator.write_bytes(b"trained on")
    page = read_page(write_report(run))
    assert page.text.count("earlier state of generator.safetensors") == page.text.count("earlier state") == 1
    assert "title of fd (fd)" in page.text and "title of kd (kd)" in page.text
    run.best.unlink()
    assert "earlier state of best.safetensors" in read_page(write_report(run)).text


def test_the_curves_are_kept_as_a_picture_beside_the_report(make, read_page, full: RunFolder) -> None:
    write_report(full)
    with Image.open(full.curves) as picture:
        losses = picture.copy()
    make.scores(full, fd=[3.0, 1.0, 2.0])
    shown = read_page(write_report(full)).pictures()
    with Image.open(full.curves) as picture:
        assert picture.height > losses.height  # the scores are below
        assert np.array_equal(np.asarray(picture)[: losses.height], np.asarray(losses))
        curves = np.asarray(picture)
    for plot in shown[8:11]:  # after the samples: the losses, the outputs and the scores
        pixels = np.asarray(plot.convert("RGB"))
        places = [(0, 0), (0, pixels.shape[1]), (losses.height, 0)]
        parts = [curves[top:, left:][: pixels.shape[0], : pixels.shape[1]] for top, left in places]
        assert any(part.shape == pixels.shape and np.array_equal(part, pixels) for part in parts)


def test_a_run_without_a_log_has_no_curves(make, tmp_path: Path) -> None:
    run = make.start(tmp_path / "run")
    write_report(run)
    assert not run.curves.exists()


def test_what_real_samples_score_is_drawn_where_as_many_were_scored(make, read_page, full: RunFolder) -> None:
    make.scores(full, fd=[3.0, 1.0, 2.0])
    for count, real in ((10_000, 10_000), (5_000, 297)):
        score = make.score("fd", count=count, protocol=f"fd-pixels-{count}", floor_of=f"{real:,} held-out samples")
        make.evaluation(full, score)
        assert "what real samples score" not in read_page(write_report(full)).text
    without = full.curves.read_bytes()
    make.evaluation(full, make.score("fd", count=5_000, protocol="fd-pixels-5k", floor_of="5,000 held-out samples"))
    assert "The dashed line: what real samples score." in read_page(write_report(full)).text
    assert full.curves.read_bytes() != without


def test_rows_of_classes_are_explained(make, read_page, tmp_path: Path) -> None:
    for conditional in (True, False):
        run = make.start(tmp_path / str(conditional), conditional=conditional)
        make.samples(run, 1)
        assert ("each row is a class" in read_page(write_report(run)).text) == conditional


def test_without_scores_there_is_no_such_section(read_page, full: RunFolder) -> None:
    assert "Scores" not in read_page(write_report(full)).text


def test_the_dot_is_the_best_by_the_metric_that_decides(make, read_page, tmp_path: Path) -> None:
    run = make.start(tmp_path / "run", evaluate={"every": 1000, "metric": "recall"})
    run.append_scores({"images": 1000, "epoch": 1.0, "precision": 0.2, "recall": 0.5, "best": True})
    run.append_scores({"images": 2000, "epoch": 2.0, "precision": 0.3, "recall": 0.4, "best": False})
    run.append_scores({"images": 3000, "epoch": 3.0, "fd": 2.0, "best": True})  # another metric decided for a while
    assert "the best by recall, after 1,000 images" in read_page(write_report(run)).text


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b'{"command": 5}', b"[" * 100_000])
def test_a_damaged_environment_costs_only_itself(read_page, full: RunFolder, content: bytes) -> None:
    full.environment.write_bytes(content)
    assert "70,000" in read_page(write_report(full)).text


def test_damaged_sample_grids_are_left_out(read_page, full: RunFolder) -> None:
    for _, path in full.sample_grids()[::2]:
        path.write_bytes(path.read_bytes()[:100])
    assert read_page(write_report(full)).pictures()
