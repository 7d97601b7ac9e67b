from __future__ import annotations

from pathlib import Path

import pytest

from saddle.config.schema import DataConfig
from saddle.data import from_object, inspect_data, open_data
from saddle.errors import DataError


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        open_data(DataConfig(source="fashon-mnist"))
    assert "did you mean 'fashion-mnist'" in str(caught.value)
    assert "digits, mnist, fashion-mnist, kmnist" in str(caught.value)


def test_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(DataError, match="not data that can be read"):
        open_data(DataConfig(source=str(path)))


def test_a_recipe_for_own_data_needs_data() -> None:
    with pytest.raises(DataError, match="none were given") as caught:
        open_data(DataConfig(source=""))
    assert "saddle train images --data FOLDER_OR_ZIP" in str(caught.value)


def test_fingerprint_is_held() -> None:
    store = open_data(DataConfig())
    assert open_data(DataConfig(fingerprint=store.fingerprint)).fingerprint == store.fingerprint
    with pytest.raises(DataError, match="has changed"):
        open_data(DataConfig(split="test", fingerprint=store.fingerprint))


def test_fingerprint_depends_on_labels_and_names() -> None:
    store = open_data(DataConfig())
    assert store.labels is not None
    same = from_object(store.values, store.labels, config=DataConfig())
    other = from_object(store.values, store.labels[::-1], config=DataConfig())
    bare = from_object(store.values, config=DataConfig())
    assert same.fingerprint == store.fingerprint
    assert len({store.fingerprint, other.fingerprint, bare.fingerprint}) == 3


def test_inspection_of_digits() -> None:
    inspection = inspect_data(DataConfig())
    facts = dict(inspection.facts)
    assert facts["images"] == "1,500"
    assert facts["shape"] == "1 x 8 x 8 (C x H x W)"
    assert facts["classes"] == "10"
    assert sum(count for _, count in inspection.class_counts) == 1500
    assert [name for name, _ in inspection.class_counts] == list("0123456789")
    assert inspection.skipped == ()


def test_first_takes_so_many_and_no_more_than_there_are() -> None:
    assert len(open_data(DataConfig(source="digits", first=10))) == 10
    for source in ("digits", "ring(8)"):
        with pytest.raises(DataError, match=r"data\.first"):
            open_data(DataConfig(source=source, first=2_000 if source == "digits" else 10))
