"""The HTML report of a run folder."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saddle.config import Config, to_toml
from saddle.errors import ConfigError
from saddle.runs import RunFolder
from saddle.show.grid import save_picture, tile
from saddle.show.report import Figure, write_report


class Page(HTMLParser):
    """Collects the elements and the text of a page, and that what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def pictures(self) -> list[Image.Image]:
        sources = [attributes["src"] or "" for tag, attributes in self.elements if tag == "img"]
        return [Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2]))) for source in sources]


def start(path: Path, **settings: Any) -> RunFolder:
    run = RunFolder(path)
    run.create()
    config = Config.model_validate({"recipe": "digits", "epochs": 20, **settings})
    run.config.write_text(to_toml(config), encoding="utf-8")
    return run


def add_samples(run: RunFolder, count: int) -> None:
    """Each lights one more pixel than the one before."""
    run.samples.mkdir(exist_ok=True)
    for index in range(1, count + 1):
        image = np.zeros((1, 1, 10, 10), np.uint8)
        image.flat[:index] = 255
        save_picture(tile(image, scale=8), run.sample_grid(1000 * index))


def add_log(run: RunFolder, count: int) -> None:
    entries = [
        {"images": 1000 * i, "epoch": i / 2, "discriminator_loss": 1.234, "generator_loss": 0.777, "d_real": 0.61,
         "d_fake": 0.39, "images_per_second": 41234.0, "seconds": 0.1 * i}
        for i in range(1, count + 1)
    ]  # fmt: skip
    run.log.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


@pytest.fixture
def full(tmp_path: Path) -> RunFolder:
    run = start(tmp_path / "run", game={"r1": 2.5})
    add_samples(run, 70)
    add_log(run, 70)
    save_picture(Image.new("L", (31, 17)), run.data_preview)
    save_picture(Image.new("L", (97, 13)), run.interpolation)
    run.environment.write_text(
        json.dumps({"device": "cpu", "torch": "2.13.0", "git_commit": None, "command": "saddle train digits --seed 7"}),
        encoding="utf-8",
    )
    return run


def test_the_report_tells_the_facts(full: RunFolder) -> None:
    assert write_report(full) == full.report
    text = Page(full.report.read_text(encoding="utf-8")).text
    for fact in ("digits", "70,000", "35 of 20", "1.23", "0.777", "0.61", "0.39", "41,234", "cpu", "2.13.0"):
        assert fact in text
    assert "saddle train digits --seed 7" in text
    assert f"saddle sample {full.path} --count" in text
    assert re.search(r"game\.r1\s*0\.0\s*2\.5", text)  # differs from the default
    assert "batch_size = 64" in text and not re.search(r"batch_size\s*64", text)  # does not: only in the whole config


def test_the_report_needs_no_other_file(full: RunFolder) -> None:
    html = write_report(full).read_text(encoding="utf-8")
    page = Page(html)
    addresses = [attributes.get(name) for _, attributes in page.elements for name in ("src", "href", "srcset")]
    assert all(address.startswith("data:image/") for address in addresses if address is not None)
    assert "://" not in html and "url(" not in html and "@import" not in html
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.elements}


def test_every_picture_opens_and_has_a_text(full: RunFolder) -> None:
    write_report(full, extra=[Figure("quantiles", Image.new("RGB", (77, 33)))])
    page = Page(full.report.read_text(encoding="utf-8"))
    assert all(attributes["alt"] for tag, attributes in page.elements if tag == "img")
    sizes = [picture.size for picture in page.pictures()]
    assert {(31, 17), (97, 13), (77, 33)} <= set(sizes)
    assert "quantiles" in page.text
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


def test_a_run_that_has_just_started_has_a_report(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "No samples yet" in page.text and "Nothing logged yet" in page.text
    assert not page.pictures() and not run.animation.exists()


def test_one_sample_picture_makes_no_animation(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    add_samples(run, 1)
    assert len(Page(write_report(run).read_text(encoding="utf-8")).pictures()) == 1
    assert not run.animation.exists()


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    evil = "<b>&\"'$title"
    run = start(tmp_path / evil, data={"source": evil})
    run.environment.write_text(json.dumps({evil: evil, "device": evil, "command": evil}), encoding="utf-8")
    save_picture(Image.new("L", (9, 9)), run.data_preview)
    add_log(run, 3)
    write_report(run, extra=[Figure(evil, Image.new("RGB", (9, 9)))])
    page = Page(run.report.read_text(encoding="utf-8"))
    assert "b" not in {tag for tag, _ in page.elements}
    assert page.text.count(evil) >= 7
    assert {f"Samples of {evil}.", evil} <= {attributes["alt"] for tag, attributes in page.elements if tag == "img"}


def test_a_folder_without_a_run_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_report(RunFolder(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_run_whose_loss_diverged_has_a_report(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
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
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "nan" in page.text
    assert len(page.pictures()) == 4
