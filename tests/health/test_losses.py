"""What the losses of another tool tell, and what is said of files that hold none."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from saddle.errors import RunError
from saddle.health.losses import Losses, judge_losses, read_losses

LINES = 40


def written(path: Path, head: str, rows: list[str]) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def losses(d: list[float], g: list[float]) -> Losses:
    return Losses(d, g)


@pytest.mark.parametrize(
    "head",
    ["step,d_loss,g_loss", "Iteration;Loss_D;Loss_G;lr", "epoch\tdiscriminator loss\tgenerator loss", "errD,errG"],
)
def test_columns_are_known_by_many_names(tmp_path: Path, head: str):
    separator = max(",;\t", key=head.count)
    names = head.split(separator)
    row = separator.join(
        "0.5" if "d" in name.lower().replace("epoch", "") and "loss" in name.lower() else "1.5" for name in names
    )
    found = read_losses(written(tmp_path / "losses.csv", head, [row] * LINES))
    assert len(found.discriminator) == len(found.generator) == LINES


def test_either_loss_may_have_lines_of_its_own(tmp_path: Path):
    rows = ["0,1.0,", "0,,2.0"] * LINES
    found = read_losses(written(tmp_path / "losses.csv", "step,d_loss,g_loss", [*rows, ""]))
    assert found == Losses([1.0] * LINES, [2.0] * LINES)
    assert judge_losses(found)[0] is None


@pytest.mark.parametrize(
    ("head", "rows", "said"),
    [
        ("step,accuracy", ["1,2"] * LINES, "no loss of D and G(.|\n)*d_loss(.|\n)*step, accuracy"),
        ("step,d_loss", ["1,2"] * LINES, "no loss of G"),
        ("d_loss,g_loss", ["1,2"], "too short(.|\n)*20(.|\n)*1"),
        ("", [], "empty|no loss"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, head: str, rows: list[str], said: str):
    with pytest.raises(RunError, match=said):
        read_losses(written(tmp_path / "losses.csv", head, rows))


def test_files_that_are_none(tmp_path: Path):
    with pytest.raises(RunError, match="no file"):
        read_losses(tmp_path / "none.csv")
    with pytest.raises(RunError, match=r"no number(.|\n)*high"):
        read_losses(written(tmp_path / "words.csv", "d_loss,g_loss", ["1,high"] * LINES))
    with pytest.raises(RunError, match="cannot be read"):
        read_losses(written(tmp_path / "long.csv", "d_loss,g_loss", [f'"{"1" * 200_000}",1']))
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(RunError, match="cannot be read"):
        read_losses(tmp_path / "binary.csv")


def test_the_verdicts_on_losses():
    even, odd = [1.2, 1.3] * 20, [0.9, 1.0] * 20
    assert judge_losses(losses(even, odd))[0] is None
    assert judge_losses(losses([0.001] * 40, [12.0] * 40))[0] == "D has won"
    assert judge_losses(losses(even, [1.0] * 20 + [5e4] * 20))[0] == "diverging"
    assert judge_losses(losses(even, [*odd[:-1], math.nan]))[0] == "diverging"
    kind, words, _ = judge_losses(losses([2 * math.log(2)] * 40, [math.log(2)] * 40))
    assert kind is None and "one half" in words
