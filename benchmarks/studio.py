"""How quickly the studio's page shows what is there and what is new, what it costs, and whether a training notices.

    python benchmarks/studio.py [--runs 100] [--lines 1000000] [--pages 50] [--seconds 2] [--turns 60] [--json FILE]

A folder of runs is made, one of them with a long log. Chromium opens the list and that run; then a line is added to
the log. At last a training goes on while so many pages ask for it as often as open pages do: in turns with them and
without. These pages are one process of this machine that asks, without a browser that draws.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from saddle.config import load_recipe, resolve, to_toml
from saddle.runs.folder import RunFolder
from saddle.runs.following import read_end
from summary import machine, machine_line, table

CURVES, ABOUT = 0.8, 1.5  # seconds from one question of an open page to the next, as in run.js
LONG = "run-000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn with pages or without")
    parser.add_argument("--turns", type=int, default=60, help="of each")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        return ask_like_pages(*arguments.ask)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        make_runs(runs, arguments.runs, arguments.lines)
        with studio(runs) as (process, address):
            figures |= in_browser(address, runs, process)
            figures |= trained(address, runs, process, arguments)
            figures["server, at the end (MB)"] = memory(process.pid)
    print(f"\n{arguments.runs} runs, {arguments.lines:,} lines in one, {arguments.pages} pages. {machine_line()}\n")
    print(table(("what", "figure"), [(name, f"{value:.4g}") for name, value in figures.items()]))
    if arguments.json:
        text = json.dumps({"machine": machine(), "figures": figures, "runs": arguments.runs, "lines": arguments.lines})
        arguments.json.write_text(text + "\n")
    return None


def make_runs(folder: Path, count: int, lines: int) -> None:
    """Run folders as training leaves them; the first one has a long log."""
    config = to_toml(resolve(load_recipe("digits"), {"images": 2 * 64 * lines}))
    figures = {"discriminator_loss": 1.369, "r1": 0.002, "loss_real": 0.684, "loss_fake": 0.684, "d_real": 0.504,
               "d_fake": 0.495, "generator_loss": 0.701, "seconds": 0.1, "images_per_second": 10498.7}  # fmt: skip
    for number in range(count):
        run = RunFolder(folder / f"run-{number:03}")
        run.create()
        run.config.write_text(config)
        run.environment.write_text("{}")
        run.samples.mkdir()
        Image.effect_noise((284, 284), 80).save(run.sample_grid(64))
        with run.log.open("w") as log:
            for line in range(lines if number == 0 else 100):
                entry = {"images": 64 * (line + 1), "epoch": line / 25, **figures}
                entry["discriminator_loss"] += (line * 37 % 101) / 500
                log.write(json.dumps(entry) + "\n")


@contextmanager
def studio(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "saddle", "studio", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, re.findall(r"http://[\w:]+", process.stdout.readline())[0]
    finally:
        process.terminate()
        process.wait(30)


def in_browser(address: str, folder: Path, server: subprocess.Popen[str]) -> dict[str, float]:
    """Times until something is painted, and what page and server hold in memory."""
    from playwright.sync_api import sync_playwright

    def seconds_until(page: Any, shown: str, limit: float = 120.0) -> float:
        began = time.perf_counter()
        while not page.evaluate(shown):
            if time.perf_counter() - began > limit:
                raise SystemExit(f"{shown} was never so")
            time.sleep(0.01)
        return time.perf_counter() - began

    found: dict[str, float] = {}
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(f"{address}/#/start")  # the browser and the server have begun
        time.sleep(2)
        some = "document.querySelectorAll('td.name').length > 5 || undefined"
        began = time.perf_counter()
        page.goto(f"{address}/?list#/")
        seconds_until(page, some)
        found["list of runs: first paint (s)"] = time.perf_counter() - began
        began = time.perf_counter()
        page.goto(f"{address}/?run#/run/{LONG}")
        seconds_until(page, "document.querySelectorAll('.uplot').length > 1")
        found["run with the long log: first paint (s)"] = time.perf_counter() - began
        state = "[...document.querySelectorAll('[role=status]')].every((e) => !e.textContent.includes('%'))"
        seconds_until(page, state)
        found["its log read whole (s)"] = time.perf_counter() - began
        updates: list[float] = []
        for turn in range(5):
            time.sleep(1 + turn / 7)
            last = read_end(RunFolder(folder / LONG).log)[0]
            RunFolder(folder / LONG).append_log(
                {**last, "images": last["images"] + 64, "discriminator_loss": 5.0 + turn}
            )
            updates.append(seconds_until(page, f"document.body.innerText.includes('loss of D {5 + turn}')"))
        found["update, median (s)"] = statistics.median(updates)
        found["update, longest (s)"] = max(updates)
        usage = page.context.new_cdp_session(page)
        usage.send("Performance.enable")
        metrics = {each["name"]: each["value"] for each in usage.send("Performance.getMetrics")["metrics"]}
        found["page, memory of its scripts (MB)"] = metrics["JSHeapUsedSize"] / 2**20
        found["server, with the long log read (MB)"] = memory(server.pid)
        browser.close()
    return found


def trained(
    address: str, folder: Path, server: subprocess.Popen[str], arguments: argparse.Namespace
) -> dict[str, float]:
    """Images per second of a training, in turns with the pages and without."""
    run = RunFolder(folder / "trained")
    settings = {"images": 100_000_000, "threads": 1, "log.every": 3200, "samples.every": 100_000_000}
    settings["checkpoint.every"] = 100_000_000
    words = ["train", "digits", "--out", str(run.path)]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    training = subprocess.Popen([sys.executable, "-m", "saddle", *words], **silent)
    command = [sys.executable, __file__, "--ask", address, run.path.name, str(arguments.pages)]
    speeds: dict[bool, list[float]] = {False: [], True: []}
    serving: list[float] = []  # cores that the server takes
    pages = None
    try:
        while not read_end(run.log):
            time.sleep(0.2)
        pages = subprocess.Popen(command, **silent)
        time.sleep(3)
        for turn in range(2 * arguments.turns):
            asked = turn % 4 in (1, 2)  # so that a machine that slows down or warms up favours neither
            pages.send_signal(signal.SIGCONT if asked else signal.SIGSTOP)
            time.sleep(0.5)
            assert pages.poll() is None, "the pages ended"
            before = cpu(server.pid)
            speeds[asked].append(speed(run, arguments.seconds))
            if asked:
                serving.append((cpu(server.pid) - before) / arguments.seconds)
    finally:
        for process in (training, pages):
            if process is not None:
                process.send_signal(signal.SIGKILL)
                process.wait()
    pairs = zip(speeds[False], speeds[True], strict=True)
    slower = [100 * (1 - beside / alone) for alone, beside in pairs]
    return {
        "training alone (images/s)": statistics.median(speeds[False]),
        f"training with {arguments.pages} pages (images/s)": statistics.median(speeds[True]),
        "slower by (%), mean of the pairs": statistics.mean(slower),
        "its standard error (%)": statistics.stdev(slower) / len(slower) ** 0.5,
        f"server with {arguments.pages} pages (cores)": statistics.median(serving),
    }


def speed(run: RunFolder, seconds: float) -> float:
    def reached() -> tuple[float, int]:
        last = read_end(run.log)[0]
        return last["seconds"], last["images"]

    before = reached()
    time.sleep(seconds)
    after = reached()
    return (after[1] - before[1]) / (after[0] - before[0])


def ask_like_pages(address: str, run: str, pages: str) -> None:
    """Ask as open pages do: each for what is new in the curves, and for the run; connections stay open."""
    import asyncio

    host, port = address.removeprefix("http://").split(":")

    async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, tag: str) -> tuple[str, bytes]:
        known = f"If-None-Match: {tag}\r\n" if tag else ""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{known}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        found = re.search(r"etag: (\S+)", head)
        return found[1] if found else tag, body

    async def page(number: int) -> None:
        first = number / 37 % ABOUT  # pages are not opened together
        await asyncio.sleep(first)
        connection = await asyncio.open_connection(host, int(port))
        known, tags = {"life": 0, "width": 0, "places": 0}, ["", ""]
        next_about = 0.0
        while True:
            query = f"run={run}&life={known['life']}&width={known['width']}&start={known['places']}"
            try:
                tags[0], body = await get(*connection, f"/api/curves?{query}", tags[0])
                if body:
                    known = json.loads(body)["log"]
                if time.monotonic() > next_about:
                    tags[1], _ = await get(*connection, f"/api/run?run={run}", tags[1])
                    next_about = time.monotonic() + ABOUT
            except (asyncio.IncompleteReadError, ConnectionError):  # the server ended it while the pages stood still
                connection[1].close()
                connection = await asyncio.open_connection(host, int(port))
            before = time.monotonic()
            await asyncio.sleep(CURVES)
            if time.monotonic() > before + 1.2 * CURVES:  # they stood still, and must not go on in step
                await asyncio.sleep(first)

    async def all_pages() -> None:
        await asyncio.gather(*(page(number) for number in range(int(pages))))

    asyncio.run(all_pages())


def cpu(process: int) -> float:
    """Seconds that a process has had a core."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """Megabytes that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
