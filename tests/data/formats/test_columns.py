"""Tables of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saddle.config.resolve import data_config, parse_settings
from saddle.config.schema import DataConfig
from saddle.data import Store, inspect_data, open_data
from saddle.errors import ConfigError, DataError


def opened(folder: Path, text: str, columns: list[int | str] | None = None, name: str = "table.csv") -> Store:
    (folder / name).write_bytes(text.encode())
    return open_data(DataConfig.model_validate({"source": str(folder / name), "columns": columns}))


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1,2\n3,-4.5e0\n",
        "1,2\n3,-4.5\n",
        "\ufeffx;y\r\n1;2\r\n\r\n3;-4.5",
        "x\ty\n 1\t2 \n3\t-4.5\n",
        '"x","y"\n"1","2"\n"3","-4.5"\n',
    ],
)
def test_tables_with_and_without_header_in_every_dialect(tmp_path: Path, text: str):
    store = opened(tmp_path, text)
    assert store.kind == "points"
    np.testing.assert_array_equal(store.values, np.array([[1, 2], [3, -4.5]], np.float32))


def test_columns_by_name_and_by_number_in_the_order_asked_for(tmp_path: Path):
    text = "name,x,y,2024\na,1,2,9\nb,3,4,8\n"
    assert opened(tmp_path, text, ["y", "x"]).values.tolist() == [[2, 1], [4, 3]]
    assert opened(tmp_path, text, [3, "x"]).values.tolist() == [[9, 1], [8, 3]]
    facts = dict(inspect_data(DataConfig(source=str(tmp_path / "table.csv"), columns=("y",))).facts)
    assert facts["columns"] == "y"


@pytest.mark.parametrize("text", ["[x,2]", '["x", 2]', "[ x, 2 ]", "[x, 2,]"])
def test_columns_are_typed_without_quotes(text: str):
    assert data_config("t.csv", parse_settings([f"data.columns={text}"])).columns == ("x", 2)


def test_columns_come_through_a_setting():
    assert data_config("t.csv", {"data": {"columns": ["x", 2]}}).columns == ("x", 2)
    for wrong in ([], [-1], "x", [1.5]):
        with pytest.raises(ConfigError, match=r"data\.columns"):
            data_config("t.csv", {"data": {"columns": wrong}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y\n1,2\n3,four\n", ["column 'y'", "'four' in line 3"]),
        ("x,y\n1,2\n\n3,nan\n", ["column 'y'", "'nan' in line 4"]),
        ("x,y\n1,2\n,4\n", ["column 'x'", "'' in line 3"]),
        ("1,2\n3,inf\n", ["column '1'", "'inf' in line 2"]),
        ("x,y\n1,2\n3\n", ["line 3", "2 cells", "got: 1"]),
        ("x,y\n1,2\n3,1e300\n", ["not finite"]),
        ("x,y\n", ["holds no data"]),
        ("", ["holds no data"]),
        ("\n\n", ["holds no data"]),
    ],
)
def test_unusable_tables_are_refused_by_column_and_line(tmp_path: Path, text: str, words: list[str]):
    with pytest.raises(DataError) as caught:
        opened(tmp_path, text)
    assert all(word in str(caught.value) for word in words)


def test_unknown_and_ambiguous_columns(tmp_path: Path):
    for wanted in ("z", 2, "0"):
        with pytest.raises(DataError, match=f"no column {wanted!r}"):
            opened(tmp_path, "x,y\n1,2\n", [wanted])
    with pytest.raises(DataError, match="more than one column 'x'"):
        opened(tmp_path, "x,x\n1,2\n", ["x"])


def test_a_file_that_is_no_text(tmp_path: Path):
    (tmp_path / "table.csv").write_bytes(b"x,y\n\xff\xfe,2\n")
    with pytest.raises(DataError, match=r"is damaged or no table(.|\n)*not UTF-8"):
        open_data(DataConfig(source=str(tmp_path / "table.csv")))


def test_no_test_split(tmp_path: Path):
    (tmp_path / "table.csv").write_text("1,2\n")
    with pytest.raises(DataError, match="no test split"):
        open_data(DataConfig(source=str(tmp_path / "table.csv"), split="test"))


def test_columns_of_an_array(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(4, 3))
    source = str(tmp_path / "x.npy")
    assert open_data(DataConfig(source=source, columns=(2, 0))).values[0].tolist() == [2, 0]
    for column in (3, "x"):
        with pytest.raises(DataError, match=f"no column {column!r}"):
            open_data(DataConfig(source=source, columns=(column,)))


def test_columns_choose_before_values_are_checked(tmp_path: Path):
    array = np.zeros((4, 2))
    array[1, 1] = np.nan
    np.save(tmp_path / "x.npy", array)
    assert open_data(DataConfig(source=str(tmp_path / "x.npy"), columns=(0,))).shape == (1,)


def test_images_have_no_columns(tmp_path: Path):
    with pytest.raises(DataError, match="columns"):
        open_data(DataConfig(columns=(0,)))
    np.save(tmp_path / "x.npy", np.zeros((4, 3, 3), np.uint8))
    with pytest.raises(DataError, match="columns"):
        open_data(DataConfig(source=str(tmp_path / "x.npy"), columns=(0,)))
