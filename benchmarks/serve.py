"""How many requests per second `saddle serve` answers, beside what its generator draws without it.

    python benchmarks/serve.py [RECIPE] [--clients 200] [--seconds 8] [--format npy] [--json FILE]

The network is untrained: what it draws costs the same. The server is a process of its own; the clients, which are all
in this process, take their share of the same machine. Each asks for one sample at a time, of a seed of its own, over a
connection that stays open. Then some of them read slowly, or leave before the answer is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from sampling import untrained
from summary import machine, machine_line, table

BATCH = 1000  # samples in a pass of the generator without the service
LARGE = "/samples?count=2000&format=npy"  # what slow clients ask for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="mnist")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--format", default="npy", choices=["npy", "png", "json"])
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    generator = untrained(arguments.recipe, "cpu")
    alone = {f"generator alone, {size} at once": own_speed(generator, size) for size in (BATCH, 32, 1)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generator.safetensors"
        generator.save(path)
        server, port = start(path)
        try:
            found = asyncio.run(measure(port, server.pid, arguments))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    best = alone[f"generator alone, {BATCH} at once"][0]
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"\n{arguments.recipe}, {generator.shape}, {threads} threads. {machine_line()}\n")
    rows = [
        (name, f"{speed:,.0f}", f"{speed / best:.0%}", f"{cpu:.2f}", "", "", "") for name, (speed, cpu) in alone.items()
    ]
    for each in found:
        speed = each["per_second"]
        shown = (f"{each['cpu']:.2f}", f"{each['p50']:.1f}", f"{each['p99']:.1f}", f"{each['memory']:.0f}")
        rows.append((each["name"], f"{speed:,.0f}", f"{speed / best:.0%}", *shown))
    print(table(("what", "samples/s", "of the generator's", "CPU ms each", "p50 ms", "p99 ms", "server MB"), rows))
    if arguments.json:
        figures = {"machine": machine(), "recipe": arguments.recipe, "alone": alone, "served": found}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def own_speed(generator: Any, batch: int, seconds: float = 2.0) -> tuple[float, float]:
    """Samples per second of the generator, without drawing latents; and milliseconds of CPU for each."""
    latents = generator.latents(batch, 0)
    labels = torch.arange(batch) % len(generator.class_names) if generator.class_names else None
    generator(latents, labels)
    began, used, made = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        generator(latents, labels)
        made += batch
    return made / (time.perf_counter() - began), 1000 * (time.process_time() - used) / made


def start(path: Path) -> tuple[subprocess.Popen[str], int]:
    """A server, and its port."""
    command = [sys.executable, "-m", "saddle", "serve", str(path), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    assert server.stdout is not None
    line = server.stdout.readline()
    return server, int(line.split("http://localhost:")[1].split()[0])


async def measure(port: int, process: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    many, seconds = arguments.clients, arguments.seconds
    await Clients(port, arguments.format).ask(10, 1.0)  # whatever happens only once
    found: list[dict[str, Any]] = []
    for name, clients, odd in (
        ("one client", 1, ()),
        (f"{many} clients", many, ()),
        (f"{many} clients, 20 slow ones beside them", many, [slow] * 20),
        (f"{many} clients, 20 that vanish beside them", many, [vanish] * 20),
    ):
        beside = [asyncio.ensure_future(each(port)) for each in odd]
        used = cpu_seconds(process)
        one = await Clients(port, arguments.format).ask(clients, seconds)
        one["cpu"] = 1000 * (cpu_seconds(process) - used) / (one["per_second"] * seconds)
        for each in beside:
            each.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        found.append({"name": name, "memory": memory(process), **one})
    return found


class Clients:
    """Clients that ask again as soon as they have an answer."""

    def __init__(self, port: int, form: str) -> None:
        self.port, self.form = port, form
        self.times: list[float] = []

    async def ask(self, count: int, seconds: float) -> dict[str, float]:
        began = time.perf_counter()
        await asyncio.gather(*(self._one(number, began + seconds) for number in range(count)))
        times, lasted = sorted(self.times), time.perf_counter() - began
        at = [1000 * times[min(len(times) - 1, int(share * len(times)))] for share in (0.5, 0.99)]
        return {"per_second": len(times) / lasted, "p50": at[0], "p99": at[1]}

    async def _one(self, number: int, end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        seed = 1_000_000 * number
        while time.perf_counter() < end:
            seed += 1
            began = time.perf_counter()
            await request(writer, f"/samples?seed={seed}&format={self.form}")
            status, _ = await answer(reader)
            assert status == 200, status
            self.times.append(time.perf_counter() - began)
        writer.close()


async def slow(port: int) -> None:
    """Asks for much, and reads 2 kB of it in a second."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await request(writer, LARGE)
        try:
            while await reader.read(200):
                await asyncio.sleep(0.1)
        except OSError:
            pass  # the server had enough
        finally:
            writer.close()


async def vanish(port: int) -> None:
    """Asks for some, and leaves before they can be there, twenty times a second."""
    while True:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await request(writer, "/samples?count=200&format=npy")
        await asyncio.sleep(0.05)
        writer.transport.abort()


async def request(writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def cpu_seconds(process: int) -> float:
    """What a process has used of the cores: on a busy machine this says more than the time that passed."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """Megabytes that a process has in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
