"""What is printed cannot steer a terminal, hide what is there, or forge a line."""

from __future__ import annotations

import io
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saddle.base.progress import Bar, Lines, for_stream
from saddle.base.streams import Outlet, outlet
from saddle.base.text import one_line, printable
from saddle.cli.boundary import answer
from saddle.cli.tables import print_line, print_table
from saddle.errors import ConfigError, RunError

ANYTHING = st.text(st.characters(exclude_categories=()))  # halves of characters too, as in names that are not UTF-8
NAME = "\x1b]0;x\x07\x1b[31mred\nsaddle: all is well\u202e"
SHOWN = r"\x1b]0;x\x07\x1b[31mred\nsaddle: all is well\u202e"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (NAME, SHOWN),
        ("\r\b\x7f\x00\t", r"\r\x08\x7f\x00\t"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("\u200e\u200f\u061c\u2066\u2069\ufeff\u00ad", r"\u200e\u200f\u061c\u2066\u2069\ufeff\xad"),
        ("\udcff\U000e0041", r"\udcff\U000e0041"),
        ("naïve ´Größe´ 東京 עברית नमस्ते", "naïve ´Größe´ 東京 עברית नमस्ते"),
        ("👩\u200d🔬 e\u0301 می\u200cخواهم\u00a0\u3000", "👩\u200d🔬 e\u0301 می\u200cخواهم\u00a0\u3000"),
        ("<b> & \\ ' \" 100% {x}", "<b> & \\ ' \" 100% {x}"),
        ("", ""),
    ],
)
def test_what_is_shown(text: str, shown: str):
    assert printable(text) == shown


def test_newlines_and_tabs_of_our_own_stay():
    assert printable("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"


@given(ANYTHING)
def test_nothing_that_steers_is_left(text: str):
    shown = printable(text)
    shown.encode()
    kinds = {unicodedata.category(character) for character in shown if character not in "\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs"))))
def test_ordinary_text_is_left_alone(text: str):
    assert printable(text) == printable(text, lines=True) == text


@given(ANYTHING, st.integers(2, 300))
def test_long_text_is_cut_in_the_middle(text: str, longest: int):
    told = one_line(text, longest)
    assert len(told) <= longest + 40
    assert told == printable(text) or (" letters ... " in told and told.startswith(printable(text)[: longest // 2]))


@given(st.lists(ANYTHING, max_size=5))
def test_an_outlet_passes_printable_text_alone(texts: list[str]):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    for text in texts:
        print(text, file=outlet(stream), flush=True)
    content = stream.buffer.getvalue().decode("ascii")
    assert not set(content) - {"\n", "\t"} - set(map(chr, range(32, 127)))


def test_each_cell_and_each_line_stays_on_its_line(capsys: pytest.CaptureFixture[str]):
    print_table([("name", "score"), (NAME, "1")])
    print_line(f"1 sample in {NAME}")
    assert capsys.readouterr().out.splitlines() == [
        f"{'name':<{len(SHOWN)}}  score",
        f"{SHOWN}  1",
        f"1 sample in {SHOWN}",
    ]


def test_progress_and_messages_stay_on_their_lines():
    stream = io.StringIO()
    lines = Lines(stream)
    lines.start("training", 2, "images")
    lines.status(NAME)
    lines.say(NAME)
    assert len(stream.getvalue().splitlines()) == 2
    assert stream.getvalue().count(SHOWN) == 2


def test_a_bar_shows_names_without_their_escapes(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = for_stream(sys.stderr)
    assert isinstance(bar, Bar)
    bar.start(f"[red]{NAME}", 2, "images")
    bar.advance(1)
    bar.status(f"[b]{NAME}")
    bar.say(NAME)
    bar.finish()
    assert "\x1b" in terminal.getvalue()  # the bar's own
    assert "\x1b]0" not in terminal.getvalue() and "\x1b[31mred" not in terminal.getvalue()
    for told in (f"[red]{SHOWN}", f"[b]{SHOWN}", SHOWN):
        assert told in terminal.getvalue()


@pytest.mark.parametrize(
    "error",
    [
        RunError(f"{NAME} holds no run"),
        RunError("wrong", got=NAME),
        ConfigError("wrong", details=[NAME], expected=f"one of {NAME}", remedy=NAME),
        ConfigError("wrong", got=ValueError(NAME)),
        ValueError(NAME),
        OSError(2, "No such file", NAME),
    ],
)
def test_errors_hold_no_escapes_and_forge_no_line(error: Exception, capsys: pytest.CaptureFixture[str]):
    answer(error)
    told = capsys.readouterr().err
    assert "\x1b" not in told and "\u202e" not in told
    assert [line for line in told.splitlines() if line.startswith("saddle:")] == told.splitlines()[:1]


def test_a_huge_message_is_cut(capsys: pytest.CaptureFixture[str]):
    answer(ConfigError("wrong", got="x" * 10**6))
    assert len(capsys.readouterr().err) < 3_000


@pytest.mark.parametrize("words", ["frob$'\\e[31m'", "info $'\\e[31m\\nsaddle: all is well'", "recipes $'a\\e]0;x\\a'"])
def test_no_message_of_the_command_line_holds_escapes(shell, words: str):
    done = shell(f"saddle {words}")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr and "\nsaddle: all" not in done.stderr


def test_an_outlet_is_not_wrapped_twice():
    stream = outlet(io.StringIO())
    assert outlet(stream) is stream
    assert isinstance(stream, Outlet) and outlet(stream, raw=True) is not stream
