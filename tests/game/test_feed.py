from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from saddle.config.schema import DataConfig
from saddle.data import Store, from_object
from saddle.data.scaling import Scaling
from saddle.game import feed as feed_module
from saddle.game.ahead import Ahead
from saddle.game.feed import Feed

CPU = torch.device("cpu")


def numbered(count: int) -> Store:
    """Points that are their own numbers."""
    return from_object(torch.arange(float(count))[:, None], config=DataConfig(source="numbers"))


def feed(store: Store, seed: int = 0) -> Feed:
    return Feed(store, Scaling.fit(store, "linear"), seed=seed, device=CPU)


def test_every_epoch_shows_every_sample_once_in_another_order():
    stream = feed(numbered(10))
    epochs = [stream.batch(start, 10).samples.flatten().tolist() for start in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_batches_depend_on_the_position_alone_and_run_over_the_end_of_epochs():
    whole = torch.cat([feed(numbered(10)).batch(start, 10).samples for start in (0, 10, 20)])
    stream = feed(numbered(10))
    for start in (23, 3, 8, 17, 0):
        assert torch.equal(stream.batch(start, 6).samples, whole[start : start + 6])
    assert torch.equal(stream.batch(2, 25).samples, whole[2:27])


def test_a_batch_larger_than_the_data():
    assert sorted(feed(numbered(3)).batch(0, 7).samples.flatten().tolist())[:2] == [0, 0]


def test_seeds_give_other_orders():
    assert not torch.equal(feed(numbered(50), 0).batch(0, 50).samples, feed(numbered(50), 1).batch(0, 50).samples)


@pytest.mark.parametrize(("output", "low", "high"), [("sigmoid", 0.0, 1.0), ("tanh", -1.0, 1.0), ("linear", -1.0, 1.0)])
def test_pixels_fill_the_generators_range_and_come_back(output: str, low: float, high: float):
    pixels = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
    store = from_object(pixels, config=DataConfig(source="all values"))
    scaling = Scaling.fit(store, output)
    scaled = scaling.forward(pixels)
    assert (scaled.min().item(), scaled.max().item()) == pytest.approx((low, high))
    torch.testing.assert_close(scaling.backward(scaled), pixels / 255.0)
    assert scaling.backward(torch.tensor([-9.0, 9.0])).tolist() == [0, 1]


def test_points_keep_their_units_or_are_brought_to_the_range():
    points = torch.tensor([[1.0, 100.0], [3.0, 300.0], [2.0, 250.0]])
    store = from_object(points, config=DataConfig(source="points"))
    assert torch.equal(Scaling.fit(store, "linear").forward(points), points)
    scaling = Scaling.fit(store, "tanh")
    torch.testing.assert_close(scaling.forward(points)[:2], torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    torch.testing.assert_close(scaling.backward(scaling.forward(points)), points)


def test_a_constant_coordinate_is_no_division_by_zero():
    points = torch.tensor([[5.0, 1.0], [5.0, 2.0]])
    store = from_object(points, config=DataConfig(source="points"))
    scaling = Scaling.fit(store, "tanh")
    assert scaling.forward(points).isfinite().all()
    assert scaling.backward(scaling.forward(points)).isfinite().all()


def test_labels_stay_with_their_samples():
    points = torch.arange(12.0)[:, None]
    store = from_object(points, labels=[number % 3 for number in range(12)], config=DataConfig(source="labelled"))
    labelled = Feed(store, Scaling.fit(store, "linear"), seed=0, device=CPU, labelled=True)
    batch = labelled.batch(5, 20)
    assert torch.equal(batch.samples.flatten() % 3, batch.condition.float())
    assert feed(store).batch(0, 4).condition is None


def pictures(count: int) -> Store:
    """Images whose upper left value is their number, and whose upper right value is 255."""
    images = torch.zeros(count, 1, 2, 3, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 2] = torch.arange(count), 255
    return from_object(images, config=DataConfig(source="pictures", held_out=0))


def test_mirrored_images_are_the_plain_ones_left_to_right_in_one_case_of_two():
    store = pictures(200)
    scaling = Scaling.fit(store, "sigmoid")
    plain = Feed(store, scaling, seed=0, device=CPU)
    mirrored = Feed(store, scaling, seed=0, device=CPU, mirror=True)
    turned = torch.zeros(0, dtype=torch.bool)
    for start in range(0, 600, 40):
        before, after = plain.batch(start, 40).samples, mirrored.batch(start, 40).samples
        flipped = (after == before.flip(-1)).flatten(1).all(1)
        assert torch.equal(after[~flipped], before[~flipped])
        turned = torch.cat([turned, flipped])
    assert turned.float().mean().item() == pytest.approx(0.5, abs=0.06)
    assert not torch.equal(turned[:200], turned[200:400])  # anew in each epoch
    again = Feed(store, scaling, seed=0, device=CPU, mirror=True)
    assert torch.equal(again.batch(560, 40).samples, after)  # by the position alone
    other = Feed(store, scaling, seed=1, device=CPU, mirror=True).batch(0, 40).samples
    assert not torch.equal(other[:, 0, 0, 0] == 1, turned[:40])


def test_members_and_fresh_draws_are_mirrored_by_their_own_seed():
    store = pictures(60)
    scaling = Scaling.fit(store, "sigmoid")
    together = Feed(store, scaling, seed=[3, 4], device=CPU, mirror=True).batch(0, 20).samples
    alone = [Feed(store, scaling, seed=seed, device=CPU, mirror=True).batch(0, 20).samples for seed in (3, 4)]
    assert torch.equal(together, torch.cat(alone))
    fresh = replace(store, draw=lambda chance, count: store.values[:count])
    drawn = Feed(fresh, scaling, seed=3, device=CPU, mirror=True).batch(0, 20).samples
    known = scaling.forward(torch.from_numpy(store.values[:20]))
    flipped = (drawn == known.flip(-1)).flatten(1).all(1)
    assert 3 < flipped.sum() < 17 and torch.equal(drawn[~flipped], known[~flipped])


class Rows(Ahead):
    """Notes which rows are gathered, and where from."""

    def __init__(self, values: torch.Tensor, device: torch.device) -> None:
        super().__init__(values, device)
        self.gathered: list[tuple[list[int], bool]] = []

    def _gather(self, index: torch.Tensor):
        self.gathered.append((index.tolist(), threading.current_thread() is threading.main_thread()))
        return super()._gather(index)


def test_rows_that_are_fetched_ahead_are_the_same_and_come_from_a_thread():
    store = numbered(10)
    plain, ahead = feed(store), feed(store)
    rows = Rows(torch.from_numpy(store.values), CPU)
    ahead._ahead = [rows]
    places = [(0, 4), (4, 4), (8, 4), (12, 4), (3, 4), (7, 2), (9, 6)]  # on, over an epoch's end, back, other sizes
    kept = [(plain.batch(*place).samples, ahead.batch(*place).samples) for place in places]
    for expected, fetched in kept:  # all of them at the end: no later batch overwrites an earlier one
        assert torch.equal(expected, fetched)
    assert rows.gathered[1][0] == [int(number) for number in Feed._index(plain, 4, 4)]
    assert not any(in_main for _, in_main in rows.gathered)


def test_an_error_of_the_thread_reaches_the_caller():
    ahead = Ahead(torch.arange(4.0), CPU)
    with pytest.raises((IndexError, RuntimeError), match="index out of range"):
        ahead.rows((0, 1), (1, 1), lambda start, count: torch.tensor([9]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: pinned buffers and side streams were not run")
def test_data_beyond_a_gpus_memory_give_the_same_batches(monkeypatch: pytest.MonkeyPatch):
    store = numbered(1000)
    scaling, device = Scaling.fit(store, "linear"), torch.device("cuda")
    resident = Feed(store, scaling, seed=0, device=device)
    monkeypatch.setattr(feed_module, "_DEVICE_SHARE", 0.0)
    streamed = Feed(store, scaling, seed=0, device=device)
    assert streamed._ahead
    for start in range(0, 64 * 200, 64):
        expected, fetched = resident.batch(start, 64).samples, streamed.batch(start, 64).samples
        assert torch.equal(expected.cpu(), (fetched * 1).cpu())
