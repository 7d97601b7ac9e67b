from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from saddle.base import sizes
from saddle.base.sizes import check_disk, check_memory, free_memory, readable_size
from saddle.errors import TooLarge


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345, "12.3 kB"),
        (74 * 10**9, "74.0 GB"),
        (6.4e12, "6.4 TB"),
        (10**18, "1,000.0 PB"),
        (10**21, "more than a million PB"),
        (10**400, "more than a million PB"),
    ],
)
def test_sizes_in_words(count: float, text: str):
    assert readable_size(count) == text


def test_what_fits_passes_and_what_does_not_is_told_with_both_figures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sizes, "free_memory", lambda: 12 * 10**9)
    check_memory(12 * 10**9, "it")
    with pytest.raises(TooLarge) as caught:
        check_memory(74 * 10**9, "the cache", remedy="make it smaller")
    assert str(caught.value).splitlines() == [
        "the cache would not fit in memory",
        "  got: this needs 74.0 GB, and 12.0 GB are free",
        "  remedy: make it smaller",
    ]


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path):
    check_disk(tmp_path / "not" / "yet", 1, "it")
    with pytest.raises(TooLarge, match=rf"on the disk of {tmp_path}\n  got: this needs more than a million PB, and"):
        check_disk(tmp_path / "not" / "yet", 10**30, "it")
    assert not (tmp_path / "not").exists()


def test_free_memory_is_less_than_the_machine_has():
    assert 2**20 < free_memory() < 2**60


def test_the_limit_on_addresses_counts():
    code = "from saddle.base.sizes import free_memory; print(free_memory())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)),
    )  # fmt: skip
    assert 2**28 < int(done.stdout) < 2**30


@pytest.mark.parametrize(
    ("limit", "free"), [("max", None), ("5000000", 5_000_000 - 4_000_000 + 1_500_000), ("100", 0), ("", None)]
)
def test_the_limit_of_a_container_counts_without_the_pages_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, free: int | None
):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("4000000\n")
    (tmp_path / "memory.stat").write_text("anon 2500000\ninactive_file 1000000\nactive_file 500000\n")
    whole = free_memory()
    monkeypatch.setattr(sizes, "_CONTAINER", tmp_path)
    assert free_memory() == free if free is not None else free_memory() > whole / 2


def test_without_linux_figures_the_machine_has_what_it_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sizes, "_figures", lambda _: {})
    assert free_memory() > 2**20
