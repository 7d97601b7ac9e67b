"""The fuzz of all readers, for a moment each; ``benchmarks/fuzz.py`` runs for as long as one likes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
INPUTS = {
    **dict.fromkeys(("zip", "npy", "npz", "csv", "idx", "cifar10", "recipe", "settings", "points"), 30),
    **dict.fromkeys(("generator", "classifier"), 30),
    **dict.fromkeys(("folder", "cache", "features", "run"), 10),
    "checkpoint": 5,
    "pages": 1,  # these draw plots
}


@pytest.fixture(scope="module")
def fuzz() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return importlib.import_module("fuzz")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def test_all_readers_are_tried(fuzz: Any):
    assert set(INPUTS) == set(fuzz.READERS)


@pytest.mark.parametrize("name", INPUTS)
def test_damaged_files_are_read_or_refused(fuzz: Any, work: Path, name: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seeds = fuzz.seeds_of(name, work)
        for files in seeds[:1]:  # what is whole is read
            assert fuzz.attempt(fuzz.READERS[name], files, work, 1024) == {"came": "result"}
        for number in range(INPUTS[name]):
            found = fuzz.attempt(fuzz.READERS[name], fuzz.make_input(name, seeds, 0, number), work, 1024)
            assert found["came"] != "finding", found["how"]


def test_an_input_depends_on_its_number_alone(fuzz: Any, work: Path):
    seeds = fuzz.seeds_of("npz", work)
    first = [fuzz.make_input("npz", seeds, 0, number) for number in range(20)]
    assert [fuzz.make_input("npz", seeds, 0, number) for number in reversed(range(20))] == first[::-1]
    assert fuzz.make_input("npz", seeds, 1, 0) != first[0]


FAULTY = """
import os, sys, time
import fuzz
from fuzzing.readers import READERS, Reader

def fail(folder):
    open(folder / "y")

def read(**faults):
    for name, fault in faults.items():
        seeds = lambda work: [{"x.txt": b"1 2 3"}]
        READERS[name] = Reader(seeds, lambda folder, fault=fault: fault(folder))

READERS.clear()
read(error=fail, stop=lambda _: sys.exit(3), crash=lambda _: os.abort(), hang=lambda _: time.sleep(99),
     memory=lambda _: bytearray(150 << 20), more=lambda _: bytearray(1 << 40))
fuzz.main()
"""


@pytest.mark.slow
def test_faults_are_found_kept_and_replayed(tmp_path: Path):
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY)

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, script, "--patience", "1", "--memory", "100", *words],
            check=False, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(BENCHMARKS)}, capture_output=True, text=True,
        )  # fmt: skip

    done = run("--minutes", "0.01", "--json", "all.json")
    assert done.returncode == 1, done.stderr
    rows = {row["reader"]: row for row in json.loads((tmp_path / "all.json").read_text())["readers"]}
    assert {name: list(row["places"]) for name, row in rows.items()} == {
        "error": ["FileNotFoundError at fuzz"],
        "stop": ["SystemExit at fuzz"],
        "crash": ["crash, -6"],
        "hang": ["hang"],
        "memory": ["memory"],
        "more": ["MemoryError at fuzz"],
    }
    assert all(row["findings"] == row["tried"] >= 1 for row in rows.values())
    for name, said in (("error", "No such file"), ("crash", "Aborted")):
        kept = f"fuzz-findings/{name}-0-0"
        assert f"--replay {kept}" in done.stdout
        again = run("--replay", kept)
        assert again.returncode == 1 and again.stdout.startswith(f"{name}: finding") and said in again.stdout
