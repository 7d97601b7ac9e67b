"""Runs held against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saddle.errors import RunError, SaddleError
from saddle.pages.comparison import compare, write_comparison
from saddle.runs.folder import RunFolder


def values(paths: list[Path], metric: str = "fd") -> tuple[str, ...]:
    (row,) = (row for row in compare(paths).scores if row.metric == metric)
    return row.values


@pytest.fixture
def pair(make, tmp_path: Path) -> list[Path]:
    """Two runs with all that runs leave behind."""
    for name, r1 in (("weak", 0.5), ("strong", 2.0)):
        run = make.start(tmp_path / name, game={"r1": r1})
        make.samples(run, 2)
        make.log(run, 5, discriminator_loss=r1)
        make.scores(run, fd=[3.0, 2.0])
        make.evaluation(run, make.score("fd", r1, 0.01))
    return [tmp_path / "weak", tmp_path / "strong"]


def test_only_settings_that_differ_are_told(make, tmp_path: Path) -> None:
    make.start(tmp_path / "a", game={"r1": 0.5})
    make.start(tmp_path / "b", game={"r1": 0.5}, generator={"network": {"family": "dcgan"}}, batch_size=32)
    make.start(tmp_path / "c", game={"r1": 2.0}, batch_size=32)
    settings = compare([tmp_path / name for name in "abc"]).settings
    assert ("game.r1", "0.5", "0.5", "2.0") in settings
    assert ("batch_size", "64", "32", "32") in settings
    assert ("generator.network.family", "mlp", "dcgan", "mlp") in settings
    assert ("generator.network.pieces", "5", "–", "5") in settings  # what a family does not have
    assert not {"seed", "recipe"} & {key for key, *_ in settings}


def test_figures_of_the_last_entry(make, tmp_path: Path) -> None:
    run = make.start(tmp_path / "a")
    make.log(run, 20)
    make.start(tmp_path / "new")
    found = {name: cells for name, *cells in compare([tmp_path / "a", tmp_path / "new"]).figures}
    assert found == {
        "images seen": ["20,000", "0"],
        "seconds": ["2.0", "–"],
        "loss of D": ["1.23", "–"],
        "loss of G": ["0.777", "–"],
        "D(x)": ["0.61", "–"],
        "D(G(z))": ["0.39", "–"],
        "images per second": ["41,234", "–"],
    }


@pytest.mark.parametrize(
    ("better", "scores", "marked"),
    [
        ("lower", [(0.5, 0.01), (0.6, 0.01)], 0),
        ("higher", [(0.5, 0.01), (0.6, 0.01)], 1),
        ("lower", [(0.5, 0.06), (0.6, 0.05)], None),
        ("lower", [(0.9, 0.01), (0.6, 0.01), (0.5, 0.01)], 2),
        ("lower", [(0.9, 0.01), (0.50, 0.01), (0.49, 0.01)], None),  # far from the last is not enough
        ("lower", [(0.5, 0.0), (0.5, 0.0)], None),
        ("lower", [(0.5, None), (0.9, 0.01)], None),
        ("lower", [(0.5, 0.01), (float("nan"), 0.01)], None),
        ("higher", [(float("-inf"), 0.01), (0.5, 0.01), (0.4, 0.01)], 1),
    ],
)
def test_the_best_is_marked_only_beyond_the_spreads(
    make, tmp_path: Path, better: str, scores: list[tuple[float, float | None]], marked: int | None
) -> None:
    paths = [tmp_path / str(number) for number in range(len(scores))]
    for path, (value, spread) in zip(paths, scores, strict=True):
        make.evaluation(make.start(path), make.score("fd", value, spread, better=better))
    assert [number for number, text in enumerate(values(paths)) if text.endswith("*")] == (
        [] if marked is None else [marked]
    )
    assert ("* marks" in compare(paths).verdict) == (marked is not None)


def test_the_verdict_says_first_what_is_not_scored(make, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    runs = [make.start(path) for path in paths]
    assert compare(paths).verdict.splitlines()[0].startswith("Not scored yet: a, b, c. To score: saddle evaluate ")
    make.evaluation(runs[0], make.score("fd", 0.5))
    alone = compare(paths).verdict.splitlines()
    assert alone[0].startswith("Not scored yet: b, c.") and f"saddle evaluate {paths[1]}; " in alone[0]
    assert alone[1] == "Scores cannot be compared before at least two runs are scored."
    make.evaluation(runs[1], make.score("fd", 0.9))
    two = compare(paths).verdict.splitlines()
    assert two[0].startswith("Not scored yet: c.") and "* marks" in two[1]
    make.evaluation(runs[2], make.score("fd", 0.9))
    assert "Not scored" not in compare(paths).verdict


def test_scores_of_other_protocols_give_no_verdict(make, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "ab"]
    for path, count in zip(paths, ("2k", "10k"), strict=True):
        make.evaluation(make.start(path), make.score("fd", 0.5, protocol=f"fd-pixels-{count}"))
    assert compare(paths).verdict.startswith("No score can be compared")


def test_scores_share_a_row_only_by_one_protocol_on_the_same_data(make, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    first, second, third = (make.start(path) for path in paths)
    make.evaluation(first, make.score("fd", 0.5), make.score("kd", 0.1))
    make.evaluation(second, make.score("fd", 0.9), make.score("fd", 0.1, protocol="fd-pixels-10k"))
    make.evaluation(third, make.score("fd", 0.2, data="mnist"))
    rows = [(row.metric, row.protocol, row.values) for row in compare(paths).scores]
    assert rows == [
        ("fd", "fd-pixels-2k on digits", ("0.5 ± 0.01 *", "0.9 ± 0.01", "–")),
        ("fd", "fd-pixels-10k on digits", ("–", "0.1 ± 0.01", "–")),
        ("fd", "fd-pixels-2k on mnist", ("–", "–", "0.2 ± 0.01")),
        ("kd", "kd-pixels-2k on digits", ("0.1 ± 0.01", "–", "–")),
    ]


def test_only_the_final_generator_is_scored_here(make, tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        run = make.start(path)
        make.evaluation(run, make.score("fd", 0.5))
        make.evaluation(run, make.score("fd", 0.1), name=run.best.name)
    assert values(paths) == ("0.5 ± 0.01", "0.5 ± 0.01")


def test_where_only_the_best_generator_was_scored_it_stands_for_the_run(make, tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        run = make.start(path)
        make.evaluation(run, make.score("fd", 0.1), name=run.best.name)
    assert values(paths) == ("0.1 ± 0.01", "0.1 ± 0.01")
    best = RunFolder(paths[1]).best
    best.write_bytes(b"better still")
    notes = compare(paths).notes
    assert [note.partition(":")[0] for note in notes if "its best generator" in note] == ["a", "b"]
    assert [note.partition(":")[0] for note in notes if "earlier state" in note] == ["b"]


def test_stale_scores_and_warnings_are_noted_with_the_run(make, tmp_path: Path) -> None:
    for name in "ab":
        make.evaluation(make.start(tmp_path / name), make.score(), notes=("few samples",) if name == "a" else ())
    RunFolder(tmp_path / "b").generator.write_bytes(b"trained on")
    notes = compare([tmp_path / "a", tmp_path / "b"]).notes
    assert notes[0] == "a: few samples"
    assert notes[1].startswith("b: ") and "earlier state" in notes[1]
    assert len(notes) == 2


def test_equal_folder_names_are_told_apart_by_their_parents(make, tmp_path: Path) -> None:
    places = [tmp_path / place for place in ("x/1/run", "y/1/run", "y/2/run", "other")]
    for place in places:
        make.start(place)
    assert compare(places).names == [str(Path("x/1/run")), str(Path("y/1/run")), str(Path("2/run")), "other"]


def test_the_page_holds_everything(read_page, pair: list[Path], tmp_path: Path) -> None:
    found = compare(pair)
    write_comparison(found, tmp_path / "c.html")
    page = read_page(tmp_path / "c.html")
    page.check_alone()
    assert ["setting", "weak", "strong"] in page.rows
    assert ["game.r1", "0.5", "2.0"] in page.rows
    assert ["loss of D", "0.5", "2"] in page.rows
    assert ["title of fd (fd)", "0.5 ± 0.01 *", "2 ± 0.01", "lower", "fd-pixels-2k on digits"] in page.rows
    assert len(page.pictures()) == 4 + 1 + 2  # losses and outputs, the score, the samples
    assert "strong: generated after 2,000 images" in page.text
    assert "games differ" in page.text
    assert all(attributes["alt"] for tag, attributes in page.elements if tag == "img")
    first = (tmp_path / "c.html").read_bytes()
    write_comparison(compare(pair), tmp_path / "c.html")
    assert (tmp_path / "c.html").read_bytes() == first


def test_score_curves_are_of_metrics_that_runs_share(make, read_page, tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{"count": 100}, {"count": 100, "every": 5}, {"count": 200}]
    figures = [{"fd": [2.0, 1.0]}, {"fd": [2.0, 1.0], "kd": [1.0, 1.0]}, {"recall": [0.1, 0.2]}]
    for name, evaluate, figure in zip("abc", settings, figures, strict=True):
        make.scores(make.start(tmp_path / name, evaluate=evaluate), **figure)
    paths = [tmp_path / name for name in "abc"]

    def page(chosen: list[Path]) -> Any:
        write_comparison(compare(chosen), tmp_path / "c.html")
        return read_page(tmp_path / "c.html")

    assert len(page(paths).pictures()) == 1  # fd of a and b
    assert "levels" not in page(paths).text  # c is not in it, and how often they were taken does not matter
    make.scores(RunFolder(paths[2]), fd=[1.0])
    assert "levels cannot be compared, since they differ in evaluate.count" in page(paths).text


def test_runs_that_have_just_started_and_equal_ones_have_a_page(make, read_page, tmp_path: Path) -> None:
    for name in "ab":
        make.start(tmp_path / name)
    write_comparison(compare([tmp_path / "a", tmp_path / "b"]), tmp_path / "c.html")
    page = read_page(tmp_path / "c.html")
    for text in ("All are the same", "Nothing logged yet", "a: no samples yet"):
        assert text in page.text
    assert not page.pictures()


def test_names_are_text_and_never_markup(make, read_page, tmp_path: Path) -> None:
    evil = "<b>&\"'$title"
    for name in (evil, "b"):
        run = make.start(tmp_path / name, data={"source": name})
        make.log(run, 3)
        make.samples(run, 1)
        make.scores(run, **{evil: [1.0]})
        make.evaluation(run, make.score(evil, data=evil), notes=(evil,))
    write_comparison(compare([tmp_path / evil, tmp_path / "b"]), tmp_path / "c.html")
    page = read_page(tmp_path / "c.html")
    assert "b" not in {tag for tag, _ in page.elements}
    assert page.text.count(evil) >= 8


def test_what_cannot_be_compared_is_refused(make, pair: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for paths, said in (
        ([], "two runs or more"),
        (pair[:1], "two runs or more"),
        ([pair[0], tmp_path / "empty"], "empty holds no run"),
        ([pair[0], tmp_path / "nowhere"], "nowhere holds no run"),
        ([pair[0], pair[1], pair[0] / ".." / "weak"], "given twice"),
    ):
        with pytest.raises(RunError, match=said):
            compare(paths)


def test_a_damaged_evaluation_costs_only_its_scores(read_page, pair: list[Path], tmp_path: Path) -> None:
    RunFolder(pair[0]).evaluation.write_text("{", encoding="utf-8")
    found = compare(pair)
    assert [run.evaluation is None for run in found.runs] == [True, False]
    assert any("evaluation.json is damaged" in note for note in found.notes)
    write_comparison(found, tmp_path / "c.html")
    assert read_page(tmp_path / "c.html").text.count("evaluation.json is damaged") == 1


def test_a_page_that_cannot_be_written_leaves_nothing(pair: list[Path], tmp_path: Path) -> None:
    with pytest.raises(SaddleError, match="cannot be written"):
        write_comparison(compare(pair), tmp_path / "nowhere" / "c.html")
    assert not (tmp_path / "nowhere").exists()
