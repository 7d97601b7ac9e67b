from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch: two threads on a busy machine are slow without

import pytest
import torch

from saddle.config.schema import DataConfig
from saddle.data import Store, from_object

REAL_DATA = os.environ.get("SADDLE_DATA")


@pytest.fixture(scope="session", autouse=True)
def _hang_up_ends_a_process() -> Generator[None]:
    """As in a shell: what nohup starts ignores SIGHUP, and so would the processes that tests start."""
    earlier = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, earlier)


@pytest.fixture(autouse=True)
def _few_threads():
    """Two OpenMP threads on a busy machine spin against each other; tests compute little."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("SADDLE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Loads a script of the repository as a module, by its path from there: ``tools/results.py``."""

    def load(name: str) -> ModuleType:
        path = Path(__file__).parents[1] / name
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module  # where its dataclasses look themselves up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the official data sets, which ``$SADDLE_DATA`` names then; or a skip."""
    if not REAL_DATA:
        pytest.skip("SADDLE_DATA is not set: the official data sets are not here")
    monkeypatch.setenv("SADDLE_DATA", REAL_DATA)
    return Path(REAL_DATA)


@pytest.fixture
def tiny_images() -> Store:
    """96 grey 4×4 images: a bright column that moves."""
    images = torch.zeros(96, 1, 4, 4, dtype=torch.uint8)
    for number in range(96):
        images[number, 0, :, number % 4] = 255 - number
    return from_object(images, config=DataConfig(source="tiny"))
