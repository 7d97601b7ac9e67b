"""Run folders made by hand, and a reader of pages."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saddle.config import Config, to_toml
from saddle.runs.folder import RunFolder
from saddle.runs.scores import Evaluation, Score, keep_scores
from saddle.show.grid import save_picture, tile


class Page(HTMLParser):
    """Collects the elements, the text and the table rows of a page, and checks that what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("th", "td"):
            self.rows[-1][-1] += data

    def check_alone(self) -> None:
        """It refers to nothing outside and runs nothing."""
        addresses = [attributes.get(name) for _, attributes in self.elements for name in ("src", "href", "srcset")]
        assert all(address.startswith("data:image/") for address in addresses if address is not None)
        assert "://" not in self.html and "url(" not in self.html and "@import" not in self.html
        assert not {"script", "link", "iframe"} & {tag for tag, _ in self.elements}
        assert "default-src 'none'; img-src data:" in self.html

    def pictures(self) -> list[Image.Image]:
        sources = [attributes["src"] or "" for tag, attributes in self.elements if tag == "img"]
        return [Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2]))) for source in sources]


class Maker:
    """Makes run folders and what may lie in them."""

    def start(self, path: Path, **settings: Any) -> RunFolder:
        run = RunFolder(path)
        run.create()
        config = Config.model_validate({"recipe": "digits", "epochs": 20, **settings})
        run.config.write_text(to_toml(config), encoding="utf-8")
        return run

    def samples(self, run: RunFolder, count: int) -> None:
        """Each lights one more pixel than the one before."""
        run.samples.mkdir(exist_ok=True)
        for index in range(1, count + 1):
            image = np.zeros((1, 1, 10, 10), np.uint8)
            image.flat[:index] = 255
            save_picture(tile(image, scale=8), run.sample_grid(1000 * index))

    def log(self, run: RunFolder, count: int, **figures: float) -> None:
        entries = [
            {"images": 1000 * i, "epoch": i / 2, "discriminator_loss": 1.234, "generator_loss": 0.777, "d_real": 0.61,
             "d_fake": 0.39, "images_per_second": 41234.0, "seconds": 0.1 * i, **figures}
            for i in range(1, count + 1)
        ]  # fmt: skip
        run.log.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")

    def scores(self, run: RunFolder, **figures: list[float]) -> None:
        """Lower is better, and the first figure decides."""
        first = next(iter(figures.values()))
        for i in range(len(first)):
            best = first[i] == min(first[: i + 1])
            values = {name: figure[i] for name, figure in figures.items()}
            run.append_scores({"images": 1000 * (i + 1), "epoch": float(i + 1), **values, "best": best})

    def evaluation(self, run: RunFolder, *scores: Score, name: str = "", **more: Any) -> None:
        """As ``saddle evaluate`` leaves it behind, of a stand-in for the generator file."""
        file = run.path / (name or run.generator.name)
        file.write_bytes(b"some generator")
        generator = sha256(file.read_bytes()).hexdigest()
        found = {"generator": generator, "images_seen": 64_000, "scores": scores} | more
        keep_scores(run, file.name, Evaluation.model_validate(found))

    def score(self, metric: str = "fd", value: float = 0.5, spread: float | None = 0.01, **more: Any) -> Score:
        known: dict[str, Any] = {
            "title": f"title of {metric}",
            "better": "lower",
            "protocol": f"{metric}-pixels-2k",
            "data": "digits",
        }
        known |= {"floor": 0.25, "floor_of": "2,000 held-out samples", "count": 2000, "seeds": 3, "seconds": 0.1}
        return Score(metric=metric, value=value, spread=spread, **(known | more))


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def read_page() -> Callable[[Path], Page]:
    return lambda path: Page(path.read_text(encoding="utf-8"))
