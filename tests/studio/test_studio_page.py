"""The studio in a browser: a run is started, watched, steered, forked and played with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from saddle.runs.control import ask
from saddle.runs.folder import RunFolder
from saddle.runs.status import is_locked

CHROMIUM = shutil.which("chromium")
PICTURES = os.environ.get("SADDLE_SCREENSHOTS")  # a folder where the documentation's pictures go
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Studio:
    """The command, which can be killed and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = "0"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "saddle", "studio", self.folder.name, "--port", self.port]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, cwd=self.folder.parent, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = re.findall(r":(\d+)", self.process.stdout.readline())[0]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"


@pytest.fixture
def studio(tmp_path: Path) -> Generator[Studio]:
    folder = tmp_path / "runs"
    folder.mkdir()
    studio = Studio(folder)
    yield studio
    for run in map(RunFolder, folder.iterdir()):  # of a test that has failed
        if is_locked(run):
            ask(run, "stop")
    studio.process.terminate()
    studio.process.wait(20)
    assert studio.process.stdout is not None
    studio.process.stdout.close()


OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(studio: Studio) -> Generator[OpenPage]:
    """Pages of Chromium that note what goes wrong, and every request to another host."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        pages: list[Any] = []

        def open_page(path: str = "/", **options: Any) -> Any:
            page = browser.new_context(
                **{"viewport": {"width": 1200, "height": 900}, "locale": "en-US"} | options
            ).new_page()
            page.set_default_timeout(30_000)
            page.complaints = []
            page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: page.complaints.append(str(error)))
            page.on("request", lambda asked: _check(asked.url, page.complaints))
            page.goto(studio.address + path)
            pages.append(page)
            return page

        def _check(url: str, complaints: list[str]) -> None:
            if not url.startswith((studio.address, "blob:", "data:")):
                complaints.append(url)

        yield open_page
        browser.close()


def until(page: Any, holds: Callable[[], bool], seconds: float = 60) -> None:
    """The page's policy forbids the way in which playwright would wait for an expression."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, page.inner_text("body")
        page.wait_for_timeout(50)


def is_state(page: Any, *states: str) -> Callable[[], bool]:
    return lambda: page.locator("#state").count() == 1 and page.inner_text("#state") in states


def picture(page: Any, name: str, **options: Any) -> None:
    if PICTURES:
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=str(Path(PICTURES) / f"studio-{name}.png"), **options)


