"""Generators that draw quickly, and a service of one that listens."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator as Yields
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

pytest.importorskip("fastapi", reason="the extra studio is not installed")
pytest.importorskip("uvicorn")

from saddle.config.networks import LatentConfig
from saddle.config.schema import GeneratorConfig
from saddle.data.scaling import Scaling
from saddle.networks.families import build_generator
from saddle.studio.guard import Rules
from saddle.studio.listening import bound
from saddle.studio.running import make_server
from saddle.studio.service import Source, make_service
from saddle.trained.files import GeneratorHeader
from saddle.trained.generator import Generator

CLASSES = ("cat", "dog", "owl")


def make_generator(
    shape: tuple[int, ...] = (1, 8, 8), classes: tuple[str, ...] = CLASSES, recipe: str = "r", **network: Any
) -> Generator:
    """A generator with the weights that it begins with."""
    torch.manual_seed(0)
    network = network if "family" in network else {"family": "mlp", "widths": [32]} | network
    config = GeneratorConfig.model_validate({"network": network})
    latent, images = LatentConfig(size=6), len(shape) == 3
    header = GeneratorHeader(
        recipe=recipe, images_seen=5, kind="images" if images else "points", shape=shape, data="d", latent=latent,
        class_names=classes, network=config.network, condition=config.condition,
    )  # fmt: skip
    factor, offset = (2 / 255, -1.0) if images else (1.0, 0.0)
    scaling = Scaling(torch.tensor([factor]), torch.tensor([offset]), images=images)
    built = build_generator(config, latent, shape, len(classes))
    return Generator(built, scaling, header, torch.device("cpu"))


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service(NamedTuple):
    port: int
    file: Path

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()


def listen(generator: Generator, file: Path, rules: Rules, **options: Any) -> Yields[Service]:
    """A service of a generator that is saved in ``file``."""
    generator.save(file)
    yield from in_a_thread(make_service(generator, Source(file), rules, **options), rules.seconds, file)


def in_a_thread(app: Any, seconds: float, path: Path) -> Yields[Service]:
    """What answers requests, on a port of its own."""
    with bound("127.0.0.1", 0) as listener:
        server = make_server(app, seconds)
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
        thread.start()
        try:
            yield Service(listener.getsockname()[1], path)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Yields[Service]:
    file = tmp_path_factory.mktemp("service") / "generator.safetensors"
    yield from listen(make_generator(recipe="<script>alert(1)</script>"), file, Rules(seconds=5), most=200)
