"""Requests that wait at the same time share passes of the generator, and each gets the bytes that it would get alone.

What a network computes for a sample can differ in its last bits with the number of samples in the pass, since other
routines are chosen for other sizes. So every pass has the same number of rows, filled up where fewer are asked for.
Whether a row's place among the others matters is tried out when the service starts; where it does, each pass is one
sample.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from saddle.config.networks import CustomNetworkConfig
from saddle.errors import NotFinite
from saddle.studio.answers import Refused
from saddle.trained.generator import Generator

_MOST_ROWS, _MOST_VALUES = 32, 2**17  # of a pass
_MOST_HELD = 2**27  # values of all samples that are asked for and not yet handed over: half a gigabyte
# A longer pass has a thread of its own, so that the service answers meanwhile. In a shorter one, the thread and the
# service would wait for the interpreter's lock, and for each other, longer than the pass takes.
_LONG = 0.05  # seconds


class Wanted(NamedTuple):
    """Samples to be made.

    Args:
        latents: (n, latent width).
        labels: class indices (n,) or mixtures (n, classes); None without classes.
    """

    latents: Tensor
    labels: Tensor | None


class _Job:
    """One request's samples on their way."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.count = len(wanted.latents)
        self.future: asyncio.Future[Tensor] = asyncio.get_running_loop().create_future()
        self.taken = 0  # rows that are made, or being made
        self.made: list[Tensor] = []


_Share = tuple[_Job, range]  # a job, and which of its rows


class Batcher:
    """Makes the samples of all requests, in passes that they share.

    Args:
        generator: whose samples they are.
        rows: of each pass; None: as many as suit the size of a sample, or 1 where the places of rows matter.
    """

    def __init__(self, generator: Generator, rows: int | None = None) -> None:
        self._generator = generator
        self._mixes = not isinstance(generator.header.network, CustomNetworkConfig)
        most = rows or max(1, min(_MOST_ROWS, _MOST_VALUES // prod(generator.shape)))
        self.rows = most if self._places_do_not_matter(most) else 1
        self.passes = self.samples = 0
        self.waiting = 0  # samples that are asked for and not yet handed over
        self._long = self._seconds() > _LONG
        self._jobs: deque[_Job] = deque()
        self._asked = asyncio.Event()

    async def draw(self, wanted: Wanted) -> Tensor:
        """The samples of a request: images (n, C, H, W) in [0, 1] or points (n, d), on the CPU.

        If it is cancelled, what is not yet made of it is dropped.

        Raises:
            Refused: too many are waiting already.
            SaddleError: whatever the generator raises.
        """
        job = _Job(wanted)
        most = max(job.count, _MOST_HELD // prod(self._generator.shape))
        if self.waiting + job.count > most:
            raise Refused(
                503,
                "too many samples are asked for at once",
                expected=f"at most {most:,} that wait",
                got=f"{self.waiting:,}, and {job.count:,} more",
                remedy="ask again later",
            )
        self.waiting += job.count
        self._jobs.append(job)
        self._asked.set()
        try:
            return await job.future
        finally:
            self.waiting -= job.count
            self._leave(job)

    async def work(self) -> None:
        """Make what is asked for, until it is cancelled."""
        while True:
            await self._asked.wait()
            await asyncio.sleep(0)  # what has arrived meanwhile is read, and joins this pass
            await asyncio.sleep(0)
            shares = self._next()
            if shares and self._long:
                await asyncio.to_thread(self._pass, shares)
            elif shares:
                self._pass(shares)
            for job, _ in shares:
                if not job.future.done() and sum(map(len, job.made)) == job.count:
                    job.future.set_result(job.made[0] if len(job.made) == 1 else torch.cat(job.made))
            if not self._jobs:
                self._asked.clear()

    def _leave(self, job: _Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)

    def _next(self) -> list[_Share]:
        """Who gets how many rows of the next pass: those who wait get equal parts, so that nobody waits for a crowd."""
        room, shares = self.rows, list[_Share]()
        for left in range(min(len(self._jobs), self.rows), 0, -1):
            job = self._jobs.popleft()
            size = min(max(1, room // left), job.count - job.taken)
            shares.append((job, range(job.taken, job.taken + size)))
            job.taken += size
            room -= size
        for at, (job, rows) in enumerate(shares):  # what small requests left over goes to the large ones
            more = min(room, job.count - job.taken)
            shares[at] = (job, range(rows.start, rows.stop + more))
            job.taken += more
            room -= more
        self._jobs.extend(job for job, _ in shares if job.taken < job.count)
        return shares

    def _pass(self, shares: list[_Share]) -> None:
        """Make rows of several jobs; where one cannot be made, its request learns why, and the others go on."""
        try:
            made = self._make(shares)
        except Exception as error:  # noqa: BLE001  whatever it is, it is the answer to a request
            if len(shares) > 1:  # whose fault it is shows when each is made alone, with the same bits
                for share in shares:
                    self._pass([share])
            else:
                job = shares[0][0]
                job.future.get_loop().call_soon_threadsafe(_fail, job.future, error)
            return
        for (job, _), samples in zip(shares, made, strict=True):
            job.made.append(samples)

    def _make(self, shares: list[_Share]) -> list[Tensor]:
        pieces = [(job.wanted, slice(rows.start, rows.stop)) for job, rows in shares]
        latents = torch.cat([wanted.latents[rows] for wanted, rows in pieces])
        given = [wanted.labels[rows] for wanted, rows in pieces if wanted.labels is not None]
        if any(labels.is_floating_point() for labels in given):
            given = [self._mixture(labels) for labels in given]
        samples = self._fixed(latents, torch.cat(given) if given else None)
        self.passes += 1
        self.samples += len(samples)
        return list(samples.split([len(rows) for _, rows in shares]))

    def _mixture(self, labels: Tensor) -> Tensor:
        if labels.is_floating_point() or not self._mixes:
            return labels
        return one_hot(labels, len(self._generator.class_names)).float()

    def _fixed(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """The samples of up to ``rows`` latents, made in a pass of exactly so many."""
        count = len(latents)
        if count < self.rows:  # the first one again: its sample is finite if that of the request is
            spare = [0] * (self.rows - count)
            latents = torch.cat([latents, latents[spare]])
            labels = None if labels is None else torch.cat([labels, labels[spare]])
        labels = None if labels is None else self._mixture(labels)
        return self._generator(latents, labels)[:count]

    def _places_do_not_matter(self, rows: int) -> bool:
        """Try out whether samples are the same bits in every place of a pass, and whatever is beside them."""
        self.rows = rows
        latents, labels = self._some(rows)
        try:
            whole = self._fixed(latents, labels)
            for shift in {1, rows // 2, rows - 1} - {0}:
                order = (torch.arange(rows) + shift) % rows
                moved = self._fixed(latents[order], None if labels is None else labels[order])
                if not torch.equal(moved, whole[order]):
                    return False
            last = self._fixed(latents[-1:], None if labels is None else labels[-1:])
            return torch.equal(last[0], whole[-1])
        except NotFinite:
            return True  # what cannot be drawn is told to those who ask for it

    def _seconds(self) -> float:
        """How long a pass takes; it is not the first one."""
        began = time.perf_counter()
        self._places_do_not_matter(self.rows)
        return (time.perf_counter() - began) / 5

    def _some(self, rows: int) -> Wanted:
        classes = len(self._generator.class_names)
        return Wanted(self._generator.latents(rows, 0), torch.arange(rows) % classes if classes else None)


def _fail(future: asyncio.Future[Tensor], error: Exception) -> None:
    if not future.done():  # its client has left
        future.set_exception(error)
