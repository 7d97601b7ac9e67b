"""Requests that share passes: the same bytes as alone, fair turns, and nobody's trouble but one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saddle.errors import NotFinite, SaddleError
from saddle.studio.answers import Refused
from saddle.studio.batching import Batcher, Wanted
from saddle.studio.drawing import numbered_samples
from saddle.trained.generator import Generator
from saddle.trained.walks import way_between

from .conftest import make_generator


def drawn(batcher: Batcher, *wanted: Wanted) -> list[Any]:
    """What requests get that come at the same time; errors are among the results."""

    async def together() -> list[Any]:
        batcher._asked = asyncio.Event()
        work = asyncio.create_task(batcher.work())
        found = await asyncio.gather(*(batcher.draw(each) for each in wanted), return_exceptions=True)
        work.cancel()
        return found

    return asyncio.run(together())


NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"norm": "batch"},
    "dcgan": {"family": "dcgan", "width": 16, "shape": (3, 12, 12)},
    "points": {"shape": (2,), "classes": ()},
}


def of(name: str) -> Generator:
    return make_generator(**NETWORKS[name])


def requests(generator: Generator) -> list[Wanted]:
    found = [numbered_samples(generator, count, seed, first, None, 1.0) for count, seed, first in
             ((1, 0, 0), (1, 0, 7), (40, 1, 0), (3, 5, 600), (100, 2, 3), (1, 1, 1))]  # fmt: skip
    ends: dict[str, Any] = {"label": "cat", "last_label": "owl"} if generator.class_names else {}
    return [*found, Wanted(*way_between(generator, 1, 2, 9, **ends))]


@pytest.mark.parametrize("rows", [None, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_request_gets_the_same_bits_alone_and_among_others(name: str, rows: int | None):
    generator = of(name)
    batcher = Batcher(generator, rows)
    asked = requests(generator)
    alone = [drawn(batcher, each)[0] for each in asked]
    passes = batcher.passes
    for order in (asked, asked[::-1]):
        together = drawn(batcher, *order)
        for one, each in zip(alone, together if order is asked else together[::-1], strict=True):
            assert torch.equal(one, each)
    # They did share passes, unless on this processor the place of a row among others matters.
    assert batcher.passes - passes < 2 * passes or batcher.rows == 1
    assert batcher.waiting == 0
    whole = generator(asked[2].latents, asked[2].labels)
    torch.testing.assert_close(alone[2], whole, rtol=1e-5, atol=1e-5)


def test_sample_n_of_a_seed_is_the_same_in_every_request():
    generator = of("mlp")
    batcher = Batcher(generator)
    some = drawn(batcher, numbered_samples(generator, 20, 3, 0, None, 1.0))[0]
    for number in (0, 7, 19):
        one = drawn(batcher, numbered_samples(generator, 1, 3, number, None, 1.0))[0]
        assert torch.equal(one[0], some[number])


class Strange(nn.Module):
    """Makes points of latents; ``place`` makes them depend on the place in the batch."""

    def __init__(self, place: float = 0.0) -> None:
        super().__init__()
        self.place, self.seen = place, list[int]()

    def forward(self, latents: Tensor) -> Tensor:
        self.seen.append(len(latents))
        moved = latents[:, :2] + self.place * torch.arange(len(latents))[:, None]
        return torch.where(latents[:, :1] > 99, torch.nan, moved)


def strange(place: float = 0.0) -> tuple[Generator, Strange]:
    generator = make_generator(shape=(2,), classes=())
    generator.network = Strange(place)
    return generator, generator.network


def test_where_a_place_matters_each_pass_is_one_sample():
    assert Batcher(strange()[0]).rows == 32
    generator, network = strange(place=1.0)
    batcher = Batcher(generator)
    assert batcher.rows == 1
    network.seen.clear()
    drawn(batcher, Wanted(torch.zeros(5, 6), None))
    assert network.seen == [1] * 5


def test_every_pass_has_the_same_number_of_rows():
    generator, network = strange()
    batcher = Batcher(generator, 8)
    network.seen.clear()
    drawn(batcher, Wanted(torch.zeros(1, 6), None), Wanted(torch.zeros(20, 6), None))
    assert set(network.seen) == {8}


def test_a_small_request_does_not_wait_for_a_large_one():
    generator, network = strange()
    batcher, finished = Batcher(generator, 8), list[tuple[str, int]]()

    async def ask(name: str, count: int) -> None:
        await batcher.draw(Wanted(torch.zeros(count, 6), None))
        finished.append((name, len(network.seen)))

    async def both() -> None:
        batcher._asked = asyncio.Event()
        work = asyncio.create_task(batcher.work())
        large: Coroutine[Any, Any, None] = ask("large", 800)
        await asyncio.gather(large, ask("small", 2))
        work.cancel()

    network.seen.clear()
    asyncio.run(both())
    assert finished == [("small", 1), ("large", 101)]


def test_a_sample_that_is_not_finite_is_the_trouble_of_its_own_request():
    batcher = Batcher(strange()[0], 8)
    good, bad = torch.zeros(1, 6), torch.full((1, 6), 100.0)
    found = drawn(batcher, Wanted(good, None), Wanted(bad, None), Wanted(torch.cat([good, bad]), None))
    assert found[0].tolist() == [[0, 0]]
    assert isinstance(found[1], NotFinite)
    assert isinstance(found[2], NotFinite)
    assert drawn(batcher, Wanted(good, None))[0].tolist() == [[0, 0]]
    assert batcher.waiting == 0


def test_what_a_client_that_left_asked_for_is_dropped():
    generator, network = strange()
    batcher = Batcher(generator, 8)

    async def leave() -> None:
        batcher._asked = asyncio.Event()
        work = asyncio.create_task(batcher.work())
        asked = asyncio.create_task(batcher.draw(Wanted(torch.zeros(8000, 6), None)))
        while len(network.seen) < 3:
            await asyncio.sleep(0)
        asked.cancel()
        await batcher.draw(Wanted(torch.zeros(1, 6), None))
        work.cancel()

    network.seen.clear()
    asyncio.run(leave())
    assert len(network.seen) < 10
    assert batcher.waiting == 0


def test_too_much_at_once_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.studio.batching._MOST_HELD", 20)  # values, two for each sample
    batcher = Batcher(strange()[0], 8)
    found = drawn(batcher, Wanted(torch.zeros(9, 6), None), Wanted(torch.zeros(2, 6), None))
    assert len(found[0]) == 9
    assert isinstance(found[1], Refused)
    assert found[1].status == 503
    assert len(drawn(batcher, Wanted(torch.zeros(2, 6), None))[0]) == 2


def test_a_long_pass_does_not_hold_up_the_service(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.studio.batching._LONG", -1.0)
    generator, _ = strange()
    batcher = Batcher(generator, 8)
    assert drawn(batcher, Wanted(torch.ones(20, 6), None))[0].tolist() == [[1, 1]] * 20
    bad: SaddleError = drawn(batcher, Wanted(torch.full((1, 6), 100.0), None))[0]
    assert isinstance(bad, NotFinite)