def test_a_run_from_the_form_to_playing(studio: Studio, open_page: OpenPage, tmp_path: Path):
    page, run = open_page("/#/start"), studio.folder / "from-the-page"
    start(page)
    steer(page, run)
    fork_and_restart(page, studio)
    watch(page)
    play(page)
    compare(page)
    assert page.complaints == []
    phone(
        open_page("/#/run/from-the-page", viewport={"width": 375, "height": 740}, locale="ko-KR", color_scheme="dark")
    )
    again = tmp_path / "again"
    words = ["train", "digits", "--set", "images=60000", "--set", "threads=1", "--edits", run / "edits.jsonl"]
    command = [sys.executable, "-m", "saddle", *map(str, words), "--out", str(again)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert (again / "generator.safetensors").read_bytes() == (run / "generator.safetensors").read_bytes()


def start(page: Any) -> None:
    page.wait_for_selector("text=batch_size")
    page.get_by_label("batch_size", exact=True).fill("-3")
    page.wait_for_selector("[aria-invalid=true]")
    assert "greater than 0" in page.inner_text(".error:not(:empty)")
    picture(page, "start")
    page.get_by_label("batch_size", exact=True).fill("64")
    page.get_by_label("images", exact=True).fill("60000")
    page.get_by_label("Name of the run").fill("from-the-page")
    page.get_by_text("All settings").click()
    page.get_by_label("Find a setting").fill("threads")
    page.get_by_label("threads", exact=True).fill("1")
    page.wait_for_selector("[aria-invalid=true]", state="detached")
    page.get_by_role("button", name="Start the training").click()


def steer(page: Any, run: Path) -> None:
    page.get_by_role("button", name="Pause").click()  # once it is there
    until(page, is_state(page, "paused"))
    before = page.inner_text("#progress")
    page.get_by_role("button", name="Resume").click()
    until(page, lambda: page.inner_text("#progress") != before)
    page.get_by_role("button", name="Pause").click()
    until(page, is_state(page, "paused", "finished"))
    assert page.inner_text("#state") == "paused"

    page.get_by_role("tab", name="Steer").click()
    assert "stays reproducible" in page.inner_text("[role=tabpanel]")
    page.get_by_label("game.r1", exact=True).fill("-1")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_selector("[aria-invalid=true]")
    (refusal,) = page.complaints  # the browser itself says of every refusal that it was one
    assert "422" in refusal
    del page.complaints[:]
    page.get_by_label("game.r1", exact=True).fill("1")
    page.get_by_role("button", name="Apply").click()
    until(page, (run / "edits.jsonl").exists)
    for player in "DG":
        page.get_by_role("button", name=f"One turn of {player}").click()
        until(page, lambda player=player: f'"turn": "{player}"' in (run / "edits.jsonl").read_text())


def fork_and_restart(page: Any, studio: Studio) -> None:
    page.get_by_label("Name of the new run").fill("forked")
    page.locator("#fork").click()
    page.wait_for_selector("a:has-text('forked stands at')")
    assert (studio.folder / "forked" / "parent.json").exists()
    picture(page, "steer", full_page=True)

    studio.kill()  # the training does not notice, and neither does the page for long
    until(page, lambda: page.locator("#trouble").is_visible())
    studio.start()
    until(page, lambda: page.locator("#trouble").is_hidden())
    assert all("ERR_" in complaint for complaint in page.complaints)  # what the browser says of that
    del page.complaints[:]
    page.get_by_role("button", name="Resume").click()
    until(page, is_state(page, "finished"))


def watch(page: Any) -> None:
    page.get_by_role("tab", name="Watch").click()
    until(page, lambda: "game.r1 = 1" in page.inner_text("[role=tabpanel]"))
    assert page.locator(".uplot").count() >= 3
    health = page.get_by_role("region", name="Health", exact=True)
    until(page, lambda: "Evidence" in health.inner_text() and "%" in health.inner_text())
    page.get_by_role("slider", name="Samples through time").press("Home")
    until(page, lambda: "after 0 images" in page.inner_text("[role=tabpanel]"))
    page.get_by_role("slider", name="Samples through time").press("End")
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Whole run").click()
    picture(page, "run", full_page=True)


def play(page: Any) -> None:
    page.get_by_role("tab", name="Play").click()
    page.wait_for_selector(".pictures button")
    samples = page.locator(".pictures button")
    samples.nth(0).click()
    samples.nth(1).click()
    page.wait_for_selector("text=saddle interpolate")
    picture(page, "play")
    with page.expect_download() as waiting:
        page.locator("#download").click()
    assert Path(waiting.value.path()).read_bytes().startswith(b"\x89PNG")


def phone(page: Any) -> None:
    page.wait_for_selector(".uplot")
    until(page, lambda: "근거" in page.inner_text("[role=tabpanel]"))
    picture(page, "phone")
    assert page.complaints == []


def compare(page: Any) -> None:
    page.get_by_role("link", name="Runs", exact=True).click()
    page.wait_for_selector("td.name")
    boxes = page.get_by_role("checkbox")
    until(page, lambda: boxes.count() == 2)
    page.wait_for_timeout(300)
    picture(page, "runs")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Compare the two chosen").click()
    until(page, lambda: page.locator(".uplot").count() >= 4)


def test_a_phone_in_korean_in_the_dark_and_a_hostile_name(studio: Studio, open_page: OpenPage):
    from .test_studio import HOSTILE, make_run

    make_run(studio.folder / HOSTILE)
    phone = open_page("/", viewport={"width": 375, "height": 740}, locale="ko-KR", color_scheme="dark")
    phone.wait_for_selector("td.name")
    assert "실행 목록" in phone.inner_text("h1")
    assert HOSTILE in phone.inner_text("td.name")
    phone.get_by_role("link", name=HOSTILE).click()
    phone.wait_for_selector(".uplot")
    for tab in ("관찰", "조정", "써 보기", "설정과 로그"):
        phone.get_by_role("tab", name=tab).click()
        phone.wait_for_timeout(200)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 375
    phone.get_by_role("tab", name="관찰").click()
    assert phone.complaints == []
