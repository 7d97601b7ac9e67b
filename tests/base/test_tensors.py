from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from saddle.base.tensors import load_tensors, save_tensors
from saddle.errors import CheckpointError

TENSORS = {
    "weights": torch.arange(12.0).reshape(3, 4),
    "transposed": torch.arange(12.0).reshape(3, 4).T,
    "step": torch.tensor(7.0),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "count": torch.tensor([2**40]),
}


def test_tensors_and_header_come_back(tmp_path: Path):
    header = {"name": "Zoë", "shape": [1, 2], "deep": {"a": None}}
    save_tensors(tmp_path / "x.safetensors", TENSORS | {"tied": TENSORS["weights"]}, header)
    tensors, found = load_tensors(tmp_path / "x.safetensors")
    assert found == header
    assert tensors.keys() == TENSORS.keys() | {"tied"}
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_equal_content_gives_equal_bytes(tmp_path: Path):
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    save_tensors(first, TENSORS, {"a": 1, "b": 2})
    save_tensors(second, dict(reversed(TENSORS.items())), {"b": 2, "a": 1})
    assert first.read_bytes() == second.read_bytes()


def test_every_single_flipped_bit_is_noticed(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"weights": torch.arange(4.0)}, {"images_seen": 5})
    good = path.read_bytes()
    missed = []
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        try:
            tensors, header = load_tensors(path)
        except CheckpointError:
            continue
        if not torch.equal(tensors["weights"], torch.arange(4.0)) or header != {"images_seen": 5}:
            missed.append(position)
    assert missed == []


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100, b"\xff" * 8 + b"{}"])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or no safetensors"):
        load_tensors(path)


def test_another_programs_safetensors_file_is_refused(tmp_path: Path):
    save_file(TENSORS | {"transposed": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="not written by saddle"):
        load_tensors(tmp_path / "x.safetensors")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, {"version": 1})
    good = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_tensors(path, TENSORS, {"version": 2})
    assert path.read_bytes() == good
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.safetensors"]


def test_missing_file(tmp_path: Path):
    with pytest.raises(CheckpointError, match="there is no file"):
        load_tensors(tmp_path / "x.safetensors")
