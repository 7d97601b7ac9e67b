"""The page that runs a generator in the browser."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import saddle
from saddle.data.scaling import to_pixels
from saddle.errors import ConfigError
from saddle.share.web_page import VERSION, save_web_page

from .conftest import WriteGenerator

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxruntime", "onnxscript"))), reason="the extra onnx is not installed"
)

CHROMIUM = shutil.which("chromium")
RUNTIME = os.environ.get("ONNXRUNTIME_WEB")  # the folder of the npm package


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """What looks like the npm package."""
    folder = tmp_path / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "onnxruntime-web", "version": "9.9.9"}')
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / "dist" / name).write_bytes(f"content of {name} </script>".encode())
    return folder


def test_no_page_where_z_decides_dropout(write_generator: WriteGenerator, tmp_path: Path):
    latent = {"size": 20, "distribution": "uniform", "low": 0.0, "high": 1.0}
    source = write_generator(latent=latent, family="mlp", widths=[16], dropout=0.5, dropout_in_samples=True)
    with pytest.raises(ConfigError, match="dropout is decided by z"):
        save_web_page(source, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
def test_the_page_holds_all_and_escapes_names(write_generator: WriteGenerator, package: Path, tmp_path: Path):
    hostile = "</script><script>alert(1)</script>"
    source = write_generator(classes=(hostile, "b"), recipe=hostile, family="mlp", widths=[4])
    out = tmp_path / "page.html"
    assert save_web_page(source, out, package) <= 1e-5
    html = out.read_text()
    assert hostile not in html
    assert not re.findall(r"https?://", html)
    assert html.count("<script") == 5
    about = re.search(r'<script type="application/json" id="about">(.*?)</script>', html)
    assert about is not None
    assert json.loads(about[1])["classes"] == [hostile, "b"]
    code = re.search(r'<script type="text/plain" id="code">(.*?)</script>', html)
    assert code is not None
    assert base64.b64decode(code[1]).startswith(b"content of ort.wasm")
    assert "onnxruntime-web 9.9.9" in html
    assert "connect-src data: blob:" in html
    assert "/home/somebody" not in html


@pytest.mark.slow
def test_without_a_runtime_it_asks_one_address_with_a_hash(write_generator: WriteGenerator, tmp_path: Path):
    save_web_page(write_generator(family="mlp", widths=[4]), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert set(re.findall(r"https?://[^/\"; ]+", html)) == {"https://cdn.jsdelivr.net"}
    about = re.search(r'id="about">(.*?)</script>', html)
    assert about is not None
    for file in json.loads(about[1])["runtime"].values():
        assert re.fullmatch(r"https://cdn\.jsdelivr\.net/npm/onnxruntime-web@\d+\.\d+\.\d+/dist/[\w.-]+", file["url"])
        assert re.fullmatch(r"sha384-[\w+/=]{64}", file["integrity"])


def test_what_is_no_runtime(write_generator: WriteGenerator, package: Path, tmp_path: Path):
    source, out = write_generator(family="mlp", widths=[4]), tmp_path / "page.html"
    (package / "package.json").write_text('{"name": "left-pad", "version": "1.0.0"}')
    for folder in (package, tmp_path / "none"):
        with pytest.raises(ConfigError, match="onnxruntime-web") as raised:
            save_web_page(source, out, folder)
        assert "npm install" in str(raised.value.remedy)
    with pytest.raises(ConfigError, match="suffix"):
        save_web_page(source, tmp_path / "page.onnx", package)
    assert not out.exists()


@pytest.fixture
def browser_page() -> Generator[Any]:
    """A page of Chromium without a network, which notes what goes wrong."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    if not RUNTIME:
        pytest.skip("ONNXRUNTIME_WEB does not name the folder of the npm package onnxruntime-web")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(offline=True, viewport={"width": 900, "height": 1400})
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda asked: page.complaints.append(asked.url) if asked.url.startswith("http") else None)
        yield page
        browser.close()


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true; the page's policy forbids the way in which playwright would wait."""
    for _ in range(400):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


@pytest.mark.slow
def test_the_runtime_from_its_address_runs_only_if_it_is_the_right_one(
    write_generator: WriteGenerator, browser_page: Any, tmp_path: Path
):
    package = Path(str(RUNTIME))
    if json.loads((package / "package.json").read_text())["version"] != VERSION:
        pytest.skip(f"the hashes are those of onnxruntime-web {VERSION}")

    def answer(route: Any) -> None:
        content = (package / "dist" / route.request.url.rpartition("/")[2]).read_bytes()
        route.fulfill(body=content + added, headers={"access-control-allow-origin": "*"})

    browser_page.context.set_offline(False)
    browser_page.context.route("https://cdn.jsdelivr.net/**", answer)
    save_web_page(write_generator(family="mlp", widths=[4]), tmp_path / "page.html")
    for added in (b"", b" "):
        browser_page.goto((tmp_path / "page.html").as_uri())
        until(browser_page, "Boolean(window.saddle || window.saddleFailed)")
        assert browser_page.evaluate("window.saddle === undefined") is bool(added)
    assert "cannot be run here" in browser_page.inner_text("#status")


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        {"family": "dcgan", "width": 8, "shape": (3, 16, 16), "classes": ("a", "b"), "latent": {"codes": 3}},
        {"family": "unet", "width": 8, "shape": (3, 16, 16)},
        {"family": "mlp", "widths": [32], "shape": (2,), "latent": {"distribution": "uniform"}},
    ],
    ids=["dcgan", "unet", "points"],
)
def test_the_browser_makes_the_pixels_that_python_makes(
    network: dict[str, Any], write_generator: WriteGenerator, browser_page: Any, tmp_path: Path
):
    source, out = write_generator(**network), tmp_path / "page.html"
    save_web_page(source, out, Path(str(RUNTIME)))
    browser_page.goto(out.as_uri())
    until(browser_page, "Boolean(window.saddle || window.saddleFailed)")
    assert browser_page.evaluate("window.saddleFailed") is None
    generator, count = saddle.load(source), 6
    latents = generator.latents(count, 5)
    labels = torch.tensor([[0.25, 0.75]]).expand(count, 2) if generator.class_names else None
    inputs = torch.rand(count, 3, *generator.shape[1:]) if generator.header.inputs else None
    wanted = generator(latents, labels) if inputs is None else generator.translate(inputs, seed=5)
    given = [None if each is None else each.flatten().tolist() for each in (latents, labels, inputs)]
    found = browser_page.evaluate(
        """async ([count, ...given]) => {
            const arrays = given.map((each) => each && Float32Array.from(each));
            return Array.from(await saddle.run(count, ...arrays));
        }""",
        [count, *given],
    )
    samples = torch.tensor(found).reshape(wanted.shape)
    if generator.header.kind == "images":
        differences = to_pixels(samples).astype(int) - to_pixels(wanted).astype(int)
        assert abs(differences).max() <= 1
    torch.testing.assert_close(samples, wanted, rtol=1e-4, atol=1e-4)
    if inputs is None:  # it shows something, and goes on when it is used
        until(browser_page, "document.getElementById('many').width > 100")
        for canvas, change in (
            ("many", lambda: browser_page.click("#next")),
            ("one", lambda: browser_page.locator("#sliders input").first.fill("0.9")),
        ):
            shown = f"document.getElementById('{canvas}').toDataURL()"
            before = browser_page.evaluate(shown)
            change()
            until(browser_page, f"{shown} !== {json.dumps(before)}")
    assert browser_page.complaints == []
